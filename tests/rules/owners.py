# SPDX-License-Identifier: Apache-2.0
"""Decisions D3 and D4: one owner for a role, stopped by evidence before the next begins; failure seen from two sides.
Faults for the sentences that state a protection."""
CONTROL, HOST, EDGE, NET = "control_core_test", "host_core_test", "control_edge_test", "net_gate_test"
CORE, ORDERS = "control-server/core/", "host-agent/core/blade_orders.cpp"
TAKEOVER, VOTES, MONITOR = CORE + "role_takeover.cpp", CORE + "votes.cpp", CORE + "monitoring_unit.cpp"
STORED = CORE + "stored_ownership.cpp"
FAULTS = [
    ("D3: the store compares nothing", STORED, "now.term == expected && now.reserved == expected_reserved && ", "",
     EDGE,
     "StoreTest*"),
    ("D3: nobody asks for stop-evidence", ORDERS, "if (order.evidence == link::StopEvidence::None) {", "if (false) {",
     HOST,
     "*"),
    ("D3: one port of the isolated ones is enough", "net-state/src/switch_isolation.cpp", "return std::all_of(ports",
     "return std::any_of(ports", NET, "SwitchIsolation*"),
    ("D3: isolation is not read back", "net-state/src/switch_isolation.cpp",
     "  const auto confirmed = are_isolated(ports);", "  const Result<bool> confirmed = true;", NET,
     "SwitchIsolation*"),
    ("D3: isolation is not tried first", TAKEOVER,
     "  isolate_active(context);\n  context.send(config_.active, link::StandDown{id(), next_term()});  // whichever",
     "  context.power_off(config_.active);\n"
     "  context.send(config_.active, link::StandDown{id(), next_term()});  // whichever", CONTROL, "Takeover*"),
    ("D3: a switch that fails is followed by nothing else", TAKEOVER,
     "  context.power_off(config_.active);\n  stop_grants(context);\n", "  stop_grants(context);\n", CONTROL,
     "Takeover*:SecondFault*:StepTable*"),
    ("D3: a movement stops another served role", CORE + "role_movement.cpp",
     "    if (!neighbours.other_on_mirror.empty()) {", "    if (false) {", CONTROL, "Movement*"),
    ("D4: the control-server alone decides", VOTES,
     "const auto verdict = mirror.vote == Vote::Up ? Verdict::ControlBlind : Verdict::OneObserver;",
     "const auto verdict = mirror.vote == Vote::Up ? Verdict::Dead : Verdict::OneObserver;", CONTROL,
     "Votes*:Takeover*"),
    ("D4: an application's death is not enough", CORE + "role_failure.cpp",
     "  if (application_failed_) {\n    handle_application_failure(context);",
     "  if (false) {\n    handle_application_failure(context);",
     CONTROL, "Takeover*:StateTable*"),
    ("D4: observers on one cable are two", MONITOR, "  if (config.control_shares(self.standby())) {", "  if (false) {",
     CONTROL,
     "*"),
    ("D4: a false alarm uses the standby up", TAKEOVER, "  if (isolate_tries_ == 0 || !heard ||", "  if (true ||",
     CONTROL,
     "CalledOff*:Takeover*"),
    ("D4: a blade that flaps is never held out", CORE + "hold_out.cpp", "  since_ = now;\n  return true;",
     "  return false;",
     CONTROL, "HoldOut*"),
    ("D4: a blade that is held out gets its role back", TAKEOVER,
     " || context.blades.at(config_.active).hold_out.held();", ";", CONTROL, "HoldOut*"),
]
