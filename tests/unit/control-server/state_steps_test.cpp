// SPDX-License-Identifier: Apache-2.0
/// The steps inside a role's states: what is waited for, what is being stored, how far a lease is. Each meets every
/// event of the role's table and those that only a step waits for, as docs/tables/role_steps.txt and role_lease.txt
/// say. What must hold in each of these cells, whatever a table says, is written down here by hand.
/// Covers: control-server/core/role_takeover.cpp, control-server/core/role_lease.cpp,
/// control-server/core/role_machine.cpp
#include <gtest/gtest.h>

#include "role_rows.hpp"

namespace understudy::control::test {
namespace {

struct Step {
  const char* name;
  RoleState state;
  std::function<void(Chassis&)> reach;
};

void nobody_answers(Chassis& chassis) {
  for (const auto& blade : chassis.config.blades) { chassis.silent_agents.insert(blade.id); }
}
void nothing_obeys(Chassis& chassis) {
  chassis.stuck_ports.insert(kActive);
  chassis.power_works = false;
}
void on_mirror(Chassis& chassis) {
  chassis.silence(1);
  chassis.pass(500ms);  // its power is off
  nobody_answers(chassis);
}
/// What was asked of the store last, of the active's lease, and of the standby.
template <class Wanted, class Fits>
std::optional<Wanted> last_told(const Chassis& chassis, const Fits& fits) {
  for (auto at = chassis.trace.rbegin(); at != chassis.trace.rend(); ++at) {
    const auto* effect = std::get_if<Effect>(&*at);
    if (const auto found = effect != nullptr ? fits(*effect) : std::optional<Wanted>{}) { return found; }
  }
  return std::nullopt;
}
Term last_stored(const Chassis& chassis) {
  const auto term_of = [](const Effect& effect) {
    const auto* persist = std::get_if<Persist>(&effect);
    const bool ours = persist != nullptr && persist->next.role == kRole;
    return ours ? std::optional(persist->next.highest()) : std::nullopt;
  };
  return last_told<Term>(chassis, term_of).value_or(Term{99});
}
std::uint64_t last_armed(const Chassis& chassis) {
  const auto id_of = [](const Effect& effect) -> std::optional<std::uint64_t> {
    const auto* send = std::get_if<Send>(&effect);
    const auto* arm = send != nullptr ? std::get_if<link::ArmLease>(&send->order) : nullptr;
    return arm != nullptr && arm->role == kRole ? std::optional(arm->id) : std::nullopt;
  };
  return last_told<std::uint64_t>(chassis, id_of).value_or(1);
}

void leased(Chassis& chassis) {
  chassis.report(kActive, link::LeaseState{kRole, chassis.own(1).term, last_armed(chassis)});
}

std::vector<Step> steps() {
  return {
      {"starting (the mirror is asked)", RoleState::Starting,
       [](Chassis& chassis) {
         chassis.mirror_state(1, MirrorPhase::Connected);
         chassis.pass(chassis.config.timings.sync_grace);
         nobody_answers(chassis);
         chassis.hello(kActive);
       }},
      {"starting (being stored)", RoleState::Starting,
       [](Chassis& chassis) {
         chassis.mirror_state(1, MirrorPhase::Syncing);
         chassis.store_answers = false;
         chassis.hello(kActive);
       }},
      {"handing over", RoleState::TakingOver,
       [](Chassis& chassis) {
         nobody_answers(chassis);
         chassis.step(OperatorSwitchover{kRole, true});
       }},
      {"isolating", RoleState::TakingOver,
       [](Chassis& chassis) {
         chassis.silent_ports.insert(kActive);
         chassis.silence(1);
       }},
      {"power asked", RoleState::TakingOver,
       [](Chassis& chassis) {
         nothing_obeys(chassis);
         chassis.power_answers = false;
         chassis.silence(1);
       }},
      {"nothing obeys", RoleState::TakingOver,
       [](Chassis& chassis) {
         nothing_obeys(chassis);
         nobody_answers(chassis);
         chassis.silence(1);
       }},
      {"owner being stored", RoleState::TakingOver,
       [](Chassis& chassis) {
         chassis.store_answers = false;
         chassis.silence(1);
       }},
      {"activating (power due)", RoleState::TakingOver,
       [](Chassis& chassis) {
         nobody_answers(chassis);
         chassis.silent_ports.insert(kActive);
         chassis.silence(1);
         chassis.own_vote(kActive, Vote::Up);
         chassis.step(IsolateDone{kActive});
       }},
      {"giving back", RoleState::TakingOver,
       [](Chassis& chassis) {
         nobody_answers(chassis);
         chassis.report(kActive, link::RoleUnfit{kRole, chassis.own(1).term, link::UnfitCause::Health, {}, "x"});
         chassis.report(chassis.standby(), link::ActivateFailed{kRole, chassis.own(1).term, "x"});
       }},
      {"moving (being stored)", RoleState::Moving,
       [](Chassis& chassis) {
         on_mirror(chassis);
         chassis.store_answers = false;
         chassis.step(OperatorMove{kRole});
       }},
      {"moving (its end being stored)", RoleState::Moving,
       [](Chassis& chassis) {
         on_mirror(chassis);
         chassis.step(OperatorMove{kRole});
         chassis.store_answers = false;
         chassis.report(chassis.standby(), link::Moved{kRole, chassis.own(1).reserved, {}});
       }},
      {"decisions stopped", RoleState::TakingOver,
       [](Chassis& chassis) {
         chassis.store_answers = false;
         chassis.silence(1);
         chassis.step(StoreFailed{kRole, last_stored(chassis), true, "x"});
       }},
  };
}

std::vector<Step> lease_steps() {
  return {
      {"lease being armed", RoleState::Protected, [](Chassis&) {}},
      {"lease being stored", RoleState::Protected,
       [](Chassis& chassis) {
         chassis.store_answers = false;
         leased(chassis);
       }},
      {"leased", RoleState::Protected, [](Chassis& chassis) { leased(chassis); }},
      {"lease being taken back", RoleState::Exposed,
       [](Chassis& chassis) {
         leased(chassis);
         chassis.store_answers = false;
         chassis.mirror_state(1, MirrorPhase::Failed);
       }},
      {"grants being stopped", RoleState::TakingOver,
       [](Chassis& chassis) {
         leased(chassis);
         nothing_obeys(chassis);
         chassis.silence(1);
       }},
      {"being counted out", RoleState::TakingOver,
       [](Chassis& chassis) {
         leased(chassis);
         nothing_obeys(chassis);
         chassis.silence(1);
         chassis.report(chassis.standby(), link::GrantsStopped{kRole, chassis.own(1).term});
       }},
  };
}

Chassis in_step(const Step& step, bool leases) {
  auto group = config(2);
  group.leases = leases;
  Chassis chassis(group);
  chassis.bring_up();
  if (leases) { chassis.pass(2s); }
  step.reach(chassis);
  nobody_answers(chassis);
  return chassis;
}

/// The role's own, and what only a step waits for.
std::vector<Row> step_rows() {
  auto all = rows();
  const auto store = [](bool conflict) {
    return [conflict](Chassis& chassis) { chassis.step(StoreFailed{kRole, last_stored(chassis), conflict, "x"}); };
  };
  const std::vector<Row> more{
      {"the store has written what was asked last",
       [](Chassis& chassis) {
         chassis.store_answers = true;
         chassis.step(StoreDone{kRole, last_stored(chassis)});
       }},
      {"the store cannot write, for a while", store(false)},
      {"the store holds another ownership", store(true)},
      {"the active has stood down for this takeover",
       [](Chassis& chassis) {
         chassis.report(kActive, link::Stopped{kRole, chassis.own(1).term.next()});
       }},
      {"the standby has stood down for the next term",
       [](Chassis& chassis) {
         chassis.report(chassis.standby(), link::Stopped{kRole, chassis.own(1).term.next()});
       }},
      {"the standby is isolated", [](Chassis& chassis) { chassis.step(IsolateDone{chassis.standby()}); }},
      {"the standby is powered off", [](Chassis& chassis) { chassis.step(PowerDone{chassis.standby()}); }},
      {"both observers hear the active, for two seconds",
       [](Chassis& chassis) {
         chassis.own_vote(kActive, Vote::Up);
         chassis.mirror_vote(1, Vote::Up);
         chassis.pass(2s);
       }},
      {"the active's gate is timed by the last order",
       [](Chassis& chassis) {
         chassis.report(kActive, link::LeaseState{kRole, chassis.own(1).term, last_armed(chassis)});
       }},
      {"the time of a lease passes", [](Chassis& chassis) { chassis.pass(chassis.config.timings.lease_out()); }},
  };
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

struct StepCell {
  documented::Cell cell;
  Term before;
  Ownership after;
};

StepCell cell_of(const Row& row, const Step& step, bool leases) {
  auto chassis = in_step(step, leases);
  chassis.forget();
  StepCell found{{step.name, step.name, {}}, chassis.own(1).term, {}};
  row.act(chassis);
  if (chassis.state(1) != step.state) { found.cell.after = to_string(chassis.state(1)); }
  for (const auto& effect : chassis.effects) {
    found.cell.effects.push_back(effect_words(chassis, effect, found.before));
  }
  found.after = chassis.own(1);
  return found;
}

void expect_table(const char* name, const std::vector<Step>& all, bool leases) {
  std::vector<std::string> table;
  for (const auto& row : step_rows()) {
    std::vector<documented::Cell> cells;
    for (const auto& step : all) { cells.push_back(cell_of(row, step, leases).cell); }
    table.push_back(documented::row_text(row.event, cells));
  }
  documented::expect_documented(name, table);
}

TEST(StepTable, EveryStepIsReached) {
  for (const auto& step : steps()) { EXPECT_EQ(in_step(step, false).state(1), step.state) << step.name; }
  for (const auto& step : lease_steps()) { EXPECT_EQ(in_step(step, true).state(1), step.state) << step.name; }
  using Words = std::vector<std::string>;
  Words lease_words;
  for (const auto& step : lease_steps()) { lease_words.push_back(in_step(step, true).status(1).lease); }
  EXPECT_EQ(lease_words, (Words{"arming", "arming", "armed", "armed", "stopping", "counting"}));
}

TEST(StepTable, EveryEventInEveryStep) { expect_table("role_steps.txt", steps(), false); }

TEST(StepTable, EveryEventInEveryStepOfALease) { expect_table("role_lease.txt", lease_steps(), true); }

/// Who may make the mirror the owner, by the step of the takeover: written by hand, from the design.
const std::map<std::string, std::set<std::string>> kEvidence{
    // The power works there: it is asked when the switch refuses, or has not answered for two seconds.
    {"isolating",
     {"the switch isolated the active", "the active is powered off", "the active has stood down for this takeover",
      "the active comes back without the role", "the active has handed over", "the switch refused",
      "the standby's host-agent is lost, for long", "the standby dies", "the time of a lease passes",
      "the active tells that nothing is acknowledged, and nothing else for the grace", "nothing for a minute",
      "an operator's policy: always, for a minute"}},
    {"power asked",
     {"the switch isolated the active", "the active is powered off", "the active has stood down for this takeover",
      "the active comes back without the role", "the active has handed over"}},
    {"nothing obeys",
     {"the switch isolated the active", "the active is powered off", "the active has stood down for this takeover",
      "the active comes back without the role", "the active has handed over"}},
    {"grants being stopped",
     {"the switch isolated the active", "the active is powered off", "the active has stood down for this takeover",
      "the active comes back without the role", "the active has handed over"}},
    {"being counted out",
     {"the switch isolated the active", "the active is powered off", "the active has stood down for this takeover",
      "the active comes back without the role", "the active has handed over", "the time of a lease passes",
      "nothing for a minute", "an operator's policy: always, for a minute"}},
};

/// What holds in each cell whatever the tables say.
void expect_invariants(const std::vector<Step>& all, bool leases) {
  for (const auto& row : step_rows()) {
    for (const auto& step : all) {
      const auto found = cell_of(row, step, leases);
      const std::string where = std::string(row.event) + ", in: " + step.name;
      const auto begins = [&](const std::string& words) {
        return std::any_of(found.cell.effects.begin(), found.cell.effects.end(),
                           [&](const auto& effect) { return effect.rfind(words, 0) == 0; });
      };
      const std::string name = step.name;
      const bool being_stored = name.find("being stored") != std::string::npos || name == "lease being taken back";
      const bool stored = row.event == std::string("the store has written what was asked last");
      const bool ordered = begins("tell standby Activate") || begins("tell active ServeRole") ||
                           begins("tell standby Move") || begins("tell active DisarmLease");
      if (being_stored && !stored) { EXPECT_FALSE(ordered) << "ordered before it is stored; " << where; }
      EXPECT_GE(found.after.term, found.before) << "a term goes back; " << where;
      const auto evidence = kEvidence.find(name);
      const bool owner = begins("store T+1 at standby/mirror") || begins("tell standby Activate");
      if (evidence != kEvidence.end()) {
        EXPECT_EQ(owner, evidence->second.contains(row.event)) << "activated, or not; " << where;
      }
      if (name == "decisions stopped") {
        for (const auto* decision : {"store", "tell active", "tell standby Activate", "tell standby StandDown",
                                     "Isolate", "PowerOff", "Readmit"}) {
          EXPECT_FALSE(begins(decision)) << decision << " while a person decides; " << where;
        }
      }
      if (name == "handing over") { EXPECT_FALSE(begins("PowerOff")) << "a switchover powers nobody off; " << where; }
      // Its own word, after it was told to stand down: it is there, and obeys.
      if (row.event == std::string("the active has stood down for this takeover") ||
          row.event == std::string("both observers hear the active, for two seconds")) {
        EXPECT_FALSE(begins("PowerOff")) << where;
      }
    }
  }
}

TEST(StepTable, NoCellBreaksAnInvariant) {
  expect_invariants(steps(), false);
  expect_invariants(lease_steps(), true);
}

}  // namespace
}  // namespace understudy::control::test
