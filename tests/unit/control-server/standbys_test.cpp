// SPDX-License-Identifier: Apache-2.0
/// A group with two standbys: blade-3 is the preferred one, blade-4 its spare. What is per standby is asked of a
/// standby, not of the group.
#include "chassis.hpp"

namespace understudy::control::test {
namespace {

const BladeId kFirst{"blade-3"};
const BladeId kSpare{"blade-4"};
const RoleId kRole1{"role-1"};
const RoleId kRole2{"role-2"};

class Standbys : public ::testing::Test {
 protected:
  [[nodiscard]] std::vector<BladeId> mirroring() const {
    std::vector<BladeId> blades;
    for (const auto& [blade, order] : sut_.orders<link::RunMirror>()) { blades.push_back(blade); }
    return blades;
  }
  [[nodiscard]] const link::BladeStatus status_of(const BladeId& blade) const {
    for (const auto& one : sut_.group->status().blades) {
      if (one.blade == blade) { return one; }
    }
    ADD_FAILURE() << blade.value;
    return {};
  }

  Chassis sut_{with_a_spare(2)};
};

TEST_F(Standbys, AreAListInTheOrderOfTheConfiguration) {
  EXPECT_EQ(sut_.config.standbys(), (std::vector<BladeId>{kFirst, kSpare}));
}

TEST_F(Standbys, TheFirstRunsTheMirrorsAndTheSpareIsWatched) {
  sut_.bring_up();
  ASSERT_FALSE(mirroring().empty());
  for (const auto& blade : mirroring()) { EXPECT_EQ(blade, kFirst); }
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  EXPECT_EQ(sut_.state(2), RoleState::Protected);
  EXPECT_EQ(sut_.group->status().standby, kFirst);
  EXPECT_TRUE(status_of(kFirst).standby);
  EXPECT_FALSE(status_of(kFirst).spare);
  EXPECT_FALSE(status_of(kSpare).standby);
  EXPECT_TRUE(status_of(kSpare).spare);
  EXPECT_EQ(status_of(kSpare).bfd, Vote::Up);
}

TEST_F(Standbys, ASilentSpareExposesNobodyAndTakesNoPartInATakeover) {
  sut_.bring_up();
  sut_.own_vote(kSpare, Vote::Down);
  sut_.step(AgentLost{kSpare});
  sut_.pass(20s);
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  sut_.silence(1);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(1).place, (Place{kFirst, PlaceKind::Mirror}));
}

TEST_F(Standbys, OnlyTheStandbyThatBecameAnActiveIsReleased) {
  sut_.bring_up();
  sut_.silence(1);
  sut_.forget();
  sut_.step(OperatorMove{kRole1});
  ASSERT_EQ(sut_.own(1).place, (Place{kFirst, PlaceKind::Host}));
  const auto released = sut_.orders<link::ReleaseMirrors>();
  ASSERT_FALSE(released.empty());
  for (const auto& [blade, order] : released) { EXPECT_EQ(blade, kFirst); }
  EXPECT_FALSE(status_of(kFirst).standby) << "it is an active now";
  EXPECT_TRUE(status_of(kSpare).standby || status_of(kSpare).spare);
}

/// Where an operator has changed the order, or a spare was used once: two mirrors of one role have one address.
TEST_F(Standbys, MirrorsThatNobodyWantsOnASpareAreReleased) {
  for (unsigned i = 1; i <= 2; ++i) {
    const auto role = Chassis::role_id(i);
    sut_.store[role] = {role, Term{1}, {Chassis::blade_id(i), PlaceKind::Host}, link::StopEvidence::NeverServed, {}};
  }
  sut_.restart_control_server();
  for (const auto& blade : sut_.config.blades) { sut_.own_vote(blade.id, Vote::Up); }
  for (const auto* blade : {"blade-1", "blade-2", "blade-3"}) { sut_.hello(BladeId{blade}); }
  sut_.hello(kSpare, {{kRole1, Term{1}, PlaceKind::Mirror, false}});
  const auto released = sut_.orders<link::ReleaseMirrors>();
  ASSERT_EQ(released.size(), 1U);
  EXPECT_EQ(released[0].first, kSpare);
  EXPECT_TRUE(released[0].second.except.empty());
  for (const auto& blade : mirroring()) { EXPECT_EQ(blade, kFirst); }
}

TEST_F(Standbys, ARolesStandbyIsTheOneThatHasItWhicheverIsPreferred) {
  sut_.store[kRole1] = {kRole1, Term{4}, {kSpare, PlaceKind::Mirror}, link::StopEvidence::Isolated, Term{}};
  sut_.restart_control_server();
  EXPECT_EQ(sut_.group->find(kRole1)->standby(), kSpare);
  EXPECT_EQ(sut_.group->find(kRole2)->standby(), kFirst);
  for (const auto& blade : sut_.config.blades) { sut_.own_vote(blade.id, Vote::Up); }
  sut_.hello(kSpare, {{kRole1, Term{4}, PlaceKind::Mirror, true}});
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

/// An operator has changed the order: the active serves on, and must let another standby's mirror follow.
TEST_F(Standbys, AnActiveIsToldWhoseMirrorMayFollow) {
  auto group = with_a_spare(1);
  group.roles[0].spec.mirror_blade = BladeId{"blade-2"};
  Chassis chassis(group);
  chassis.bring_up();
  EXPECT_EQ(chassis.orders<link::RunMirror>().back().second.spec.mirror_blade, BladeId{"blade-2"});
  std::swap(chassis.config.blades[1], chassis.config.blades[2]);
  chassis.config.roles[0].spec.mirror_blade = BladeId{"blade-3"};
  chassis.restart_control_server();
  chassis.forget();
  chassis.hello(BladeId{"blade-1"}, {{kRole1, Term{1}, PlaceKind::Host, true}});
  ASSERT_EQ(chassis.orders<link::ServeRole>().size(), 1U);
  EXPECT_EQ(chassis.orders<link::ServeRole>()[0].second.spec.mirror_blade, BladeId{"blade-3"});
  EXPECT_EQ(chassis.orders<link::ServeRole>()[0].second.term, Term{1});
  chassis.hello(BladeId{"blade-3"});
  EXPECT_EQ(chassis.orders<link::RunMirror>().back().first, BladeId{"blade-3"});
  EXPECT_EQ(chassis.orders<link::RunMirror>().back().second.spec.mirror_blade, BladeId{"blade-3"});
  chassis.hello(BladeId{"blade-2"}, {{kRole1, Term{1}, PlaceKind::Mirror, false}});
  EXPECT_EQ(chassis.orders<link::ReleaseMirrors>().back().first, BladeId{"blade-2"});
}

TEST_F(Standbys, WhereNothingIsStoredEachOfThemIsAskedBeforeARoleStarts) {
  for (const auto& blade : sut_.config.blades) { sut_.own_vote(blade.id, Vote::Up); }
  for (const auto* blade : {"blade-1", "blade-2", "blade-3"}) { sut_.hello(BladeId{blade}); }
  EXPECT_TRUE(sut_.orders<link::ServeRole>().empty()) << "the spare may have the role";
  sut_.pass(sut_.config.timings.hello_wait);
  EXPECT_NE(sut_.status(1).detail.find("waiting for the host-agent of blade-4"), std::string::npos);
  sut_.hello(kSpare, {{kRole1, Term{7}, PlaceKind::Mirror, true}});
  EXPECT_EQ(sut_.own(1).place, (Place{kSpare, PlaceKind::Mirror}));
  EXPECT_EQ(sut_.own(1).term, Term{7});
  EXPECT_EQ(sut_.group->find(kRole1)->standby(), kSpare);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(2).place, (Place{BladeId{"blade-2"}, PlaceKind::Host}));
}

/// A store that names the active is older than the truth, and the spare knows better (rule 7).
TEST_F(Standbys, ASpareThatServesUnderANewerTermIsAdopted) {
  sut_.store[kRole1] = {kRole1, Term{1}, {BladeId{"blade-1"}, PlaceKind::Host}, link::StopEvidence::NeverServed, {}};
  sut_.restart_control_server();
  sut_.hello(kSpare, {{kRole1, Term{3}, PlaceKind::Mirror, true}});
  EXPECT_EQ(sut_.own(1).place, (Place{kSpare, PlaceKind::Mirror}));
  EXPECT_EQ(sut_.own(1).term, Term{3});
  EXPECT_TRUE(sut_.isolated.contains(BladeId{"blade-1"}));
}

/// What one standby is busy with keeps no role of another one waiting.
TEST_F(Standbys, ARoleOnTheSparesMirrorMovesAlthoughAnotherIsServedByAMirrorOfTheFirst) {
  sut_.store[kRole1] = {kRole1, Term{4}, {kSpare, PlaceKind::Mirror}, link::StopEvidence::Isolated, Term{}};
  sut_.store[kRole2] = {kRole2, Term{4}, {kFirst, PlaceKind::Mirror}, link::StopEvidence::Isolated, Term{}};
  sut_.config.movement = link::MovementPolicy::Always;
  sut_.restart_control_server();
  for (const auto& blade : sut_.config.blades) { sut_.own_vote(blade.id, Vote::Up); }
  sut_.hello(kSpare, {{kRole1, Term{4}, PlaceKind::Mirror, true}});
  sut_.hello(kFirst, {{kRole2, Term{4}, PlaceKind::Mirror, true}});
  sut_.pass(sut_.config.timings.movement_delay);
  EXPECT_EQ(sut_.own(1).place, (Place{kSpare, PlaceKind::Host}));
  EXPECT_EQ(sut_.own(2).place, (Place{kFirst, PlaceKind::Host}));
}

TEST_F(Standbys, OnlyTheOneThatSharesTheControlServersBladeArmsNoLease) {
  for (const auto& [blade, armed] : {std::pair{kFirst, false}, std::pair{kSpare, true}}) {
    auto group = with_a_spare(2);
    group.leases = true;
    group.control_blade = blade;
    Chassis chassis(group);
    chassis.bring_up();
    chassis.pass(10s);
    EXPECT_EQ(!chassis.orders<link::ArmLease>().empty(), armed) << blade.value;
  }
}

/// That the control-server hears the blade that it runs on says nothing about its network, whatever that blade is.
TEST_F(Standbys, TheControlServersOwnBladeIsNoWitness) {
  for (const auto& [own, state] :
       {std::pair{BladeId{}, RoleState::OnMirror}, std::pair{BladeId{"blade-3"}, RoleState::Protected}}) {
    auto group = with_a_spare(1);
    group.control_blade = own;
    Chassis chassis(group);
    chassis.bring_up();
    chassis.own_vote(BladeId{"blade-2"}, Vote::Down);  // the standby: blade-3, the spare, is all that is heard
    chassis.silence(1);
    EXPECT_EQ(chassis.state(1), state) << own.value;
  }
}

TEST_F(Standbys, ASpareThatIsFoundBehindClosedPortsIsOpened) {
  sut_.isolated.insert(kSpare);
  sut_.restart_control_server();
  sut_.bring_up();
  sut_.pass(2s);
  EXPECT_FALSE(sut_.isolated.contains(kSpare));
}

}  // namespace
}  // namespace understudy::control::test
