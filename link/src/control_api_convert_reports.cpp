// SPDX-License-Identifier: Apache-2.0
#include "control_api_wire.hpp"

namespace understudy::link {
namespace {

template <class Plain>
void fill_failure(pb::Failure& to, const Plain& from) {
  to.set_role(from.role.value);
  to.set_term(from.term.value);
  to.set_detail(printable(from.detail));
}
template <class Plain>
void fill_phases(pb::Phases& to, const Plain& from) {
  to.set_role(from.role.value);
  to.set_term(from.term.value);
  for (const auto& phase : from.phases) {
    auto& wire = *to.add_phases();
    wire.set_name(phase.phase);
    wire.set_ms(phase.ms);
  }
}

template <class Plain>
Result<Report> read_role_term(const char* message, const pb::RoleTerm& from) {
  Check check(message);
  return check.result<Report>(Plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term")});
}
template <class Plain>
Result<Report> read_failure(const char* message, const pb::Failure& from) {
  Check check(message);
  Plain plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"),
              check.text(from.detail(), "detail")};
  return check.result<Report>(std::move(plain));
}
template <class Plain>
Result<Report> read_phases(const char* message, const pb::Phases& from) {
  Check check(message);
  Plain plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"), {}};
  check.count(from.phases_size(), "phases", bounds::kPhases);
  for (const auto& phase : from.phases()) {
    plain.phases.push_back({check.text(phase.name(), "phase.name"), check.duration_ms(phase.ms(), "phase.ms")});
  }
  return check.result<Report>(std::move(plain));
}

Result<Report> read_hello(const pb::Hello& from) {
  Check check("Hello");
  Hello plain{BladeId{check.name(from.blade(), "blade")},
              check.text(from.boot_id(), "boot_id"),
              {},
              check.text(from.state_before(), "state_before"),
              {}};
  check.count(from.held_size(), "held", bounds::kRoles);
  for (const auto& held : from.held()) {
    plain.held.push_back({RoleId{check.name(held.role(), "held.role")}, check.term(held.term(), "held.term"),
                          from_wire(check, kPlace, held.kind(), "held.kind"), held.serving()});
  }
  check.count(from.known_size(), "known", bounds::kRoles);
  for (const auto& known : from.known()) {
    plain.known.push_back({RoleId{check.name(known.role(), "known.role")}, check.term(known.term(), "known.term")});
  }
  return check.result<Report>(std::move(plain));
}
Result<Report> read_mirror_state(const pb::MirrorState& from) {
  Check check("MirrorState");
  MirrorState plain{RoleId{check.name(from.role(), "role")},
                    check.term(from.term(), "term"),
                    from_wire(check, kPhase, from.phase(), "phase"),
                    check.text(from.boot_nonce(), "boot_nonce"),
                    check.text(from.detail(), "detail"),
                    from.whole(),
                    from.older()};
  return check.result<Report>(std::move(plain));
}
Result<Report> read_unfit(const pb::RoleUnfit& from) {
  Check check("RoleUnfit");
  RoleUnfit plain{RoleId{check.name(from.role(), "role")},
                  check.term(from.term(), "term"),
                  from_wire(check, kUnfitCause, from.cause(), "cause"),
                  {},
                  check.text(from.detail(), "detail")};
  check.count(from.networks_size(), "networks", bounds::kPorts);
  for (const auto& network : from.networks()) { plain.networks.push_back(check.name(network, "networks")); }
  return check.result<Report>(std::move(plain));
}
Result<Report> read_fit(const pb::RoleFit& from) {
  Check check("RoleFit");
  RoleFit plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"),
                from_wire(check, kUnfitCause, from.cause(), "cause")};
  return check.result<Report>(std::move(plain));
}
Result<Report> read_alarm(const pb::RoleAlarm& from) {
  Check check("RoleAlarm");
  RoleAlarm plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"),
                  check.optional_name(from.topic(), "topic"), check.text(from.detail(), "detail")};
  return check.result<Report>(std::move(plain));
}
Result<Report> read_sync_progress(const pb::SyncProgress& from) {
  Check check("SyncProgress");
  SyncProgress plain{RoleId{check.name(from.role(), "role")}, check.term(from.term(), "term"),
                     from_wire(check, kStream, from.stream(), "stream"), read_progress(check, from.stores())};
  return check.result<Report>(std::move(plain));
}
Result<Report> read_peer_vote(const pb::PeerVote& from) {
  Check check("PeerVote");
  PeerVote plain{RoleId{check.name(from.role(), "role")}, BladeId{check.name(from.peer(), "peer")},
                 from_wire(check, kVote, from.vote(), "vote")};
  return check.result<Report>(std::move(plain));
}

}  // namespace

