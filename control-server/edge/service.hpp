// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The daemon around the core: one thread turns the world into events and effects into deeds.
///
///     host-agents, operators ──ControlApiServer──┐                        ┌── Store (at once, on this thread), or
///                                                │                        │   EtcdStore, on a worker ──► event
///     BFD thread ─────────── bfd::Observer ──────┼─► event ► Group::step ─┼── switch worker ──► event
///     timer at next_deadline() ──────────────────┘          effects, in   ├── power worker  ──► event
///                                                           their order   └── orders, event log
///
/// Of several control-servers (etcd) one leads: only there is a Group. Who takes the lead does what a restarted single
/// one does: it makes the Group from what is stored, and its evidence is looked at again. All of them watch the blades,
/// so that the next leader has votes of its own at once. service_lead.cpp.
///
/// A power worker for each blade: a power unit that hangs is no failure of another blade's.
/// The event log is written after the effects of a step: a takeover does not wait for it. A person's command does.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "core/group.hpp"
#include "edge/commands.hpp"
#include "edge/config_file.hpp"
#include "edge/drivers.hpp"
#include "edge/election.hpp"
#include "edge/etcd_store.hpp"
#include "edge/event_log.hpp"
#include "edge/hold_out_record.hpp"
#include "edge/icmp_watch.hpp"
#include "edge/patient_writes.hpp"
#include "edge/power_orders.hpp"
#include "edge/recent_alarms.hpp"
#include "edge/store.hpp"
#include "edge/watched_store.hpp"
#include "edge/worker.hpp"
#include "understudy/link/bfd_observer.hpp"
#include "understudy/link/control_api_server.hpp"

namespace understudy::control {

class ControlService {
 public:
  /// Opens the store, the switch, BFD and the API; decides nothing before the loop runs.
  /// `icmp`: what open_icmp gave, while the capabilities for it were there.
  static Result<std::unique_ptr<ControlService>> start(boost::asio::io_context& io, const ServerConfig& config,
                                                       std::vector<IcmpSocket> icmp);
  ~ControlService();
  ControlService(const ControlService&) = delete;
  ControlService& operator=(const ControlService&) = delete;

  [[nodiscard]] int port() const { return api_->port(); }
  /// One line for a person: how the roles are, and what is missing.
  [[nodiscard]] std::string summary() const;

 private:
  [[nodiscard]] std::string summary_of_group() const;
  ControlService(boost::asio::io_context& io, const ServerConfig& config, std::unique_ptr<SwitchDriver> the_switch);
  Status open_store();
  void probe_store();
  Status open_edges();
  Status watch_blades();
  Status watch_witnesses();  ///< service_witnesses.cpp
  void witness_seen(const WitnessSeen& seen);
  void witness_voted(const std::string& name, link::Vote vote);
  void look_at_ports(const BladeId& blade);
  link::ControlApiHandlers handlers();

  // service_lead.cpp
  void begin_election();
  void won(const Leadership& leadership);
  struct Read {  ///< of the state, before anything is decided
    std::vector<Ownership> stored;
    std::uint64_t last_event = 0;
    std::optional<link::MovementPolicy> policy;
    std::set<RoleId> was_protected;
    HoldOutsToBegin held_out;
  };
  static Result<Read> read_state(StateStore& store, link::MovementPolicy in_file);
  void take_lead(const Leadership& leadership, const std::shared_ptr<EtcdStore>& store, const Read& state);
  void remember_policy(link::MovementPolicy policy);
  void begin_deciding(const Read& state);
  void stop_deciding(const std::string& why);
  void watch_tenure();
  void look_at(const ElectionView& view);
  /// Still ours to decide: true where there is one control-server.
  [[nodiscard]] bool leads() const;
  void persist_in_etcd(const Persist& effect);
  [[nodiscard]] link::GroupStatus status() const;
  void add_control_servers(link::GroupStatus& status) const;
  [[nodiscard]] std::string storing_alarm() const;

  void step(const Event& event);
  void arm_timer();
  void perform(const Persist& effect);
  void perform(const KeepHoldOut& effect);
  void perform(const KeepProtection& effect);
  void perform(const Isolate& effect);
  void perform(const Readmit& effect);
  void perform(const LookAtPorts& effect) { look_at_ports(effect.blade); }
  void perform(const PowerOff& effect);
  void perform(const Send& effect);
  void perform(const Note& effect);

