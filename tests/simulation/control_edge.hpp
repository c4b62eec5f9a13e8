// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The inside of the simulated control-servers (control_*.cpp).

#include <deque>
#include <set>

#include "control_node.hpp"
#include "core/echo_run.hpp"
#include "core/group.hpp"
#include "core/leading.hpp"
#include "etcd_model.hpp"

namespace understudy::sim {

inline constexpr unsigned kHeldOutAfter = 2;

/// On the disk of the only one.
struct ControlDisk {
  std::map<RoleId, control::Ownership> store;
  std::set<RoleId> is_protected;  ///< what it has not any more is flushed: a power cut takes nothing back
  std::vector<std::map<RoleId, control::Ownership>> former;  ///< after each of the last writes that were not flushed
  std::map<BladeId, KeptHoldOut> hold_outs;
  std::map<RoleId, control::Ownership> on_disk;  ///< planted bug: all that was really written
  Action ghost;  ///< a write that has failed, and may be found after a crash all the same
};

/// One thing after the other; an answer finds its daemon alive or is nobody's.
struct ControlWorker {
  std::deque<Action> jobs;
  bool busy = false;
};

class ControlServer;

/// What all of them share: the truth, and who watches it.
struct ControlServers {
  explicit ControlServers(World& the_world);
  World& world;
  ControlDisk disk;
  EtcdModel etcd;
  std::vector<std::unique_ptr<ControlServer>> servers;
  std::function<void(unsigned, Term)> on_activate = [](unsigned, Term) {};
  std::function<void(unsigned)> on_takeover = [](unsigned) {};
  std::function<void(unsigned, unsigned)> on_state = [](unsigned, unsigned) {};
  std::function<void(unsigned)> on_watchdog = [](unsigned) {};
  std::vector<unsigned> states = std::vector<unsigned>(kSitesMax, 0);
  /// What was told of hold-outs, and how often each blade came: without a Hello before and after there is no failure.
  std::set<BladeId> held_now;
  std::map<BladeId, unsigned> failures;
  [[nodiscard]] bool several() const { return world.servers() > 1; }
  [[nodiscard]] std::optional<unsigned> leader() const;
  void tell_what_is_held();
};

class ControlServer {
 public:
  ControlServer(ControlServers& all, unsigned index);

  using SessionId = ControlNode::SessionId;
  struct Session {
    std::function<bool(const link::Order&)> say;
    std::function<void()> close;
  };

  // control_server.cpp: the loop and host-agents
  void start();
  void crash();
  void power_lost();
  void step(const control::Event& event);
  SessionId attach(Session session);
  void report(SessionId session, const link::Report& report);
  void detached(SessionId session);

  Process process;
  std::optional<control::Group> group;
  std::uint64_t token = 0;  ///< of our leadership; 0: none, or the only one
  std::optional<unsigned> follows;
  [[nodiscard]] bool leads() const;

 private:
  void go_on_stepping();
  void arm_timer();
  void look_for_takeovers();
  void look_at_states();
  bool on_hello(SessionId session, const link::Hello& hello);
  void close(SessionId session);
  void close_all();
  void watch_blades();
  void watch_witnesses();
  void send_echo(unsigned which);
  void tell_of_witness(unsigned which);
  void begin_deciding(const std::vector<control::Ownership>& stored, const std::set<RoleId>& was_protected,
                      const std::map<BladeId, KeptHoldOut>& kept);

  // control_lead.cpp
  void round();
  void follow(const control::Leading::Step& step);
  void ask(const control::LeadAsk& what);
  void answered(const control::LeadAnswer& answer);
  void watch_tenure();
  void read_state();
  void take_lead(const EtcdModel::State& state);
  void stop_deciding(const std::string& why);
  /// One after the other, while this leadership lasts; `op` at etcd, `done` here.
  void on_store(Action op, std::function<void(bool answered)> done);
  void on_store_when_it_begins(std::function<Action()> begin, std::function<void(bool answered)> done,
                               bool first = false);
  void next_store_job();
  void persist_in_etcd(const control::Persist& effect);

  // control_effects.cpp
  void on_worker(ControlWorker& worker, Duration takes, std::function<control::Event()> work);
  void next_job(ControlWorker& worker);
  void written(const control::Ownership& before, const control::Ownership& next);
  void look_at_ports(unsigned site);
  void check_order(const link::Order& order);
  // control_disk.cpp
  void write_to_disk(Action change, std::function<void(bool)> ended);
  void disk_answers(bool in_time);
  void give_up_write();
  void find_ghost();
  void probe_store();
  void flush_events();
  void put(const std::string& what, Action change);
  void put_again(const std::string& what, const Action& change, std::uint64_t number);
  void persist_on_disk(const control::Persist& effect);
  void perform(const control::Persist& effect);
  void perform(const control::KeepHoldOut& effect);
  void perform(const control::KeepProtection& effect);
  void write_latest(const std::string& key, const char* what, Action change, std::function<void(bool)> done,
                    bool again = false);
  void protection_kept(const control::KeepProtection& effect, bool came);
  void perform(const control::Isolate& effect);
  void perform(const control::Readmit& effect);
  void perform(const control::LookAtPorts& effect) { look_at_ports(world.site_of(effect.blade)); }
  void perform(const control::PowerOff& effect);
  void perform(const control::Send& effect);
  void perform(const control::Note& effect);

  ControlServers& all_;
  World& world;
  const unsigned index_;
  std::string name_;
  std::deque<control::Event> queue;
  bool stepping = false;
  std::deque<control::Effect> effects_;  ///< of the step that is being done
  unsigned steps_ = 0;
  struct Write {
    Action change;
    std::function<void(bool)> ended;
    bool fails = false;
    bool there = false;  ///< it fails, and may be found after a crash
  };
  std::optional<Write> write_;  ///< that the loop waits for
  bool waits_for_disk_ = false;
  bool flush_posted_ = false;
  std::map<std::string, std::uint64_t> words_;  ///< the last one of each thing that is written again and again
  std::uint64_t last_word_ = 0;
  std::uint64_t timers = 0;
  ControlWorker switch_worker;
  ControlWorker power_worker;
  std::map<SessionId, Session> sessions;
  std::map<SessionId, BladeId> blade_of;
  std::map<BladeId, SessionId> session_of;
  SessionId last_session = 0;
  // --- of several ---
  std::optional<control::Leading> leading_;
  std::map<BladeId, link::Vote> votes_;
  struct Echo {
    control::EchoRun run;
    std::string name;
    Duration interval;
  };
  std::vector<Echo> echoes_;
  std::uint64_t reign_ = 0;  ///< what an earlier one asked for is nobody's
  std::map<RoleId, bool> unwritten_;
  std::map<std::string, std::int64_t> revisions_;
  std::map<RoleId, control::StoredOwnership> book_;
  struct StoreJob {
    std::function<Action()> begin;  ///< called when it is sent; what it returns runs at etcd
    std::function<void(bool)> done;
  };
  std::deque<StoreJob> store_jobs_;
  bool store_busy_ = false;
  std::optional<EtcdModel::State> first_read_;  ///< planted bug
};

[[nodiscard]] control::GroupConfig control_config(const World& world, unsigned server);

}  // namespace understudy::sim
