// SPDX-License-Identifier: Apache-2.0
// What operators order by the control API, and what the core makes of it (commands.hpp has the order of things).
#include "edge/policy_record.hpp"
#include "edge/service.hpp"

namespace understudy::control {

bool ControlService::decides() {
  if (!group_) { return false; }
  if (!leads()) { stop_deciding("its lease could not be renewed in time"); }
  return group_.has_value();
}

void ControlService::add_commands(link::ControlApiHandlers& handlers) {
  using link::Command;
  using link::CommandAnswer;
  handlers.move_role = [this](const Command& command, const RoleId& role, const CommandAnswer& answer) {
    commands_.carry_out({command, "move " + role.value, role, [this, role] { return group_->check_move(role); },
                         [this, role] { step(OperatorMove{role}); }},
                        answer);
  };
  handlers.switchover = [this](const Command& command, const RoleId& role, bool force, const CommandAnswer& answer) {
    commands_.carry_out({command, "switchover " + role.value + (force ? " by force" : ""), role,
                         [this, role, force] { return group_->check_switchover(role, force); },
                         [this, role, force] {
                           step(OperatorSwitchover{role, force});
                         }},
                        answer);
  };
  handlers.let_back = [this](const Command& command, const BladeId& blade, const CommandAnswer& answer) {
    commands_.carry_out({command,
                         "let-back " + blade.value,
                         {},
                         [this, blade] { return group_->check_let_back(blade); },
                         [this, blade] { step(OperatorLetBack{blade}); }},
                        answer);
  };
  handlers.power = [this](const Command& command, const BladeId& blade, bool on, bool force,
                          const CommandAnswer& answer) {
    const PowerOrder order{blade, on, force};
    // Power is switched also by a leader whose store takes nothing, and who so decides nothing. What must be stored is
    // not: a switchover whose role has been let go of would wait unserved.
    using Unlogged = Commands::Order::Unlogged;
    commands_.carry_out({command,
                         to_string(order),
                         {},
                         [this, order] { return check_power(status(), order, power_ != nullptr); },
                         [this, order] { switch_power(order); },
                         force ? Unlogged::Now : Unlogged::IfForced},
                        answer);
  };
  handlers.set_movement_policy = [this](const Command& command, link::MovementPolicy policy,
                                        const CommandAnswer& answer) {
    const std::string name = link::to_string(policy);
    commands_.carry_out({command,
                         "policy " + name,
                         {},
                         [name]() -> Result<std::string> { return "the movement policy is now " + name; },
                         [this, policy] {
                           step(OperatorPolicy{policy});
                           remember_policy(policy);
                         }},
                        answer);
  };
}

/// An operator's choice is the next leader's too, and that of the next life of a single one.
void ControlService::remember_policy(link::MovementPolicy policy) {
  patient_.put("which movement policy an operator chose",
               [record = policy_record(policy, config_.group.movement)](StateStore& store) {
                 return store.keep(kPolicyKey, record);
               });
}

}  // namespace understudy::control
