// SPDX-License-Identifier: Apache-2.0
/// The standby dies between Activate and Activated: the role comes back with whoever is back first, and nobody serves
/// it while the other may. Covers: control-server/core/role_takeover.cpp, control-server/core/role_give_back.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kBlade1{"blade-1"};
const RoleId kRole1{"role-1"};

class StandbyDiesActivating : public testing::Test {
 protected:
  void SetUp() override {
    sut_.bring_up();
    sut_.silent_agents.insert(sut_.standby());
  }
  void the_standby_dies() {
    sut_.own_vote(sut_.standby(), Vote::Down);
    sut_.pass(1s);
    sut_.step(AgentLost{sut_.standby()});
  }
  void the_standby_is_back(std::vector<link::HeldRole> held) {
    sut_.silent_agents.erase(sut_.standby());
    sut_.own_vote(sut_.standby(), Vote::Up);
    sut_.hello(sut_.standby(), std::move(held));
  }
  /// Its application has ended: it may serve again.
  void the_application_fails() {
    sut_.report(kBlade1, link::ApplicationFailed{kRole1, Term{1}, "killed"});
    sut_.report(kBlade1, link::Stopped{kRole1, Term{2}});
    ASSERT_EQ(sut_.orders<link::Activate>().size(), 1U);
    sut_.forget();
  }
  void the_active_dies() {
    sut_.silence(1);
    sut_.step(AgentLost{kBlade1});
    ASSERT_EQ(sut_.orders<link::Activate>().size(), 1U);
    ASSERT_EQ(sut_.own(1).term, Term{2});
    sut_.forget();
  }
  Chassis sut_{2};
};

TEST_F(StandbyDiesActivating, AHealthyActiveServesAgainAsSoonAsTheStandbyIsProvedToBeStopped) {
  the_application_fails();
  the_standby_dies();
  sut_.pass(sut_.config.timings.agent_restart);
  EXPECT_EQ(sut_.state(1), RoleState::Exposed);
  EXPECT_EQ(sut_.own(1).place, (Place{kBlade1, PlaceKind::Host}));
  EXPECT_EQ(sut_.own(1).term, Term{3});
  EXPECT_EQ(sut_.own(1).evidence, link::StopEvidence::Isolated);
  EXPECT_TRUE(sut_.isolated.contains(sut_.standby()));
}

TEST_F(StandbyDiesActivating, NobodyServesWhileNothingProvesThatTheMirrorIsStopped) {
  the_application_fails();
  sut_.stuck_ports.insert(sut_.standby());
  sut_.power_works = false;
  the_standby_dies();
  sut_.pass(60s);
  EXPECT_TRUE(sut_.orders<link::ServeRole>().empty());
  EXPECT_EQ(sut_.own(1).term, Term{2});
}

TEST_F(StandbyDiesActivating, WithADeadActiveThePersonIsToldAndTheStandbysReturnEndsIt) {
  the_active_dies();
  the_standby_dies();
  sut_.pass(10s);
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver);
  EXPECT_NE(sut_.status(1).detail.find("nobody serves the role until it or blade-1 is back"), std::string::npos);
  the_standby_is_back({{kRole1, Term{2}, PlaceKind::Mirror, false}});
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(1).term, Term{2});
  EXPECT_EQ(sut_.status(1).detail, "");
}

TEST_F(StandbyDiesActivating, AnActiveThatWasOnlyAwayHasAllOfItAndServesAgain) {
  the_active_dies();
  the_standby_dies();
  sut_.pass(3s);
  sut_.powered_off.clear();
  sut_.own_vote(kBlade1, Vote::Up);
  sut_.hello(kBlade1, {{kRole1, Term{1}, PlaceKind::Host, true}});
  sut_.pass(1s);
  EXPECT_EQ(sut_.state(1), RoleState::Exposed);
  EXPECT_EQ(sut_.own(1).term, Term{3});
}

TEST_F(StandbyDiesActivating, AnActiveThatCameWithNothingWaitsForTheCopy) {
  the_active_dies();
  the_standby_dies();
  sut_.powered_off.clear();
  sut_.own_vote(kBlade1, Vote::Up);
  sut_.hello(kBlade1);
  sut_.pass(8s);
  EXPECT_TRUE(sut_.orders<link::ServeRole>().empty());
  the_standby_is_back({{kRole1, Term{2}, PlaceKind::Mirror, false}});
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror) << "the copy is whole, and serves";
}

TEST_F(StandbyDiesActivating, WhenBothCameWithNothingTheRoleStartsAnew) {
  the_active_dies();
  the_standby_dies();
  sut_.powered_off.clear();
  the_standby_is_back({});
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  sut_.own_vote(kBlade1, Vote::Up);
  sut_.hello(kBlade1);
  EXPECT_EQ(sut_.state(1), RoleState::Exposed);
  EXPECT_EQ(sut_.own(1).term, Term{3});
}

/// A mirror that has served may serve on unseen: one cable of the standby's looks the same as its death.
TEST_F(StandbyDiesActivating, ARoleThatItsMirrorHasServedIsNotStartedElsewhereFromAnOlderCopy) {
  sut_.silent_agents.clear();
  sut_.silence(1);
  sut_.step(AgentLost{kBlade1});
  ASSERT_EQ(sut_.state(1), RoleState::OnMirror);
  sut_.powered_off.clear();
  sut_.own_vote(kBlade1, Vote::Up);
  sut_.hello(kBlade1);
  sut_.forget();
  the_standby_dies();
  sut_.pass(60s);
  EXPECT_EQ(sut_.state(1), RoleState::Lost);
  EXPECT_TRUE(sut_.orders<link::ServeRole>().empty());
  EXPECT_NE(sut_.status(1).detail.find("blade-1 gets the role when blade-3 says that it has it no more"),
            std::string::npos);
  the_standby_is_back({});
  EXPECT_EQ(sut_.state(1), RoleState::Exposed);
  EXPECT_EQ(sut_.own(1).place, (Place{kBlade1, PlaceKind::Host}));
}

}  // namespace
}  // namespace understudy::control::test
