// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the blade's core hears: orders, what its guests say, and how the steps it asked for ended.

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "understudy/link/messages.hpp"

namespace understudy::host {

/// A step that the edge was asked for (an effect with a result) and that is answered by StepDone or StepFailed.
enum class Step : std::uint8_t {
  PrepareHost,   ///< interfaces, region and application of a role on this host, gate closed
  OpenHostGate,  ///< the blade's own service interfaces
  CloseHostGate,
  StartGuest,      ///< QEMU runs; the agent's hello comes later by itself
  OpenMirrorGate,  ///< the mirror's taps
  CloseMirrorGate,
  StopGuest,   ///< killed; its exit comes by itself
  AdoptHost,   ///< of a former daemon: its region, application and collector are ours again; the gate stays as it is
  AdoptGuest,  ///< of a former daemon: its monitor answers; the agent's hello comes later by itself
  PrepareMovement,  ///< namespace, preload, application ready, region mapped
  Freeze,           ///< QMP stop
  Finish,           ///< the last delta is installed on the host
  Commit,           ///< local record written, tap detached, QEMU killed
  Resume,           ///< host is the writer, application active, gate open, announced
  Rollback,         ///< thaw (when frozen), mirror gate open again, prepared things gone
  Discard,          ///< instead, behind a dead guest: prepared things gone, no gate is touched
  ReleaseGuests,
  UntimeGate,   ///< of a role that this host serves: open without a timeout
  TimeGate,     ///< the answer to the effect TimeGate
  QuiesceHost,  ///< of a planned switchover: the application has nothing under way any more; the gate is still open
  ShipLast,     ///< the gate is closed, the collector has written down all, and the mirror has applied it
  ServeOn,      ///< after one of these: the writer and the application go on; the gate is opened by OpenHostGate
  SendMarkers,  ///< of a movement, behind the closed gate: sent into each tap, and back from each
};

struct OrderArrived {
  link::Order order;
};
struct StepDone {
  RoleId role;
  Step step;
};
struct StepFailed {
  RoleId role;
  Step step;
  std::string detail;
};
/// What a guest says it is doing: it decides what it is told, never what this blade believes to hold.
enum class GuestActivity : std::uint8_t { Idle, Mirroring, Activating, Serving, Quiescing };
struct GuestHello {
  RoleId role;
  std::string boot_nonce;
  GuestActivity activity = GuestActivity::Idle;
};
struct GuestLost {  ///< the guest-agent is gone; the guest may serve on
  RoleId role;
  std::string detail;
};
struct GuestWarning {  ///< of the edge about a mirror: told to the control-server, changes nothing
  RoleId role;
  std::string detail;
};
struct GuestPhase {
  RoleId role;
  link::MirrorPhase phase = link::MirrorPhase::Starting;
  std::string detail;
  Term whole_under = {};  ///< the guest's copy is whole, of the active under this term; 0: it is not
};
struct GuestVote {
  RoleId role;
  link::Vote vote = link::Vote::Unknown;
};
struct GuestReady {  ///< everything applied is installed, the application is active: the gate may open
  RoleId role;
  Term term;
  std::vector<link::PhaseTime> phases;
};
struct GuestRefused {  ///< activate-failed
  RoleId role;
  std::string detail;
};
struct GuestQuiesced {
  RoleId role;
  std::vector<std::string> unmarked = {};  ///< ports whose marker it has not seen
};
struct GuestNotQuiesced {  ///< its application, which must be quiesced, is not
  RoleId role;
  std::string detail;
};
struct ApplicationNeedsQuiescing {  ///< the one prepared here says so, and with it the one in the guest
  RoleId role;
};
struct GuestExited {
  RoleId role;
  std::string detail;
};
struct GuestsReleased {
  std::uint32_t running = 0;
};
struct ApplicationExited {
  RoleId role;
  std::string detail;
};
/// Leases: the mirror's grant for a request of this active, and a mirror's word that it grants no more.
struct GrantArrived {
  RoleId role;
  Term term;
  std::uint64_t nonce = 0;
};
struct GuestStoppedGrants {
  RoleId role;
  Term term;
};
/// How a health command ended, one for each CheckHealth.
struct HealthAnswered {
  RoleId role;
  std::string failure;  ///< empty: it is well
};
/// The carrier of the blade's interface on this network; told at the start too.
struct LinkChanged {
  std::string network;
  bool up = false;
};
/// The application's own word about this blade, while it serves.
struct ApplicationUnfit {
  RoleId role;
  std::string detail;  ///< empty: it is fit
};
struct ControlConnected {
  std::string state_before = {};  ///< the other state store that was obeyed until now
};
struct Tick {};

using Event = std::variant<OrderArrived, StepDone, StepFailed, GuestHello, GuestLost, GuestWarning, GuestPhase,
                           GuestVote, GuestReady, GuestRefused, GuestQuiesced, GuestNotQuiesced,
                           ApplicationNeedsQuiescing, GuestExited, GuestsReleased, ApplicationExited, GrantArrived,
                           GuestStoppedGrants, HealthAnswered, LinkChanged, ApplicationUnfit, ControlConnected, Tick>;

}  // namespace understudy::host
