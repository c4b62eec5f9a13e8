// SPDX-License-Identifier: Apache-2.0
/// A blade's own word that it is no good place for its role: the table of role_fitness.hpp, and what a group does of
/// it. Covers: control-server/core/role_fitness.cpp, control-server/core/group_fitness.cpp
#include <gtest/gtest.h>

#include "chassis.hpp"
#include "core/role_fitness.hpp"

namespace understudy::control::test {
namespace {

using link::UnfitCause;

// --- the table ---

enum class Standby { NotSynced, HasAll, LacksTheSame, LacksOther };

FitnessCase made(bool unwell, bool lacks, Standby standby) {
  FitnessCase of;
  of.unwell = unwell;
  if (lacks) { of.lacks = {"external"}; }
  of.mirror_synced = standby != Standby::NotSynced;
  if (standby == Standby::LacksTheSame) { of.standby_lacks = {"external"}; }
  if (standby == Standby::LacksOther) { of.standby_lacks = {"intranet"}; }
  of.links_settled = true;
  return of;
}

TEST(FitnessTable, EveryWordMeetsEveryMirrorAndEveryStandbysLink) {
  using V = FitnessVerdict;
  struct Row {
    bool unwell;
    bool lacks;
    std::array<V, 4> verdicts;  ///< not synced; synced and has all, lacks the same, lacks what the blade has
  };
  const std::vector<Row> rows{
      {false, false, {V::Fit, V::Fit, V::Fit, V::Fit}},
      // An unwell blade that has the link is not better understudied by a standby that lacks it.
      {true, false, {V::NobodyCan, V::TakeOver, V::NoBetter, V::NoBetter}},
      {false, true, {V::NobodyCan, V::TakeOver, V::NetworkFailed, V::NoBetter}},
      {true, true, {V::NobodyCan, V::TakeOver, V::TakeOver, V::NoBetter}},
  };
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.verdicts.size(); ++i) {
      const auto of = made(row.unwell, row.lacks, static_cast<Standby>(i));
      EXPECT_EQ(judge_fitness(of), row.verdicts[i]) << row.unwell << row.lacks << ", standby " << i;
      auto all = of;
      all.all_lack = of.lacks;
      const bool by_link_alone = row.lacks && !row.unwell;
      EXPECT_EQ(judge_fitness(all), by_link_alone ? V::NetworkFailed : row.verdicts[i]) << "all actives lack it, " << i;
      auto early = of;
      early.links_settled = false;
      const bool waits = by_link_alone && row.verdicts[i] == V::TakeOver;
      EXPECT_EQ(judge_fitness(early), waits ? V::Wait : row.verdicts[i]) << "too early, " << i;
      auto again = of;
      again.tried_before = true;
      EXPECT_EQ(judge_fitness(again), row.verdicts[i] == V::TakeOver ? V::TriedBefore : row.verdicts[i]) << i;
    }
  }
}

TEST(FitnessTable, OneLinkThatIsTheBladesOwnFaultIsEnough) {
  auto of = made(false, true, Standby::HasAll);
  of.lacks = {"external", "intranet"};
  of.standby_lacks = {"external"};
  EXPECT_EQ(judge_fitness(of), FitnessVerdict::TakeOver);
  of.all_lack = {"intranet"};
  EXPECT_EQ(judge_fitness(of), FitnessVerdict::NetworkFailed);
}

// --- a group ---

class GroupFitness : public testing::Test {
 protected:
  explicit GroupFitness(unsigned actives = 2) : sut_(with_ports(actives)) { sut_.bring_up(); }

  static GroupConfig with_ports(unsigned actives) {
    auto made = test::config(actives);
    made.hold_out.failures = 3;
    for (auto& role : made.roles) {
      role.spec.ports = {{"ext", "external", {}, {}}, {"int", "intranet-" + std::to_string(role.spec.number), {}, {}}};
    }
    return made;
  }
  [[nodiscard]] Term term(unsigned role) const { return sut_.own(role).term; }
  void unwell(unsigned role, UnfitCause cause = UnfitCause::Health) {
    sut_.report(Chassis::blade_id(role), link::RoleUnfit{Chassis::role_id(role), term(role), cause, {}, "it is ill"});
  }
  void lacks(unsigned role, std::vector<std::string> networks) {
    lacks(Chassis::blade_id(role), role, std::move(networks));
  }
  void lacks(const BladeId& blade, unsigned role, std::vector<std::string> networks) {
    sut_.report(blade, link::RoleUnfit{Chassis::role_id(role), term(role), UnfitCause::Link, std::move(networks),
                                       "no link to external"});
  }
  void fit(unsigned role, UnfitCause cause) {
    sut_.report(Chassis::blade_id(role), link::RoleFit{Chassis::role_id(role), term(role), cause});
  }
  [[nodiscard]] bool alarmed(unsigned role, const std::string& words) const {
    return sut_.status(role).detail.find(words) != std::string::npos;
  }
  Chassis sut_;
};

