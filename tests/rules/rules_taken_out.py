# SPDX-License-Identifier: Apache-2.0
"""Takes each of the rules that hold the design up out of the product, one at a time, and wants a test red for it.

    rules_taken_out.py BUILD [WORD]...  the build directory, with all tests built; only faults whose name has a WORD in
                                        it, or begins with it where that is a number: "9:", "P58"

The numbers are those of the rules in docs/SPECIFICATION.md; with a P in front, of promises there; D3 and D4 are the
decisions that a role has one owner, and that a failure is seen from two sides. The tree is not
changed. Root is needed, as the tests that look at the kernel's gates need it.
"""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "support"))
import planter  # noqa: E402
import clauses  # noqa: E402
import decisions  # noqa: E402
import owners  # noqa: E402
import region  # noqa: E402
import roles  # noqa: E402

CONTROL, HOST, GUEST = "control_core_test", "host_core_test", "guest_core_test"
REGION, WIRE, NET, BFD = "shm_test", "replication_test", "net_gate_test", "bfd_test"
CORE = "control-server/core/"
BLADE = "host-agent/core/"
# rule: what is taken out, where, what is replaced, by what, the program and its tests that could find it
FAULTS = [
    ("1: nobody else need be heard", CORE + "votes.cpp", "!surroundings.witness || ", "", CONTROL, "*"),
    ("1: all at once are believed", CORE + "votes.cpp", "surroundings.actives > 1 && surroundings.all_at_once;",
     "surroundings.actives > 1 && surroundings.all_at_once && false;", CONTROL, "*"),
    ("1: who reaches no witness believes himself", CORE + "votes.cpp", "witnesses.said == Witnesses::Lost", "false",
     CONTROL, "*"),
    ("1: a witness that came back with the cable is believed", CORE + "witnesses.cpp", " + bench.steady + known_after",
     " + known_after", CONTROL, "*"),
    ("2: an observer may stay undecided for ever", "link/src/bfd_vote.cpp", "return deadline_ && now >= *deadline_ &&",
     "return deadline_ && now < *deadline_ && false &&", BFD, "*Vote*:*Observer*"),
    ("2: a restarted observer votes down at once", "link/src/bfd_vote.cpp", "deadline_(now + unknown_max) {}",
     "deadline_(now) { vote_ = Vote::Down; }", BFD, "*Vote*:*Observer*"),
    ("2: a packet that waited is not noticed", "link/src/bfd_session.cpp", "if (is_late(now) && late_restarts_",
     "if (false && late_restarts_", BFD, "*Freeze*"),
    ("3: a lease where control-server and mirror share a fate", CORE + "role_lease.cpp",
     " && !context.config.control_shares(standby_)", "", CONTROL, "*"),
    ("3: told before it is stored as exposed", CORE + "role_lease.cpp", "  if (!own_.leased) {\n    disarm_lease",
     "  if (true) {\n    disarm_lease", CONTROL, "*"),
    ("3: what nobody confirmed is stop-evidence", CORE + "role_lease.cpp", "return own_.leased; }", "return true; }",
     CONTROL, "*"),
    ("4: refreshing reopens", "net-state/src/nft_set.cpp",
     "nft_.run(element(\"delete\", {name}) + element(\"add\", {name}, duration))",
     "nft_.run(element(\"add\", {name}) + element(\"delete\", {name}) + element(\"add\", {name}, duration))", NET,
     "*Refresh*"),
    ("4: the clock is not read again", "host-agent/edge/lease_gate.cpp",
     "  if (boot_now() < effect.until) { return done; }", "  if (touched) { return done; }", "host_lease_gate_test",
     "*"),
    ("4: a restarted daemon opens without a confirmed term", BLADE + "blade_adopt.cpp",
     "      held.stage = RoleStage::PreparingHost;\n      held.parked = true;\n      return effects;",
     "      held.stage = RoleStage::OpeningHost;\n"
     "      effects.push_back(Do{role, Step::OpenHostGate, held.term});\n      return effects;", HOST, "*"),
    ("5: it counts from the answer", BLADE + "lease.cpp", "TimedHow::Refresh, sent + length()}",
     "TimedHow::Refresh, now + length()}", HOST, "*"),
    ("5: any number is an answer", BLADE + "lease.cpp",
     "  if (found == asked_.end()) { return std::nullopt; }\n  const Instant sent = found->second;",
     "  const Instant sent = found == asked_.end() ? now : found->second;", HOST, "*"),
    ("5: counted out before the mirror's word", CORE + "role_lease.cpp", "  lease_.stopping = true;\n",
     "  lease_.stopping = true;\n  lease_.out_at = context.now + context.config.timings.lease_out();\n"
     "  arm(Timer::Lease, context.now);\n", CONTROL, "*"),
    ("5: a clock that jumps counts a lease out", CORE + "awake_time.hpp for control-server/core/group.cpp",
     "std::min(passed, most_)", "passed", CONTROL, "*"),
    ("P827: an older copy takes over", CORE + "synchronization_unit.hpp for control-server/core/role_failure.cpp",
     "return known(around) && mirror_.older;", "return false && known(around);", CONTROL, "TwoLives*"),
    ("P823: a copy is given up in the step of waking", CORE + "awake_time.hpp for control-server/core/"
     "synchronization_unit.cpp", "std::max(until - missed, std::min(until, now + to_hear))",
     "until - missed + 0 * to_hear", CONTROL, "StoodStill*"),
    ("P823: a copy whose active was heard on is in its grace", CORE + "synchronization_unit.cpp",
     "(says(MirrorPhase::Syncing) || mirror_.older)", "says(MirrorPhase::Syncing)", CONTROL, "StoodStill*"),
    ("P826: a standby's power that fails is nobody's alarm", CORE + "role_takeover.cpp",
     "if (blade == standby_ && awaits_give_back()) {", "if (false) {", CONTROL, "StandbyThat*"),
    ("P828: a late wake-up ends a link's wait", BLADE + "fitness.cpp",
     "waited && now > *at + late_wake_up && !std::exchange(anew_, true)",
     "false && waited && std::exchange(anew_, true)", HOST, "BladeFitness*"),
    ("5: the mirror grants again after it was stopped", "guest-agent/core/mirror.cpp",
     " && event.term > no_grants_) { granting_", ") { granting_", GUEST, "*"),
    ("5: the clock stands still while the machine sleeps", "common/include/understudy/common/boot_clock.hpp for "
     "tests/unit/common/boot_clock_test.cpp", "CLOCK_BOOTTIME", "CLOCK_MONOTONIC", "common_test", "BootClock*"),
    ("6: after a restart the evidence is believed", CORE + "role_start.cpp",
     "\"the mirror was not activated yet\");\n    verify_and_activate(context);",
     "\"the mirror was not activated yet\");\n    evidence_ = own_.evidence;\n    send_activate(context);", CONTROL,
     "*"),
    ("7: an empty store asks nobody", CORE + "role_start.cpp",
     " || !missing(context).empty()) { return; }", ") { return; }", CONTROL, "*"),
    ("7: an older store starts a role from nothing", CORE + "role_ports.cpp",
     "    if (!standbys_heard_.contains(standby) &&", "    if (false &&", CONTROL, "*"),
    ("7: a term that was given up is used again", CORE + "role_claims.cpp", "  seen_ = std::max(seen_, known);\n", "",
     CONTROL, "*"),
    ("7: a term that was given up is forgotten", BLADE + "blade_adopt.cpp",
     "  highest = std::max(highest, former.highest);\n", "  (void)highest;\n", HOST, "*"),
    ("8: a guest's term raises the count", CORE + "role_failure.cpp",
     "seen_ = std::max(seen_, std::min(report.term, own_.highest()));", "seen_ = std::max(seen_, report.term);",
     CONTROL, "*"),
    ("8: a guest is ready under its own term", BLADE + "blade_answers.cpp",
     " || held->stage != RoleStage::Activating || event.term != held->term) { return {}; }",
     " || held->stage != RoleStage::Activating) { return {}; }", HOST, "*"),
    ("9: activated before it is isolated", CORE + "role_takeover.cpp", "  isolate_active(context);\n  context.send(",
     "  isolate_active(context);\n  evidence_found(context, StopEvidence::Isolated);\n  context.send(", CONTROL, "*"),
    ("9: announced before it is installed", "guest-agent/core/mirror.cpp",
     "return advance(Activity::Installing, Step::Install, \"drain\", event.ms);",
     "return advance(Activity::HandingOver, Step::HandOver, \"drain\", event.ms);", GUEST, "*"),
    ("9: the stream is not read to its end", "link/src/replication_receiver_core.cpp",
     "  if (!wire_) {\n    edge_->post([weak", "  if (true) {\n    edge_->post([weak", WIRE,
     "*Drain*"),
    ("9: the application serves before the writers are handed over", "guest-agent/core/mirror.cpp",
     "return advance(Activity::HandingOver, Step::HandOver, \"install\", event.ms);",
     "return advance(Activity::Starting, Step::StartApplication, \"install\", event.ms);", GUEST, "*"),
    ("9: a young flow is reset", "net-state/src/grace.cpp", "ct state { new, invalid } counter drop",
     "ct state { new, invalid } counter accept", "net_round_trip_test", "*Grace*"),
    ("10: a collector records its own installs", "net-state/src/store_sink.cpp",
     "if (held != nullptr && same_in_kernel(*held, value)) {", "if (false) {", "net_round_trip_test",
     "*RecordsNothing*"),
    ("10: what was lost is not dumped again", "net-state/src/collector.cpp",
     "if (dirty.routes_and_neighbors || dirty.flows) {", "if (false) {", "net_round_trip_test", "*Overrun*"),
    ("10: a dump is not compared", "net-state/src/store_sink.cpp",
     "  erase_all(table, dead);\n", "", "net_store_sink_test", "*"),
    ("11: no deadline closes the mirror's gate", BLADE + "blade.cpp",
     "if (held.deadline && *held.deadline <= now) { late.push_back(role); }", "", HOST, "*"),
    ("11: a healthy active does not get the role back", CORE + "role_takeover.cpp",
     "  if (!old_active_is_healthy(context) || mirror_first) {", "  if (true) {", CONTROL, "*"),
    ("12: frozen with the tap's gate open", BLADE + "movement.cpp",
     "    return become(now, MovementState::Blocking, Step::CloseMirrorGate);",
     "    state_ = MovementState::Quiescing;\n    state_began_ = now;\n"
     "    return {TellGuest{role_, GuestOrder::Quiesce, guest_term_}};", HOST, "*"),
    ("12: frozen before the markers are back", BLADE + "movement.cpp", "if (!quiesced_ || !markers_back_)",
     "if (!quiesced_)", HOST, "*"),
    ("12: the mirror does not wait for the marker", "guest-agent/edge/quiesce.cpp",
     "    markers_.await(marker, marker_limit, rest);", "    rest({});", "host_marker_test", "*"),
    ("12: events that were not read yet are lost", "host-agent/place/role_place.cpp",
     "    events->cancel(ignored);\n  }\n  run_dry();", "    events->cancel(ignored);\n  }", "host_marker_test", "*"),
    ("12: the last word is not checked", "host-agent/edge/transfer_unit.cpp", "    if (reached < told) {",
     "    if (false) {", "host_standby_test", "TransferTest*"),
    ("13: a missed deadline freezes what needs quiescing", BLADE + "movement.cpp",
     "if (must_quiesce_ && !quiesced_) {", "if (false) {",
     HOST, "*"),
    ("13: a missed deadline is waited for", BLADE + "movement.cpp",
     "in time\");\n    }\n    return force_freeze(now);", "in time\");\n    }\n    return {};", HOST, "*"),
    ("14: the host writes before the guest is dead", BLADE + "movement.cpp",
     "return become(now, MovementState::Committing, Step::Commit);",
     "return become(now, MovementState::Resuming, Step::Resume);", HOST, "*"),
    ("14: what was committed is rolled back", BLADE + "blade_adopt.cpp", "if (held.committed) {", "if (false) {", HOST,
     "*"),
    ("15: a guest that dies ends the movement", BLADE + "movement.cpp",
     "  close_phase(now, state_ == MovementState::Quiescing ? \"quiesce\" : \"freeze\");\n"
     "  return become(now, MovementState::Finishing, Step::Finish);",
     "  return roll_back(now, \"the guest died\");", HOST, "*"),
    ("15: guests reboot", "host-agent/edge/guests/qemu_command.cpp", "\"-no-reboot\", ", "", "guests_test",
     "QemuCommand*"),
    ("15: synced outlives the guest's boot", BLADE + "blade_answers.cpp",
     "        held->phase = link::MirrorPhase::Connected;\n        held->whole_copy = false;", "", HOST, "*"),
    ("16: a port passes frames before its gate opens", "net-state/src/bridge_gate.cpp",
     "priority -400; policy drop; }", "priority -400; policy accept; }", NET, "*"),
    ("16: a gate that holds nothing back looks closed", "net-state/src/nft_set.cpp",
     "if (chain == nullptr || !chain->policy_drop) {", "if (false) {", NET, "*"),
    ("17: what was not committed is not taken back", "shared-mem/src/recovery.cpp",
     "    if (auto undone = take_back_unfinished(); !undone) { return undone; }\n", "", "shm_prefix_test",
     "*EveryPrefixOfAWriter*"),
    ("19: whoever was lapped does not say so", "shared-mem/src/journal_reader.cpp",
     "return Chunk{State::Lapped, {}, {}, {}};", "return Chunk{};", REGION, "JournalReader*"),
    ("20: a second writer of one kernel", "shared-mem/src/writer_lock.cpp",
     "if (error == EAGAIN || error == EACCES) {", "if (false) {", REGION, "*"),
    ("20: the next writer has the former's number", "shared-mem/src/recovery.cpp",
     "epoch = words::load_acquire(&control.writer.epoch) + 1;", "epoch = words::load_acquire(&control.writer.epoch);",
     REGION, "Writing*"),
    ("20: a put does not look whose store it is", "shared-mem/src/put.cpp",
     "    impl.publish_end(sequence);\n    if (!impl.still_ours()) [[unlikely]] { return 0; }\n",
     "    impl.publish_end(sequence);\n", "shm_prefix_test", "AReplacedWriter*"),
    ("20: a transaction does not look whose store it is",
     "shared-mem/src/commit_steps.hpp for shared-mem/src/commit.cpp",
     "  if (!still_ours()) [[unlikely]] { return false; }\n", "", "shm_prefix_test", "AReplacedWriter*"),
    ("21: any history is ours", "link/src/replication_resume.cpp", "return ours && ours == theirs ?", "return true ?",
     WIRE, "*Resume*:*TwoOwners*"),
    ("22: a deletion is lost with the journal", "link/src/replication_resume.cpp",
     "return held >= sender.purged_up_to ?", "return true ?", WIRE, "*Resume*:*Deletions*"),
    ("23: a snapshot is not marked", "shared-mem/src/sync.cpp",
     "  words::publish(&impl.control.commit.sync, layout::sync_snapshot);\n", "", REGION, "*"),
    ("23: in a snapshot the older one wins", "shared-mem/src/sync.cpp",
     "if (!first_seen && place.held.sequence() >= change.sequence) { return {}; }", "", REGION, "Mirroring*"),
    ("23: a copy that is being synced is activated", "guest-agent/core/mirror.cpp",
     "if (sync_ == SyncPhase::Syncing || sync_ == SyncPhase::Connecting) {", "if (false) {", GUEST, "*"),
    ("23: a syncing mirror counts as protected", CORE + "synchronization_unit.cpp",
     "if (synced && !stopped(around)) {", "if (known(around) && !stopped(around)) {", CONTROL, "*"),
    ("23: a writer that laps again and again is never made to wait", "link/src/replication_throttle.cpp",
     "  if (laps_ < limits.tries_max) { return AfterLap::TryAgain; }\n", "  return AfterLap::TryAgain;\n", WIRE,
     "Throttling.AMirrorOf*"),
    ("23: a writer waits for a sender that has died",
     "shared-mem/src/patience.hpp for tests/unit/shared-mem/throttle_test.cpp",
     "now - changed_ < unchanged_max && ", "", REGION, "PatienceTest.*:AWriter.WhoseSenderHasDied*"),
    ("23: a hostile word stops a writer",
     "shared-mem/src/patience.hpp for tests/unit/shared-mem/throttle_test.cpp",
     "std::min(commit_max, credit_at(from))", "std::max<Clock::duration>(std::chrono::hours(1), credit_at(from))",
     REGION, "PatienceTest.*"),
    ("24: a write-combining mapping is taken", "shared-mem/src/mapping.cpp", ".ends_with(\"_wc\")",
     ".ends_with(\"_none\")", REGION, "*"),
    ("24: a sparse region is taken", "host-agent/edge/guests/qemu_command.cpp",
     "if (static_cast<std::uint64_t>(found.st_blocks) * block_bytes < file_bytes(bytes, device)) {",
     "if (false) {", "guests_test",
     "QemuCommand*"),
    ("24: other bytes are not noticed", "host-agent/edge/guests/echo_check.cpp", "  return failure(\"mirror-\"",
     "  return {};\n  return failure(\"mirror-\"", "guests_test", "Echo*"),
    ("25: a guest sees the host's files", "host-agent/edge/guests/qemu_command.cpp", "\"-no-reboot\", ",
     "\"-no-reboot\", \"-virtfs\", \"local,path=/,mount_tag=host,security_model=none,id=host\", ", "guests_test",
     "QemuCommand*"),
]


def all_faults():
    """By the number of the rule; then the decisions, and the promises."""
    faults = FAULTS + clauses.FAULTS + roles.FAULTS + region.FAULTS + owners.FAULTS + decisions.FAULTS
    return sorted(faults, key=lambda fault: (fault[0][0] in "DP", int(fault[0].split(":")[0].lstrip("DP"))))


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    words = sys.argv[2:] or [""]

    def is_meant(name):
        return any(name.startswith(word) if word[:2].strip("DP:").isdigit() else word in name for word in words)

    with tempfile.TemporaryDirectory() as folder:
        faults = [fault for fault in all_faults() if is_meant(fault[0])]
        raise SystemExit(1 if planter.run(sys.argv[1], folder, faults, at_once=2) else 0)


if __name__ == "__main__":
    main()
