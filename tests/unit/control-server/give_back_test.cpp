// SPDX-License-Identifier: Apache-2.0
/// A role whose mirror cannot take over, whose own blade is healthy, and whose standby cannot be asked any more.
/// Covers: control-server/core/role_give_back.cpp, control-server/core/switching_unit.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kBlade1{"blade-1"};
const RoleId kRole1{"role-1"};

/// The application has failed on a healthy blade, and three activations after it.
class GiveBack : public testing::Test {
 protected:
  GiveBack() {
    sut_.bring_up();
    sut_.silent_agents.insert(sut_.standby());
    sut_.report(kBlade1, link::ApplicationFailed{kRole1, Term{1}, "exit status 1"});
    for (int i = 0; i < 3; ++i) {
      sut_.report(sut_.standby(), link::ActivateFailed{kRole1, Term{2}, "no region"});
      sut_.pass(4s);
    }
    EXPECT_EQ(sut_.state(1), RoleState::TakingOver);
    EXPECT_EQ(sut_.own(1).place.blade, sut_.standby());
  }
  void the_standby_dies() {
    sut_.own_vote(sut_.standby(), Vote::Down);
    sut_.step(AgentLost{sut_.standby()});
    sut_.forget();
    sut_.pass(sut_.config.timings.agent_restart + 100ms);
  }
  void the_standby_is_back(std::vector<link::HeldRole> held) {
    sut_.own_vote(sut_.standby(), Vote::Up);
    sut_.forget();
    sut_.hello(sut_.standby(), std::move(held));
  }
  Chassis sut_{2};
};

TEST_F(GiveBack, ToAHealthyBladeWhenTheStandbyIsIsolated) {
  the_standby_dies();
  EXPECT_TRUE(sut_.isolated.contains(sut_.standby()));
  EXPECT_EQ(sut_.own(1).place, (Place{kBlade1, PlaceKind::Host}));
  EXPECT_EQ(sut_.own(1).evidence, link::StopEvidence::Isolated);
  EXPECT_EQ(sut_.state(1), RoleState::Exposed);
  EXPECT_FALSE(sut_.isolated.contains(kBlade1));
}

TEST_F(GiveBack, OrWhenItsPowerIsOff) {
  sut_.stuck_ports.insert(sut_.standby());
  the_standby_dies();
  EXPECT_TRUE(sut_.powered_off.contains(sut_.standby()));
  EXPECT_EQ(sut_.own(1).evidence, link::StopEvidence::PoweredOff);
  EXPECT_EQ(sut_.state(1), RoleState::Exposed);
}

TEST_F(GiveBack, NotWhileTheStandbyIsThereOrNothingProvesItsStop) {
  sut_.pass(60s);
  EXPECT_EQ(sut_.own(1).place.blade, sut_.standby()) << "it has not answered yet";
  EXPECT_FALSE(sut_.isolated.contains(sut_.standby()));
  sut_.stuck_ports.insert(sut_.standby());
  sut_.power_works = false;
  the_standby_dies();
  sut_.pass(60s);
  EXPECT_EQ(sut_.own(1).place.blade, sut_.standby());
}

/// Neither the switch nor the power obeys: nobody serves the role, and a person must know why.
class StandbyThatCannotBeStopped : public GiveBack {
 protected:
  StandbyThatCannotBeStopped() {
    sut_.stuck_ports.insert(sut_.standby());
    sut_.power_works = false;
    sut_.forget();
    sut_.own_vote(sut_.standby(), Vote::Down);
    sut_.step(AgentLost{sut_.standby()});
    sut_.pass(sut_.config.timings.agent_restart + 100ms);
  }
  [[nodiscard]] bool told(const std::string& words, unsigned role = 1) const {
    return sut_.status(role).detail.find(words) != std::string::npos;
  }
  void expect_over() const {
    EXPECT_FALSE(told("cannot")) << sut_.status(1).detail;
    EXPECT_TRUE(sut_.noted("alarm", "over: cannot power off blade-3: no answer"));
    EXPECT_TRUE(sut_.noted("alarm", "over: cannot isolate blade-3: switch says no"));
  }
};

TEST_F(StandbyThatCannotBeStopped, IsAnAlarmThatSaysWhatItMeansAndWhatToDo) {
  for (const std::string failed : {"cannot isolate blade-3: switch says no", "cannot power off blade-3: no answer"}) {
    const auto text = failed +
                      ". Nobody serves role-1 until it is proved that blade-3 is silent; mend the switch or the power "
                      "unit: both are tried again and again";
    EXPECT_TRUE(told(text)) << sut_.status(1).detail;
    EXPECT_TRUE(sut_.noted("alarm", text));
    EXPECT_FALSE(told(failed, 2)) << "that role is served";
  }
  sut_.forget();
  sut_.pass(60s);
  EXPECT_FALSE(sut_.noted("alarm", "cannot power off")) << "told once";
  EXPECT_TRUE(told("cannot power off blade-3"));
}