TEST_F(GroupFitness, AnUnwellBladeIsIsolatedAndItsMirrorTakesOverWhileItKeepsItsPower) {
  unwell(1);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_EQ(sut_.own(1).evidence, link::StopEvidence::Isolated);
  EXPECT_TRUE(sut_.isolated.contains(Chassis::blade_id(1)));
  EXPECT_TRUE(sut_.powered_off.empty());
  EXPECT_TRUE(sut_.noted("state", "it is ill"));
  EXPECT_EQ(sut_.state(2), RoleState::Protected);
}

TEST_F(GroupFitness, TheApplicationsOwnWordIsOne) {
  unwell(2, UnfitCause::Apparatus);
  EXPECT_EQ(sut_.state(2), RoleState::OnMirror);
}

TEST_F(GroupFitness, WithoutASyncedMirrorItIsServedOnWithAnAlarmAndTakenOverWhenThereIsOne) {
  sut_.mirror_state(1, MirrorPhase::Syncing);
  unwell(1);
  sut_.pass(60s);
  EXPECT_EQ(sut_.state(1), RoleState::Exposed);
  EXPECT_TRUE(alarmed(1, "it is ill. It serves on, since no synced mirror can take over"));
  sut_.mirror_state(1, MirrorPhase::Synced);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_FALSE(alarmed(1, "it is ill")) << "that was the former place";
}

TEST_F(GroupFitness, AMirrorThatHasJustLostItsSyncIsNoBetterPlace) {
  sut_.mirror_state(1, MirrorPhase::Connected);
  ASSERT_EQ(sut_.state(1), RoleState::Protected) << "for a moment of grace";
  unwell(1);
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  EXPECT_TRUE(alarmed(1, "no synced mirror"));
}

TEST_F(GroupFitness, FitAgainIsToldAndEndsTheAlarm) {
  sut_.mirror_state(1, MirrorPhase::Syncing);
  unwell(1);
  unwell(1, UnfitCause::Apparatus);
  fit(1, UnfitCause::Health);
  EXPECT_TRUE(alarmed(1, "it is ill"));
  fit(1, UnfitCause::Apparatus);
  EXPECT_EQ(sut_.status(1).detail.find("ill"), std::string::npos);
  sut_.mirror_state(1, MirrorPhase::Synced);
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
}

TEST_F(GroupFitness, ALinkThatTheBladeAloneLacksIsTakenOverWhenTheWordHasStoodForAMoment) {
  lacks(1, {"external"});
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  sut_.pass(490ms);
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  sut_.pass(20ms);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

TEST_F(GroupFitness, ADeadSwitchIsNoFailoverInWhateverOrderItIsTold) {
  lacks(1, {"external"});
  sut_.pass(300ms);
  lacks(2, {"external"});
  sut_.pass(60s);
  for (const unsigned role : {1U, 2U}) {
    EXPECT_EQ(sut_.state(role), RoleState::Protected) << role;
    EXPECT_TRUE(alarmed(role, "look at the network's switch")) << role;
  }
  EXPECT_TRUE(sut_.all<Isolate>().empty());
}

TEST_F(GroupFitness, ALinkThatTheStandbyLacksTooIsNoFailover) {
  lacks(1, {"external"});
  sut_.pass(300ms);
  lacks(sut_.standby(), 1, {"external"});
  sut_.pass(60s);
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  EXPECT_TRUE(alarmed(1, "look at the network's switch"));
  EXPECT_TRUE(alarmed(1, "has no link to external: after a takeover the role would not have it"));
  sut_.report(sut_.standby(), link::RoleFit{Chassis::role_id(1), term(1), UnfitCause::Link});
  EXPECT_EQ(sut_.state(1), RoleState::Protected) << "the blade's own link may be back in a moment, too";
  sut_.pass(510ms);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror) << "then it is the blade's own fault";
}

TEST_F(GroupFitness, AnUnwellBladeServesOnWhileItsStandbyLacksALink) {
  lacks(sut_.standby(), 1, {"intranet-1"});
  unwell(1);
  sut_.pass(60s);
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  EXPECT_TRUE(alarmed(1, "blade-3 lacks a link that it has: intranet-1"));
  EXPECT_TRUE(sut_.all<Isolate>().empty());
}

