// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The edge of core/leading.hpp: asks etcd what the core wants to know. The lead is a key that its holder's lease keeps
/// there; its create revision is the token that each write of a leader is compared with and each order carries.
///
/// etcd extends a lease by its own election timeout at most too late (a member that does not know yet that it leads
/// etcd no more may answer a renewal): kMargin covers one of a second, which is etcd's default. One thread asks etcd;
/// callbacks run on the io_context.

#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "core/leading.hpp"
#include "edge/etcd_client.hpp"
#include "understudy/common/types.hpp"

namespace understudy::control {

struct Leadership {
  std::string state_id;  ///< identity of the state in etcd
  std::uint64_t token = 0;
};

/// What etcd said last.
struct ElectionView {
  std::string leader;           ///< its address; empty: nobody leads
  std::int64_t since_ns = 0;    ///< of its leadership, wall clock
  std::set<std::string> there;  ///< addresses of the control-servers whose leases are alive
  std::string problem;          ///< why etcd cannot be asked; empty: it can
  bool operator==(const ElectionView&) const = default;
};

/// The right to decide, by our own clock. Any thread.
class Tenure {
 public:
  void begin(std::uint64_t token, Instant until);
  /// False: it had ended, and has.
  bool extend(Instant now, Instant until);
  void end();
  /// Of this leadership, no later one.
  void end(std::uint64_t token);
  [[nodiscard]] bool holds(Instant now, std::uint64_t token) const;
  [[nodiscard]] Instant until() const;

 private:
  mutable std::mutex mutex_;
  std::uint64_t token_ = 0;
  Instant until_;
};

class Election {
 public:
  struct Callbacks {
    std::function<void(const Leadership&)> on_lead;
    /// May come for a leadership whose end the owner has noticed itself.
    std::function<void(const std::string& why)> on_lost;
    std::function<void(const ElectionView&)> on_view;  ///< after each look
  };

  /// `address`: what the others call this control-server by. `patience`: how long it lets others go first.
  Election(boost::asio::io_context& io, EtcdSettings settings, std::string address, std::chrono::milliseconds patience,
           Callbacks callbacks);
  /// Gives the leadership back, so that another takes it at once.
  ~Election();
  Election(const Election&) = delete;
  Election& operator=(const Election&) = delete;

  /// Whether the leadership with this token still holds now. Any thread.
  [[nodiscard]] bool holds(std::uint64_t token) const;
  [[nodiscard]] Instant holds_until() const { return tenure_.until(); }
  /// No round any more; the leadership is given back. Idempotent; the rest may be asked afterwards.
  void resign();
  /// The owner cannot go on with this leadership, or has seen that it is lost.
  void give_up(std::uint64_t token, const std::string& why);

  static constexpr std::chrono::milliseconds kPoll{300};
  static constexpr std::chrono::milliseconds kMargin{1500};
  /// Rounds, and not a time: a machine that was frozen and goes on has lost no more than one.
  static constexpr int kUnheardMax = 7;
  static constexpr std::chrono::seconds kLeaseMin{3};
  /// Of one that runs on a blade: it shares that blade's fate, and on the standby it lacks a witness.
  static constexpr std::chrono::milliseconds kPatienceOnBlade{1500};

 private:
  void run();
  void round();
  LeadAnswer perform(const KeepLease& ask);
  LeadAnswer perform(const GrantLease& ask);
  LeadAnswer perform(const LookWhoLeads& ask);
  LeadAnswer perform(const Campaign& ask);
  LeadAnswer perform(const DropLease& ask);
  Result<std::string> find_state_id();
  void follow(const Leading::Step& step);
  /// Whoever decides hangs: another must.
  void stand_back();
  void tell(const std::string& problem);
  template <class Action>
  void post(Action action);

  boost::asio::io_context& io_;
  const std::string address_;
  const Callbacks callbacks_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  Tenure tenure_;
  // --- the thread's own ---
  EtcdClient etcd_;
  Leading leading_;
  std::string state_id_;
  std::int64_t campaign_since_ns_ = 0;
  ElectionView view_;
  // --- shared ---
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  int unheard_ = 0;             ///< rounds since the io_context ran last
  std::uint64_t given_up_ = 0;  ///< a token
  std::string given_up_why_;
  std::thread thread_;  ///< last
};

}  // namespace understudy::control