TEST_F(StandbyThatCannotBeStopped, IsOneNoMoreWhenItIsOff) {
  sut_.power_works = true;
  sut_.pass(10s);
  ASSERT_EQ(sut_.own(1).evidence, link::StopEvidence::PoweredOff);
  expect_over();
}

TEST_F(StandbyThatCannotBeStopped, NorWhenItIsIsolated) {
  sut_.stuck_ports.clear();
  sut_.pass(10s);
  ASSERT_EQ(sut_.own(1).evidence, link::StopEvidence::Isolated);
  expect_over();
}

TEST_F(StandbyThatCannotBeStopped, NorWhenItIsBackAndTakesOrdersItself) {
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.hello(sut_.standby(), {{kRole1, Term{2}, PlaceKind::Mirror, false}});
  expect_over();
}

TEST_F(StandbyThatCannotBeStopped, NorWhenItsMirrorServesTheRoleAfterAll) {
  sut_.own_vote(kBlade1, Vote::Down);
  sut_.step(AgentLost{kBlade1});
  sut_.silent_agents.clear();
  sut_.own_vote(sut_.standby(), Vote::Up);
  sut_.hello(sut_.standby(), {{kRole1, Term{2}, PlaceKind::Mirror, false}});
  sut_.pass(60s);
  ASSERT_EQ(sut_.state(1), RoleState::OnMirror) << sut_.status(1).detail;
  expect_over();
}

TEST_F(GiveBack, NotWhereTheStandbyServesAnotherRole) {
  sut_.silent_agents.clear();
  sut_.report(Chassis::blade_id(2), link::ApplicationFailed{Chassis::role_id(2), Term{1}, "exit status 1"});
  ASSERT_EQ(sut_.state(2), RoleState::OnMirror);
  the_standby_dies();
  sut_.pass(60s);
  EXPECT_FALSE(sut_.isolated.contains(sut_.standby()));
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
}

TEST_F(GiveBack, AnEmptyStandbyIsHeardOutsideAgain) {
  the_standby_dies();
  sut_.silent_agents.clear();
  the_standby_is_back({});
  sut_.pass(1s);
  EXPECT_FALSE(sut_.isolated.contains(sut_.standby()));
  EXPECT_FALSE(sut_.orders<link::RunMirror>().empty());
}

/// The switch did not answer when the control-server was started, or somebody has changed it since.
TEST(StandbyPorts, AreLookedAtAgainAndOpened) {
  Chassis chassis(2);
  chassis.bring_up();
  chassis.pass(5s);
  chassis.isolated.insert(chassis.standby());
  chassis.pass(chassis.config.timings.ports_look + chassis.config.timings.retry);
  EXPECT_FALSE(chassis.isolated.contains(chassis.standby())) << "a mirror that takes over would be heard by nobody";
}

/// It was cut off, not dead, and its mirror serves for all it knows.
TEST_F(GiveBack, AStandbyWhoseMirrorMaySpeakStaysBehindItsPortsUntilItHasStoodDown) {
  the_standby_dies();
  the_standby_is_back({{kRole1, Term{2}, PlaceKind::Mirror, true}});
  sut_.pass(10s);
  EXPECT_TRUE(sut_.isolated.contains(sut_.standby()));
  ASSERT_FALSE(sut_.orders<link::StandDown>().empty());
  EXPECT_EQ(sut_.orders<link::StandDown>().back().second.term, Term{3});
  sut_.forget();
  sut_.report(sut_.standby(), link::Stopped{kRole1, Term{3}});
  EXPECT_EQ(sut_.orders<link::RunMirror>().size(), 1U) << "it may follow the role now";
  sut_.pass(1s);
  EXPECT_FALSE(sut_.isolated.contains(sut_.standby()));
}

/// It says Hello in the middle of standing down: it has taken the term, and its gate may be open still.
TEST_F(GiveBack, AStandbyWhoseMirrorIsBeingStoppedStaysBehindItsPortsUntilItHasStopped) {
  the_standby_dies();
  the_standby_is_back({{kRole1, Term{3}, PlaceKind::Mirror, false}});
  sut_.pass(10s);
  EXPECT_TRUE(sut_.isolated.contains(sut_.standby()));
  sut_.report(sut_.standby(), link::Stopped{kRole1, Term{3}});
  sut_.pass(1s);
  EXPECT_FALSE(sut_.isolated.contains(sut_.standby()));
}

TEST_F(GiveBack, AControlServerThatWasRestartedOpensThePortsToo) {
  the_standby_dies();
  sut_.restart_control_server();
  sut_.silent_agents.clear();
  sut_.hello(kBlade1, {{kRole1, Term{3}, PlaceKind::Host, true}});
  sut_.hello(Chassis::blade_id(2), {{Chassis::role_id(2), Term{1}, PlaceKind::Host, true}});
  the_standby_is_back({});
  sut_.pass(1s);
  EXPECT_FALSE(sut_.isolated.contains(sut_.standby()));
}

}  // namespace
}  // namespace understudy::control::test
