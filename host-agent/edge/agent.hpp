// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The host-agent's loop: events of sockets, guests and timers go into the blade's core; its effects are performed
/// here, in the listed order.
///
///   control-server ◄─ reports ─┐                    ┌─► ServedRole (active, or moved): place, replication
///                  ─ orders ─► │ Blade (core) │ ─────┼─► MirrorPlace: taps, region, guest
///   guests ── events ────────► └──────────────┘      ├─► MovementUnit
///                                                    └─► shutdown unit
///
/// One thread, but for BFD's and the control client's own. A crash leaves all roles as they are.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>

#include "core/blade.hpp"
#include "edge/config.hpp"
#include "edge/mirror_place.hpp"
#include "edge/movement_unit.hpp"
#include "edge/served_role.hpp"
#include "edge/standby_network.hpp"
#include "understudy/link/bfd_service.hpp"
#include "understudy/link/control_api_client.hpp"

namespace understudy::host {

class Agent {
 public:
  Agent(boost::asio::io_context& io, BladeConfig config, std::string boot_id);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent();

  /// Closes the gate of all service interfaces, starts BFD, connects to the control-server.
  Status start();

 private:
  void handle(const Event& event);
  void perform(const Effect& effect);
  void perform(const Do& effect);
  void perform(const HoldSpec& effect);
  void perform(const HoldMirror& effect);
  void perform(const TellGuest& effect);
  void perform(const SendReport& effect);
  void perform(const Note& effect);
  void arm_timer();
  std::function<void(Status)> answer(const RoleId& role, Step step);

  void prepare_host(const RoleId& role, Term term);
  Status open_host_gate(const RoleId& role);
  Status close_host_gate(const RoleId& role);
  void start_guest(const RoleId& role);
  void launch_guest(const RoleId& role, const Result<AcceleratorChoice>& choice);
  void movement_step(const RoleId& role, Step step, Term term);
  void release_all();
  GuestCallbacks guest_callbacks(const RoleId& role);
  void on_guest_event(const RoleId& role, const link::guest::GuestEvent& event);
  place::RolePlaceCallbacks place_callbacks(const RoleId& role);
  Status start_bfd();

  boost::asio::io_context& io_;
  BladeConfig config_;
  Blade blade_;
  boost::asio::steady_timer timer_;
  StandbyNetwork network_;
  std::optional<net::HostGate> host_gate_;
  std::unique_ptr<link::bfd::BfdService> bfd_;
  std::map<RoleId, link::RoleSpec> specs_;
  std::map<RoleId, link::RunMirror> mirror_orders_;
  std::map<RoleId, std::unique_ptr<ServedRole>> served_;
  std::map<RoleId, std::unique_ptr<MirrorPlace>> mirrors_;
  std::map<RoleId, std::unique_ptr<MovementUnit>> movements_;
  std::vector<RoleId> guests_waiting_;  ///< for the choice of the accelerator
  std::unique_ptr<link::ControlClient> control_;
};

}  // namespace understudy::host
