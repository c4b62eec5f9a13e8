// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The inside of a simulated host-agent (blade_node*.cpp).

#include <map>

#include "blade_node.hpp"
#include "chassis.hpp"
#include "core/blade.hpp"
#include "edge/progress_pace.hpp"
#include "sender_node.hpp"
#include "understudy/link/leader_guard.hpp"

namespace understudy::sim {

/// As Status, without a message that nobody reads.
using Outcome = std::optional<std::string>;  ///< nothing: it went well
using Done = std::function<void(const Outcome&)>;

struct BladeNode::Impl {
  Impl(Chassis& the_chassis, unsigned its_site);

  Chassis& chassis;
  World& world;
  const unsigned site;
  Blade& blade;
  Process& process;

  // --- /run: outlives the daemon, not the power ---
  std::map<RoleId, host::HeldRecord> records;
  std::map<RoleId, host::GivenUp> given_up;
  link::HeardLeader heard;

  // --- the daemon ---
  struct Served {
    bool supervises = false;             ///< its application was started, or found, by this daemon
    std::shared_ptr<SenderNode> sender;  ///< a mirror may follow
  };
  struct Mirror {
    bool has_guest = false;
    std::string instance;  ///< of the guest-agent in conversation
  };
  struct Movement {
    std::uint64_t id = 0;
    std::uint64_t attempt = 0;
    bool frozen = false;
    bool place = false;  ///< the namespace with its application
    bool supervises = false;
  };
  std::optional<host::Blade> core;
  std::map<RoleId, link::RoleSpec> specs;
  std::map<RoleId, link::RunMirror> mirror_orders;
  std::map<unsigned, Served> served;
  std::map<unsigned, Mirror> mirrors;
  std::map<unsigned, Movement> movements;
  std::uint64_t movement_ids = 0;
  std::map<unsigned, Instant> monitor_busy;  ///< QEMU does one thing after the other
  std::uint64_t timers = 0;
  unsigned depth = 0;
  std::map<unsigned, std::uint64_t> last_asked;  ///< planted bug
  std::map<unsigned, std::uint64_t> discarded;   ///< with a place its application goes, also one that was being started
  std::shared_ptr<Stream> stream;
  ControlNode::SessionId session = 0;
  unsigned server = 0;  ///< whom it asks, or is connected to
  std::optional<unsigned> redirect;
  unsigned redirects = 0;
  bool connected = false;
  std::uint64_t attempts = 0;
  std::map<unsigned, host::ProgressPace> progress;  ///< since it is connected
  Duration backoff = 100ms;

  // blade_node.cpp: the loop and the control stream
  void start();
  void crash();
  void stop_in_order();
  void handle(const host::Event& event);
  void perform_all(const host::Effects& effects);
  void perform(const host::Do& effect);
  void perform(const host::HoldSpec& effect);
  void perform(const host::HoldMirror& effect);
  void perform(const host::Remember& effect);
  void perform(const host::TellGuest& effect);
  void perform(const host::SendReport& effect);
  void perform(const host::Note& effect) { (void)effect; }
  void perform(const host::CheckHealth& effect);
  void look_at_links();
  void hear_application(unsigned role);
  void perform(const host::AskGrant& effect);
  void perform(const host::TimeGate& effect);
  void arm_timer();
  Done answer(unsigned role, host::Step step);
  void try_connect();
  void connect();
  void ask_next();
  void retry_later();

  // blade_steps.cpp: a role on this host, and mirrors
  [[nodiscard]] HostPlace& place(unsigned role) { return blade.places[role]; }
  [[nodiscard]] bool moved(unsigned role) const;
  [[nodiscard]] Outcome gate_there(bool moved_role) const;
  void adopt_roles();
  void adopt_host(unsigned role, Term term);
  void adopt_guest(unsigned role);
  void prepare_host(unsigned role, Term term);
  Outcome open_host_gate(unsigned role);
  Outcome close_host_gate(unsigned role);
  void let_mirror_follow(unsigned role, Term term);
  void stop_replication(unsigned role);
  void watch_progress();
  void tell_progress();
  void start_application(unsigned role, const Done& done);
  void activate_application(unsigned role, Term term, const Done& done);
  void stop_application(unsigned role, const Action& done);
  void start_guest(unsigned role);
  void stop_guest(unsigned role);
  void kill_guest(unsigned role, const Action& done);
  void release_all();
  [[nodiscard]] Mirror* mirror_at(unsigned role, const char* why);
  void tell_guest(unsigned role, const link::guest::GuestOrder& order);

  // blade_hand_over.cpp
  void quiesce_host(unsigned role);
  void ship_last(unsigned role);
  void serve_on(unsigned role, Term term);

  // blade_movement.cpp
  void movement_step(unsigned role, host::Step step, Term term);
  void prepare_movement(unsigned role, const Done& done);
  void send_markers(unsigned role, const Done& done);
  void freeze(unsigned role, const Done& done);
  void commit(unsigned role, Term term, const Done& done);
  void take_over(unsigned role, Term term, const Done& done);
  void roll_back(unsigned role, const Done& done);
  void discard(unsigned role, const Outcome& opened, const Done& done);
  void resumed(unsigned role);
  [[nodiscard]] bool same_attempt(unsigned role, std::uint64_t id, std::uint64_t attempt) const;
  [[nodiscard]] bool same_movement(unsigned role, std::uint64_t id) const;

  [[nodiscard]] bool trouble() { return world.fails(world.troubles.steps_fail, Fault::FailedStep); }
  [[nodiscard]] std::string name() const { return world.blade_id(site).value; }
};

}  // namespace understudy::sim
