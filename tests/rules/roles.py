# SPDX-License-Identifier: Apache-2.0
"""More clauses of rules 3 to 15: leases, the order of a takeover, movements. One fault for each sentence that has none
in rules_taken_out.py and clauses.py.

Not here: that a preload runs under traffic (rule 12) is for its speed alone."""
CONTROL, HOST, GUEST = "control_core_test", "host_core_test", "guest_core_test"
TRIP, STANDBY = "net_round_trip_test", "host_standby_test"
LEASE, ORDERS = "control-server/core/role_lease.cpp", "host-agent/core/blade_orders.cpp"
PLACE = "host-agent/place/role_place.cpp"
BLADES_LEASE, MOVEMENT = "host-agent/core/blade_lease.cpp", "host-agent/core/movement.cpp"
FAULTS = [
    ("3: a lease outlives its copy", LEASE, "         sync_.says(MirrorPhase::Synced) && mirror_ballot_.vote",
     "         mirror_ballot_.vote", CONTROL, "Lease*:StepTable*"),
    ("3: whose standby has died, his gate goes on closing by itself", LEASE,
     "    expose_first(context);\n    return;\n  }\n  if (std::exchange(lease_.doubted_since",
     "    return;\n  }\n  if (std::exchange(lease_.doubted_since", CONTROL, "Lease*:StepTable*"),
    ("3: who is told to serve on without a lease lets his gate close", BLADES_LEASE,
     "  held->untime_at = now + untime_pause;\n  // Written down when it is done: whoever finds a lease written down "
     "keeps the gate open, and is disarmed again.\n"
     "  return {Do{order.role, Step::UntimeGate, held->term}};", "  return {};",
     HOST, "*"),
    ("5: a grant under another term is one", BLADES_LEASE,
     " || held->term != event.term) { return {}; }\n  const auto timing", ") { return {}; }\n  const auto timing", HOST,
     "*"),
    ("5: the mirror grants under any term", "guest-agent/core/mirror.cpp",
     " || event.term != granting_) { return {}; }",
     ") { return {}; }", GUEST, "*"),
    ("5: no drift is added", "control-server/core/config.hpp for " + LEASE, "return 2 * (lease + lease_element);",
     "return lease + lease_element;", CONTROL, "Lease*"),
    ("5: anybody's word that nothing is granted any more counts", LEASE,
     "!awaited || blade != standby_ || report.term != own_.term || ", "!awaited || ", CONTROL,
     "Lease*:StateTable*:StepTable*"),
    ("5: the host answers for its mirror", BLADES_LEASE, "{TellGuest{order.role, GuestOrder::StopGrants, order.term}}",
     "{SendReport{link::GrantsStopped{order.role, order.term}}}", HOST, "*"),
    ("5: a mirror that is to stand down keeps its gate open", ORDERS,
     "{Remember{order.role}, Do{order.role, Step::CloseMirrorGate, order.term}}", "{Remember{order.role}}", HOST, "*"),
    ("10: who serves subscribes to nothing", PLACE, "  watch_all();\n  look_at_sink({});\n",
     "  look_at_sink({});\n", STANDBY,
     "RolePlaceTest*"),
    ("10: who serves dumps nothing", PLACE,
     "  if (auto dumped = collector_->dump(*sink_); !dumped) { return dumped; }\n", "", STANDBY, "RolePlaceTest*"),
    ("10: what time a flow has left is forgotten", "net-state/src/installer.cpp",
     "failed = impl_->flows.set_timeout(*key, *value, impl_->options.timeout_floor_seconds);", "failed = Status{};",
     TRIP, "InstallerTest*"),
    ("12: a mirror that is silent while it moves is lost", "control-server/core/role_failure.cpp",
     "  if (state_ == RoleState::OnMirror) {  // only", "  if (serves) {  // only", CONTROL,
     "ServingMirror*:StepTable*:StateTable*"),
    ("12: the gap does not count from the block", MOVEMENT,
     "if (before_commit && now - blocked_at_ > limits_.handover)",
     "if (before_commit && now - state_began_ > limits_.handover)", HOST, "*"),
    ("14: a release stops what its mirror serves", ORDERS, "if (!kept && serves) {", "if (false) {", HOST, "*"),
]
