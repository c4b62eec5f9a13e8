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
/// One thread, but for BFD's and the control client's own. A crash leaves all roles as they are, and start() adopts
/// them by what was written down (D13).

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "core/blade.hpp"
#include "edge/config.hpp"
#include "edge/guest_pace.hpp"
#include "edge/guests/region_device.hpp"
#include "edge/hardware_watchdog.hpp"
#include "edge/health_runner.hpp"
#include "edge/mirror_place.hpp"
#include "edge/movement_unit.hpp"
#include "edge/progress_pace.hpp"
#include "edge/served_role.hpp"
#include "edge/standby_network.hpp"
#include "understudy/link/bfd_service.hpp"
#include "understudy/link/control_api_client.hpp"
#include "understudy/link/leader_guard.hpp"
#include "understudy/net/carrier.hpp"

namespace understudy::host {

class Agent {
 public:
  Agent(boost::asio::io_context& io, BladeConfig config, std::string boot_id);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent();

  /// Closes the gate of all service interfaces but what is open already, starts BFD, adopts what a former daemon held,
  /// connects to the control-server.
  Status start();
  /// One line for a person: the control-server, and what is here.
  [[nodiscard]] std::string summary() const;

 private:
  void handle(const Event& event);
  void perform(const Effect& effect);
  void perform(const Do& effect);
  void perform(const HoldSpec& effect);
  void perform(const HoldMirror& effect);
  void perform(const Remember& effect);
  void perform(const TellGuest& effect);
  void perform(const AskGrant& effect);
  void perform(const TimeGate& effect) { answer(effect.role, Step::TimeGate)(time_gate(effect)); }
  void perform(const CheckHealth& effect);
  void perform(const SendReport& effect);
  void perform(const Note& effect);
  void arm_timer();
  // agent_certificates.cpp
  void configure_guest(const RoleId& role);
  Result<link::guest::Certify> certificate_of_mirror(const RoleId& role) const;
  void watch_certificates();
  void tell_certificates();
  void tell_certificate_of_mirror(const RoleId& role);
  std::function<void(Status)> answer(const RoleId& role, Step step);

  // agent_progress.cpp
  void watch_progress();
  void tell_progress();

  // agent_fitness.cpp
  Status watch_links();
  void await_link_event();
  void look_at_links();
  void application_said(const RoleId& role, const std::string& unfit);

  // agent_hand_over.cpp: a planned switchover
  void quiesce_host(const RoleId& role);
  void ship_last(const RoleId& role);
  void serve_on(const RoleId& role, Term term);

  // agent_adopt.cpp: what a former daemon left is ours again
  Status take_network_up();
  void adopt_roles();
  HostFindings look_at(const HeldRecord& record);
  Status close_unclaimed_gates();
  Status close_all_but(net::Gate& gate, const std::set<std::string>& claimed);
  void adopt_host(const RoleId& role, Term term);
  void adopt_guest(const RoleId& role);
  void stop_guest(const RoleId& role);

  /// What stands before a role's ports on this host, and how it names them.
  struct RoleGate {
    net::Gate* gate;
    std::vector<std::string> ports;
  };
  Result<RoleGate> gate_of(const link::RoleSpec& spec, bool moved);
  [[nodiscard]] place::PlaceOptions place_options(const link::RoleSpec& spec, bool moved) const;
  /// The mirror may follow and watch: replication listens, BFD answers.
  void let_mirror_follow(const RoleId& role, Term term);
  void stop_application(const RoleId& role);
  void prepare_host(const RoleId& role, Term term);
  Status ensure_remembered(const RoleId& role);
  Status open_host_gate(const RoleId& role);
  Status close_host_gate(const RoleId& role);
  Status time_gate(const TimeGate& effect);
  Status untime_gate(const RoleId& role);
  void start_guest(const RoleId& role);
  void choose_device(Accelerator accelerator);
  void launch_guests(const Result<RegionDeviceChoice>& choice, Accelerator accelerator);
  void launch_guest(const RoleId& role, Accelerator accelerator, RegionDevice device);
  void movement_step(const RoleId& role, Step step, Term term);
  void resumed(const RoleId& role);
  void release_all();
  GuestCallbacks guest_callbacks(const RoleId& role);
  void on_guest_event(const RoleId& role, const link::guest::GuestEvent& event);
  void hear_guest(const RoleId& role, const link::guest::GuestEvent& event);
  place::RolePlaceCallbacks place_callbacks(const RoleId& role);
  /// Never an older leader than one that was heard, by this daemon or by one before it.
  Status hear_leader(const std::string& state_id, std::uint64_t token);
  Status start_bfd();
  /// BFD answers this observer of the group.
  Status let_watch(const IpAddress& observer);
  void on_bfd(const link::BfdParameters& bfd);
  [[nodiscard]] link::guest::Configure configuration_of(const MirrorPlace& mirror) const;

  /// Of our packets to an observer; its own, longer interval is what counts.
  static constexpr std::chrono::milliseconds answer_interval{10};

  boost::asio::io_context& io_;
  BladeConfig config_;
  std::string boot_id_;
  Blade blade_;
  boost::asio::steady_timer timer_;
  StandbyNetwork network_;
  std::optional<net::HostGate> host_gate_;
  std::unique_ptr<link::bfd::BfdService> bfd_;
  std::vector<IpAddress> observers_;                             ///< of the group, that BFD answers
  link::bfd::PeerOptions watched_{.interval = answer_interval};  ///< as the control-server last told
  std::map<RoleId, link::RoleSpec> specs_;
  std::map<RoleId, link::RunMirror> mirror_orders_;
  std::map<RoleId, std::unique_ptr<ServedRole>> served_;
  std::map<RoleId, std::unique_ptr<MirrorPlace>> mirrors_;
  std::map<RoleId, std::unique_ptr<MovementUnit>> movements_;
  std::map<RoleId, link::guest::Certify> certified_;  ///< what each mirror was given last
  struct PacedGuest {
    GuestPace pace;
    boost::asio::steady_timer timer;
  };
  std::map<RoleId, PacedGuest> paced_;
  std::set<RoleId> unremembered_;  ///< a successor would not know what this blade holds of them
  std::set<RoleId> uncertified_;   ///< mirrors that wait for a certificate that can be used
  HardwareWatchdog watchdog_;
  HealthRunner health_;
  std::optional<net::CarrierWatch> carriers_;
  boost::asio::posix::stream_descriptor link_events_;
  boost::asio::steady_timer link_timer_;
  std::map<std::string, bool> links_seen_;
  boost::asio::steady_timer progress_timer_;
  std::map<RoleId, ProgressPace> progress_;  ///< of the roles that this host serves, since it is connected
  std::string connected_to_;                 ///< empty: to no control-server
  boost::asio::steady_timer certificate_timer_;
  std::chrono::steady_clock::time_point certificates_told_;
  std::vector<RoleId> guests_waiting_;  ///< for the choices of accelerator and region device
  link::HeardLeader heard_;
  std::string state_before_;  ///< told with every Hello: that two stores decide for one blade is a person's business
  std::unique_ptr<link::ControlClient> control_;
};

}  // namespace understudy::host