pb::Report to_proto(const Report& report) {
  pb::Report wire;
  std::visit(Overloaded{[&](const Hello& r) {
                          auto& to = *wire.mutable_hello();
                          to.set_blade(r.blade.value);
                          to.set_boot_id(r.boot_id);
                          to.set_state_before(r.state_before);
                          for (const auto& held : r.held) {
                            auto& one = *to.add_held();
                            one.set_role(held.role.value);
                            one.set_term(held.term.value);
                            one.set_kind(to_wire(kPlace, held.kind));
                            one.set_serving(held.serving);
                          }
                          for (const auto& known : r.known) { fill(*to.add_known(), known.role, known.term); }
                        },
                        [&](const Serving& r) { fill(*wire.mutable_serving(), r.role, r.term); },
                        [&](const ServeFailed& r) { fill_failure(*wire.mutable_serve_failed(), r); },
                        [&](const Stopped& r) { fill(*wire.mutable_stopped(), r.role, r.term); },
                        [&](const MirrorState& r) {
                          auto& to = *wire.mutable_mirror_state();
                          to.set_role(r.role.value);
                          to.set_term(r.term.value);
                          to.set_phase(to_wire(kPhase, r.phase));
                          to.set_boot_nonce(r.boot_nonce);
                          to.set_detail(printable(r.detail));
                          to.set_whole(r.whole);
                          to.set_older(r.older);
                        },
                        [&](const PeerVote& r) {
                          auto& to = *wire.mutable_peer_vote();
                          to.set_role(r.role.value);
                          to.set_peer(r.peer.value);
                          to.set_vote(to_wire(kVote, r.vote));
                        },
                        [&](const ApplicationFailed& r) { fill_failure(*wire.mutable_application_failed(), r); },
                        [&](const Activated& r) { fill_phases(*wire.mutable_activated(), r); },
                        [&](const ActivateFailed& r) { fill_failure(*wire.mutable_activate_failed(), r); },
                        [&](const Moved& r) { fill_phases(*wire.mutable_moved(), r); },
                        [&](const MoveFailed& r) { fill_failure(*wire.mutable_move_failed(), r); },
                        [&](const MirrorsReleased& r) {
                          wire.mutable_mirrors_released()->set_guests_running(r.guests_running);
                          wire.mutable_mirrors_released()->set_ms(r.ms);
                        },
                        [&](const MirrorWarning& r) { fill_failure(*wire.mutable_mirror_warning(), r); },
                        [&](const LeaseState& r) {
                          wire.mutable_lease_state()->set_role(r.role.value);
                          wire.mutable_lease_state()->set_term(r.term.value);
                          wire.mutable_lease_state()->set_id(r.id);
                        },
                        [&](const GrantsStopped& r) { fill(*wire.mutable_grants_stopped(), r.role, r.term); },
                        [&](const HandedOver& r) { fill_phases(*wire.mutable_handed_over(), r); },
                        [&](const HandOverFailed& r) { fill_failure(*wire.mutable_hand_over_failed(), r); },
                        [&](const RoleUnfit& r) {
                          auto& to = *wire.mutable_role_unfit();
                          to.set_role(r.role.value);
                          to.set_term(r.term.value);
                          to.set_cause(to_wire(kUnfitCause, r.cause));
                          for (const auto& network : r.networks) { to.add_networks(network); }
                          to.set_detail(printable(r.detail));
                        },
                        [&](const SyncProgress& r) {
                          auto& to = *wire.mutable_sync_progress();
                          to.set_role(r.role.value);
                          to.set_term(r.term.value);
                          to.set_stream(to_wire(kStream, r.stream));
                          for (const auto& store : r.stores) { fill(*to.add_stores(), store); }
                        },
                        [&](const RoleFit& r) {
                          auto& to = *wire.mutable_role_fit();
                          to.set_role(r.role.value);
                          to.set_term(r.term.value);
                          to.set_cause(to_wire(kUnfitCause, r.cause));
                        },
                        [&](const RoleAlarm& r) {
                          auto& to = *wire.mutable_role_alarm();
                          to.set_role(r.role.value);
                          to.set_term(r.term.value);
                          to.set_topic(printable(r.topic));
                          to.set_detail(printable(r.detail));
                        }},
             report);
  return wire;
}