  void on_report(link::SessionId session, const link::Report& report);
  void watch_certificates();
  // service_alarms.cpp
  void on_certificate(link::SessionId session, const BladeId& blade, std::int64_t not_after);
  void forget_certificate(link::SessionId session, const BladeId& blade);
  [[nodiscard]] std::string ending_of(const BladeId& blade, std::int64_t not_after) const;
  [[nodiscard]] std::vector<std::string> own_certificate_alarms() const;
  [[nodiscard]] std::string bfd_alarm() const;
  [[nodiscard]] std::string hold_out_alarm() const;
  void tell_slow_store();
  void remember_alarm(const link::EventRecord& event);
  [[nodiscard]] std::vector<std::string> alarms() const;
  void tell_alarm(const std::string& kind, const BladeId& blade, const std::string& text);
  bool on_hello(link::SessionId session, const link::Hello& hello);
  void on_detached(link::SessionId session);
  void add_commands(link::ControlApiHandlers& handlers);  ///< service_commands.cpp
  /// Whether commands are ours to obey, at this instant.
  [[nodiscard]] bool decides();
  void switch_power(const PowerOrder& order);  ///< service_power.cpp
  void tell_refused(const BladeId& at, const std::string& what);
  /// Runs `work` on the worker and steps with the event that it returns.
  void on_worker(Worker& worker, std::function<Event()> work);
  std::function<void()> as_job(std::function<Event()> work);
  [[nodiscard]] const std::vector<std::string>& ports_of(const BladeId& blade) const;

  boost::asio::io_context& io_;
  ServerConfig config_;
  std::unique_ptr<WatchedStore> store_;   ///< null: the state is in etcd
  std::unique_ptr<SwitchDriver> switch_;  ///< used on switch_worker_ only
  std::unique_ptr<PowerDriver> power_;    ///< used on power_workers_ only; null: none
  std::optional<Group> group_;            ///< none: another control-server leads, or nobody
  boost::asio::steady_timer timer_;
  std::deque<Event> queue_;
  bool stepping_ = false;
  std::map<link::SessionId, BladeId> blade_of_;
  std::map<BladeId, link::SessionId> session_of_;
  std::map<BladeId, link::Vote> votes_;           ///< of our own eyes
  std::map<std::string, WitnessSeen> witnesses_;  ///< likewise
  std::vector<IcmpSocket> icmp_sockets_;
  boost::asio::steady_timer certificate_timer_;
  /// Of the blades that are attached: by which session, and when it ends in seconds since 1970.
  std::map<BladeId, std::pair<link::SessionId, std::int64_t>> certificate_ends_;
  mutable std::vector<std::string> own_certificates_;  ///< alarms of them, as of certificates_looked_at_
  mutable std::optional<Instant> certificates_looked_at_;
  RecentAlarms recent_;
  std::map<std::pair<BladeId, std::string>, Instant> refused_at_;  ///< where and what was refused, and told
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::shared_ptr<int> deciding_;  ///< while group_ is there: what an earlier one asked for is nobody's
  std::optional<Leadership> leadership_;
  std::shared_ptr<EtcdStore> etcd_;  ///< used on store_worker_ only
  ElectionView view_;
  std::map<RoleId, std::pair<Place, Term>> last_known_;  ///< of the time when we led
  boost::asio::steady_timer tenure_timer_;
  boost::asio::steady_timer probe_timer_;
  std::optional<Instant> slow_told_;
  std::string etcd_problem_;       ///< why the last probe was not written; empty: it was
  std::string hold_outs_unknown_;  ///< why they could not be read when this life began to decide
  PatientWrites patient_;
  EventLog events_;
  Commands commands_;
  std::unique_ptr<link::bfd::Observer> observer_;
  std::unique_ptr<IcmpWatch> icmp_;  ///< null: no witness by ICMP
  std::unique_ptr<link::ControlApiServer> api_;
  std::unique_ptr<Election> election_;  ///< null: there is one control-server
  std::unique_ptr<Worker> store_worker_;
  std::unique_ptr<Worker> switch_worker_ = std::make_unique<Worker>();
  WorkerForEachBlade power_workers_;
};

}  // namespace understudy::control