TEST_F(GroupFitness, WhatTheStandbyLacksStopsNoFailoverOfADeadBlade) {
  lacks(sut_.standby(), 1, {"external"});
  sut_.silence(1);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

TEST_F(GroupFitness, ATakeoverThatFailsGivesTheRoleBackAndIsNotTriedAgainForAWhile) {
  sut_.silent_agents.insert(sut_.standby());
  unwell(1);
  ASSERT_EQ(sut_.state(1), RoleState::TakingOver);
  sut_.report(sut_.standby(), link::ActivateFailed{Chassis::role_id(1), term(1), "its application does not start"});
  sut_.report(sut_.standby(), link::Stopped{Chassis::role_id(1), term(1).next()});
  ASSERT_EQ(sut_.own(1).place, (Place{Chassis::blade_id(1), PlaceKind::Host}));
  EXPECT_FALSE(sut_.isolated.contains(Chassis::blade_id(1)));
  sut_.mirror_state(1, MirrorPhase::Synced);
  ASSERT_EQ(sut_.state(1), RoleState::Protected);
  EXPECT_EQ(sut_.status(1).detail, "") << "its mirror could take over now, for all that is known";
  unwell(1);
  sut_.pass(60s);
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  EXPECT_TRUE(alarmed(1, "a takeover for this was begun a short while ago"));
  sut_.pass(600s);
  EXPECT_EQ(sut_.state(1), RoleState::TakingOver);
  for (const auto& note : sut_.notes) { EXPECT_FALSE(note.kind == "state" && note.text.starts_with("lost")); }
}

TEST_F(GroupFitness, AWordUnderAnotherTermOrOfAnotherBladeMovesNothing) {
  sut_.report(Chassis::blade_id(1), link::RoleUnfit{Chassis::role_id(1), Term{99}, UnfitCause::Health, {}, "x"});
  EXPECT_TRUE(sut_.noted("ignored", "unfit (health)"));
  sut_.forget();
  sut_.report(Chassis::blade_id(2), link::RoleUnfit{Chassis::role_id(1), term(1), UnfitCause::Health, {}, "x"});
  sut_.report(sut_.standby(), link::RoleUnfit{Chassis::role_id(1), term(1), UnfitCause::Health, {}, "x"});
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  EXPECT_TRUE(sut_.noted("ignored", "unfit (health)"));
}

TEST_F(GroupFitness, NothingIsKnownOfABladeWhoseHostAgentIsAwayUntilItTellsAnew) {
  sut_.mirror_state(1, MirrorPhase::Syncing);
  unwell(1);
  sut_.step(AgentLost{Chassis::blade_id(1)});
  sut_.mirror_state(1, MirrorPhase::Synced);
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  sut_.hello(Chassis::blade_id(1), {{Chassis::role_id(1), term(1), PlaceKind::Host, true}});
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  unwell(1);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
}

TEST_F(GroupFitness, AFaultThatComesAndGoesIsAFailureOfThatBladeEachTime) {
  sut_.mirror_state(1, MirrorPhase::Syncing);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(sut_.noted("held-out", "held out after 3 failures")) << i;
    unwell(1);
    sut_.pass(1s);
    fit(1, UnfitCause::Health);
    fit(1, UnfitCause::Health);  // said twice is gone once
  }
  EXPECT_TRUE(sut_.noted("held-out", "held out after 3 failures"));
}

TEST_F(GroupFitness, ANetworkThatComesAndGoesIsHeldAgainstNobody) {
  for (int i = 0; i < 5; ++i) {
    lacks(1, {"external"});
    lacks(2, {"external"});
    sut_.pass(1s);
    fit(1, UnfitCause::Link);
    fit(2, UnfitCause::Link);
    sut_.pass(1s);
  }
  EXPECT_FALSE(sut_.noted("held-out", "held out")) << "each of them at most once, when it was the last to have it";
  EXPECT_EQ(sut_.state(1), RoleState::Protected);
  EXPECT_EQ(sut_.state(2), RoleState::Protected);
}

TEST_F(GroupFitness, ARoleOnItsMirrorIsServedOnThere) {
  sut_.silence(1);
  ASSERT_EQ(sut_.state(1), RoleState::OnMirror);
  lacks(sut_.standby(), 1, {"external"});
  sut_.pass(60s);
  EXPECT_EQ(sut_.state(1), RoleState::OnMirror);
  EXPECT_TRUE(alarmed(1, "nothing understudies a role that is served there"));
}

}  // namespace
}  // namespace understudy::control::test
