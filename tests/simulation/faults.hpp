// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What goes wrong, when, and how it heals. The plan is made from the seed before the run begins: some faults at times,
/// some in the moment when a role comes into a state (there the decisions are), a few of them at once.
///
/// Left out on purpose, since nothing could hold then: a fence agent that lies in a run whose switch fails (both
/// devices that prove the stop would be broken).

#include <functional>
#include <set>

#include "chassis.hpp"

namespace understudy::sim {

/// How often each fault was met by a role in each state.
using Matrix = std::array<std::array<std::uint64_t, kStates>, kFaults>;
/// How often each was done to the chassis, or changed something.
using Tally = std::array<std::uint64_t, kFaults>;

struct Plan {
  struct Item {
    Fault fault = Fault::Loss;
    unsigned role = 0;
    std::optional<unsigned> state;  ///< when the role comes into it; none: by time alone
    Instant not_before;
    Duration wait{0};
    bool done = false;
  };
  bool single = false;                   ///< exactly one fault
  bool its_kind_only = false;            ///< blinks, filters, or hangs, and nothing else
  bool standby_dies_activating = false;  ///< between the first Activate and its answer
  std::vector<Item> items;
};
[[nodiscard]] Plan make_plan(World& world, Random& random, Instant from);

class Faults {
 public:
  Faults(Chassis& chassis, Plan plan);

  void start();
  /// Everything that a fault has set is undone; what is off or dead comes back within some seconds.
  void heal();
  /// Of the whole maintenance network; it accuses nobody.
  void blink(Duration lasts);
  /// Of a healed chassis: the blade of this role loses its power, or stands still, and nobody mends it any more.
  void leave_dead(unsigned site, bool frozen);
  void leave_off(unsigned server);
  void cut_from_store(unsigned server, Duration lasts);
  void restart_control(unsigned server, Duration after);
  void control_box_off(unsigned server);
  /// From here on the role's active has failed, whatever the plan was.
  void accuse_active(unsigned role);
  /// A mirror was told to take over.
  void on_activate();
  void restart_agent(unsigned site, Duration after);
  [[nodiscard]] const Matrix& met() const { return met_; }
  [[nodiscard]] const Tally& injected() const { return injected_; }
  /// What was left dead is mended after all.
  void bring_back(unsigned site);
  [[nodiscard]] bool single() const { return plan_.single; }
  /// An operator has moved a role, or changed when they move.
  [[nodiscard]] bool operator_moved() const { return operator_moved_; }
  void watch_states(std::function<void(unsigned role, unsigned state)> watcher) { on_state_ = std::move(watcher); }
  [[nodiscard]] bool store_was_damaged() const { return store_damaged_; }
  /// Both observers had a reason, of late, to believe that the role's active has failed.
  [[nodiscard]] bool suspect(unsigned role) const;
  /// The only fault of this run hits the standby or the control-server: no active may be judged dead.
  [[nodiscard]] bool observers_only() const { return observers_only_; }

 private:
  struct Site {
    unsigned number;
  };
  void strike(Plan::Item& item);
  void inject(const Plan::Item& item);
  void inject_network(const Plan::Item& item);
  void inject_daemon(const Plan::Item& item);
  void inject_machine(const Plan::Item& item);
  void inject_trouble(const Plan::Item& item);
  void inject_other(const Plan::Item& item);
  void inject_servers(const Plan::Item& item);  ///< faults_servers.cpp
  void inject_words(const Plan::Item& item);    ///< faults_words.cpp
  void inject_witness(const Plan::Item& item);
  void inject_blink();  ///< faults_blink.cpp
  void inject_orderly_stop(const Plan::Item& item);
  void inject_filter(const Plan::Item& item);  ///< faults_filter.cpp
  void inject_store_hang();                    ///< faults_hang.cpp
  void inject_loop_hang(const Plan::Item& item);
  /// It accuses nobody: not one that is back in time.
  void agent_is_back(unsigned site, Duration after);
  void filter(unsigned blade, unsigned observer, Duration lasts);
  void lose_link(unsigned site, Duration lasts);
  void leader_stalls(unsigned server);
  void cut_cable(unsigned server, bool cut);
  /// Who leads, mostly.
  [[nodiscard]] unsigned some_server();
  void on_state(unsigned role, unsigned state);
  [[nodiscard]] bool doubted(unsigned role) const;
  void on_doom(const World::Doom& doom);

  void weather(unsigned a, unsigned b, const std::function<void(Path&)>& change, bool both);
  void power_back(unsigned site, Duration after);
  void undo_later(Duration after, Action undo);
  void count(Fault fault, unsigned role);
  void count_all(Fault fault);
  void accuse(unsigned role, bool control, bool mirror);
  void accuse_site(unsigned site);
  /// Of each that is done.
  void note(Fault fault, const std::string& whom);
  [[nodiscard]] unsigned some_site();

  Chassis& chassis_;
  World& world_;
  Random random_;
  Plan plan_;
  Matrix met_{};
  Tally injected_{};
  bool healing_ = false;
  bool store_damaged_ = false;
  bool operator_moved_ = false;
  std::function<void(unsigned, unsigned)> on_state_ = [](unsigned, unsigned) {};
  bool observers_only_ = false;
  std::set<unsigned> left_dead_;      ///< sites
  std::optional<unsigned> left_off_;  ///< a control-server
  std::vector<Action> undo_;
  std::vector<Instant> filtered_until_;          ///< role
  std::vector<std::array<Instant, 2>> accused_;  ///< role: by control-server, by mirror
  std::vector<bool> decided_in_doubt_;           ///< role: since it is being taken over
};

}  // namespace understudy::sim