Result<Report> from_proto(const pb::Report& wire) {
  switch (wire.body_case()) {
    case pb::Report::kHello:
      return read_hello(wire.hello());
    case pb::Report::kLeaseState: {
      Check check("LeaseState");
      LeaseState plain{RoleId{check.name(wire.lease_state().role(), "role")},
                       check.term(wire.lease_state().term(), "term"), wire.lease_state().id()};
      return check.result<Report>(std::move(plain));
    }
    case pb::Report::kSyncProgress:
      return read_sync_progress(wire.sync_progress());
    case pb::Report::kGrantsStopped:
      return read_role_term<GrantsStopped>("GrantsStopped", wire.grants_stopped());
    case pb::Report::kServing:
      return read_role_term<Serving>("Serving", wire.serving());
    case pb::Report::kServeFailed:
      return read_failure<ServeFailed>("ServeFailed", wire.serve_failed());
    case pb::Report::kStopped:
      return read_role_term<Stopped>("Stopped", wire.stopped());
    case pb::Report::kMirrorState:
      return read_mirror_state(wire.mirror_state());
    case pb::Report::kPeerVote:
      return read_peer_vote(wire.peer_vote());
    case pb::Report::kApplicationFailed:
      return read_failure<ApplicationFailed>("ApplicationFailed", wire.application_failed());
    case pb::Report::kActivated:
      return read_phases<Activated>("Activated", wire.activated());
    case pb::Report::kActivateFailed:
      return read_failure<ActivateFailed>("ActivateFailed", wire.activate_failed());
    case pb::Report::kMoved:
      return read_phases<Moved>("Moved", wire.moved());
    case pb::Report::kMoveFailed:
      return read_failure<MoveFailed>("MoveFailed", wire.move_failed());
    case pb::Report::kMirrorsReleased: {
      Check check("MirrorsReleased");
      return check.result<Report>(MirrorsReleased{wire.mirrors_released().guests_running(),
                                                  check.duration_ms(wire.mirrors_released().ms(), "ms")});
    }
    case pb::Report::kMirrorWarning:
      return read_failure<MirrorWarning>("MirrorWarning", wire.mirror_warning());
    case pb::Report::kHandedOver:
      return read_phases<HandedOver>("HandedOver", wire.handed_over());
    case pb::Report::kHandOverFailed:
      return read_failure<HandOverFailed>("HandOverFailed", wire.hand_over_failed());
    case pb::Report::kRoleUnfit:
      return read_unfit(wire.role_unfit());
    case pb::Report::kRoleFit:
      return read_fit(wire.role_fit());
    case pb::Report::kRoleAlarm:
      return read_alarm(wire.role_alarm());
    case pb::Report::kRefused:  // no report for a core: the server takes it before
    case pb::Report::BODY_NOT_SET:
      break;
  }
  return failure("not valid on the wire: a report without a body that this version knows", Errc::BadInput);
}

}  // namespace understudy::link
