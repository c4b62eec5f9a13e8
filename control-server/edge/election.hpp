// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Which of several control-servers decides: a key in etcd that its holder's lease keeps there.
///
///     follower ──the key is not there: created, with our lease──► leader ──not renewed in time, or taken──► follower
///        │                                                           │
///        └── looks every kPoll ─────────── etcd ──────── renews every kPoll, and looks whether the key is still ours
///
/// Invariants
///   - The key's create revision is the fencing token: it grows with each leadership, each write of a leader is
///   compared
///     with it, each order carries it.
///   - A leader counts its right from the *sending* of its last renewal that was answered, on CLOCK_BOOTTIME, and
///     kMargin less than the lease: it has ended here before the key can be gone there. An ended right never comes
///     back; the same control-server has to win again, under a new token.
///   - etcd extends a lease by its own election timeout at most too late (a member that does not know yet that it leads
///     etcd no more may answer a renewal): kMargin covers one of a second, which is etcd's default.
/// One thread asks etcd; callbacks run on the io_context.

#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

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
  /// The owner cannot go on with this leadership, or has seen that it is lost.
  void give_up(std::uint64_t token, const std::string& why);

  static constexpr std::chrono::milliseconds kPoll{300};
  static constexpr std::chrono::milliseconds kMargin{1500};
  static constexpr std::chrono::seconds kLeaseMin{3};
  /// Of one that runs on a blade: it shares that blade's fate, and on the standby it lacks a witness.
  static constexpr std::chrono::milliseconds kPatienceOnBlade{1500};

 private:
  void run();
  void round();
  Status keep_lease();
  Status look();
  Status settle_leadership(Instant sent);
  Status campaign(Instant sent);
  Result<std::string> find_state_id();
  void lose(const std::string& why);
  void drop_lease();
  void tell(const std::string& problem);
  template <class Action>
  void post(Action action);

  boost::asio::io_context& io_;
  const std::string address_;
  const std::chrono::milliseconds patience_;
  const Callbacks callbacks_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  Tenure tenure_;
  // --- the thread's own ---
  EtcdClient etcd_;
  std::int64_t lease_ = 0;
  std::uint64_t token_ = 0;              ///< ours; 0: we do not lead
  std::uint64_t leader_token_ = 0;       ///< the key's, as it was seen last
  std::optional<Instant> vacant_since_;  ///< nobody leads
  ElectionView view_;
  // --- shared ---
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::uint64_t given_up_ = 0;  ///< a token
  std::string given_up_why_;
  std::thread thread_;  ///< last
};

}  // namespace understudy::control
