// SPDX-License-Identifier: Apache-2.0
/// A false alarm while the switch hangs, and whose power stays on.
/// Covers: control-server/core/role_takeover.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kBlade{"blade-1"};
const RoleId kRole{"role-1"};

class CalledOff : public testing::Test {
 protected:
  CalledOff() { sut_.bring_up(); }
  void both_hear_it() {
    sut_.own_vote(kBlade, Vote::Up);
    sut_.mirror_vote(1, Vote::Up);
  }
  Chassis sut_{2};
};

TEST_F(CalledOff, WhileTheSwitchHangsABladeThatBothObserversHearAgainKeepsItsPowerAndItsRole) {
  sut_.silent_ports.insert(kBlade);
  sut_.silence(1);
  both_hear_it();
  sut_.pass(sut_.config.timings.isolation_limit + 10ms);
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
  EXPECT_TRUE(sut_.noted("state", "takeover called off"));
  ASSERT_FALSE(sut_.orders<link::ServeRole>().empty());
  EXPECT_EQ(sut_.orders<link::ServeRole>().back().second.term, Term{2});
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  sut_.silent_ports.clear();
  sut_.step(IsolateDone{kBlade});  // it has done what it was asked at first, and opens the ports behind that
  sut_.pass(1s);
  EXPECT_TRUE(sut_.isolated.empty());
  EXPECT_EQ(sut_.own(1).place, (Place{kBlade, PlaceKind::Host}));
}

TEST_F(CalledOff, WhileTheSwitchHangsABladeThatOneObserverHearsAgainIsPoweredOff) {
  sut_.silent_ports.insert(kBlade);
  sut_.silence(1);
  sut_.own_vote(kBlade, Vote::Up);
  sut_.pass(sut_.config.timings.isolation_limit + 10ms);
  EXPECT_EQ(sut_.all<PowerOff>().size(), 1U);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

TEST_F(CalledOff, ItsPortsAreNotClosedOnceMoreBeforeItServes) {
  sut_.stuck_ports.insert(kBlade);
  sut_.power_works = false;
  sut_.silence(1);
  sut_.forget();
  both_hear_it();
  ASSERT_TRUE(sut_.noted("state", "takeover called off"));
  sut_.pass(1s);
  EXPECT_EQ(sut_.all<Readmit>().size(), 1U);
  EXPECT_TRUE(sut_.all<Isolate>().empty());
}

TEST_F(CalledOff, ABladeThatAnswersTheTakeoversOwnOrderKeepsItsPower) {
  sut_.silent_ports.insert(kBlade);
  sut_.silence(1);
  sut_.report(kBlade, link::Stopped{kRole, Term{2}});
  sut_.pass(10s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_TRUE(sut_.all<PowerOff>().empty()) << "it is there, and obeys";
}

/// A filter on BFD's port comes at once for both observers: the blade is there, and takes orders.
TEST_F(CalledOff, ABladeWhoseBfdAloneIsNotHeardKeepsItsPower) {
  sut_.silence(1);
  ASSERT_EQ(sut_.state(1), RoleState::OnMirror) << "the mirror does not wait";
  sut_.pass(400ms);
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
  sut_.report(kBlade, link::Stopped{kRole, Term{2}});
  sut_.pass(60s);
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
}

TEST_F(CalledOff, OneThatSaysNothingIsPoweredOffSoon) {
  sut_.silence(1);
  sut_.pass(100ms);
  sut_.report(kBlade, link::Stopped{kRole, Term{1}});  // of an earlier takeover
  sut_.pass(400ms);
  EXPECT_EQ(sut_.all<PowerOff>().size(), 1U);
}

/// Rule 15: what another boot of the guest has is not the copy that was synced.
TEST_F(CalledOff, ARoleThatWasLetGoIsNotGivenToAGuestThatHasRebootedSince) {
  sut_.mirror_state(1, MirrorPhase::Connected, "another boot");
  sut_.forget();
  sut_.report(kBlade, link::HandedOver{kRole, Term{2}, {}});
  EXPECT_TRUE(sut_.orders<link::Activate>().empty());
  EXPECT_EQ(sut_.own(1).place, (Place{kBlade, PlaceKind::Host}));
}

/// Another control-server may have given the role to somebody else meanwhile: the store alone knows.
TEST_F(CalledOff, ABladeWhoseTermTheStoreRefusesStaysIsolated) {
  sut_.stuck_ports.insert(kBlade);
  sut_.power_works = false;
  sut_.silence(1);
  sut_.stuck_ports.clear();
  sut_.isolated.insert(kBlade);  // by the other one
  sut_.store[kRole].term = Term{9};
  sut_.forget();
  both_hear_it();
  ASSERT_TRUE(sut_.noted("state", "takeover called off"));
  ASSERT_TRUE(sut_.group->find(kRole)->decisions_stopped());
  sut_.pass(60s);
  EXPECT_TRUE(sut_.all<Readmit>().empty());
  EXPECT_TRUE(sut_.isolated.contains(kBlade));
}

TEST_F(CalledOff, ABladeIsReadmittedWhenItsNewTermIsStored) {
  sut_.stuck_ports.insert(kBlade);
  sut_.power_works = false;
  sut_.silence(1);
  sut_.store_answers = false;
  sut_.forget();
  both_hear_it();
  ASSERT_TRUE(sut_.noted("state", "takeover called off"));
  sut_.pass(1s);
  EXPECT_TRUE(sut_.all<Readmit>().empty());
  sut_.step(StoreDone{kRole, Term{2}});
  EXPECT_EQ(sut_.all<Readmit>().size(), 1U);
  EXPECT_FALSE(sut_.orders<link::ServeRole>().empty());
}

TEST_F(CalledOff, WhileAPersonDecidesNoPortIsClosed) {
  sut_.store_answers = false;
  sut_.silence(1);
  sut_.step(StoreFailed{kRole, Term{2}, true, "another term"});
  sut_.forget();
  sut_.step(ReadmitDone{kBlade});
  sut_.pass(60s);
  EXPECT_TRUE(sut_.all<Isolate>().empty());
  EXPECT_TRUE(sut_.all<PowerOff>().empty());
}

}  // namespace
}  // namespace understudy::control::test
