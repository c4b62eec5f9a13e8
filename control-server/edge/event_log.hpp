// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The event log as the daemon writes and reads it: at once in the embedded store, in the background in etcd.
///
///     add ──► waiting ──flush──► the daemon's own log ──► store: id, written        etcd: one batch on its way at a
///     time
///                                                            └── readers are woken ◄────────┘
///
/// Invariants: who waits for an event to be written is answered once. Ids grow by one and are given when an event is
/// about to be written; with etcd only who leads gives any. What a follower has to tell waits, bounded, until it leads;
/// its own log has it at once.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>

#include "edge/etcd_store.hpp"
#include "edge/state_store.hpp"
#include "edge/worker.hpp"
#include "understudy/link/control_api_server.hpp"

namespace understudy::control {

/// The io_context's thread only.
class EventLog {
 public:
  /// `on_written`: there is more to read.
  EventLog(boost::asio::io_context& io, std::function<void()> on_written);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  Status use(StateStore& local);
  void use(const EtcdSettings& settings);
  void lead(const Leadership& leadership, std::uint64_t last_id);
  void follow();

  /// Adds the time, and an id when it is written: soon, by itself.
  void add(link::EventRecord event);
  void flush();
  /// As add(), and tells when the event is written: before this returns where the store is ours. A failure, Expired
  /// when somebody else leads, may leave it to be written later.
  using Written = std::function<void(const Status&)>;
  void write(link::EventRecord event, const Written& written);
  [[nodiscard]] bool failing() const { return failing_; }
  /// Why nothing is written, while failing().
  [[nodiscard]] const std::string& problem() const { return problem_; }
  void newest(const std::function<void(const Result<std::uint64_t>&)>& answer);
  void read(std::uint64_t after, std::size_t limit, const link::EventsAnswer& answer);

 private:
  void push(link::EventRecord event);
  void settle(const Status& done, std::uint64_t up_to);
  void write_locally();
  void write_locally_again(const Error& error);
  void write_batch();
  void keep_newest();
  void tell_failure(const Error& error);
  void tell_written();
  void written(std::size_t count, const Status& done);
  void tell(const link::EventRecord& event);

  boost::asio::io_context& io_;
  std::function<void()> on_written_;
  StateStore* local_ = nullptr;
  std::optional<EtcdSettings> settings_;
  std::shared_ptr<EtcdStore> reader_;  ///< used on worker_ only, as writer_
  std::shared_ptr<EtcdStore> writer_;  ///< null: we do not lead
  std::uint64_t last_id_ = 0;
  std::deque<link::EventRecord> waiting_;
  std::uint64_t pushed_ = 0;  ///< events that ever waited
  struct Waiter {
    std::uint64_t number = 0;  ///< of pushed_, its event's
    Written written;
  };
  std::deque<Waiter> waiters_;  ///< etcd only
  std::size_t told_ = 0;        ///< of waiting_, in the daemon's own log
  bool flush_posted_ = false;
  bool writing_ = false;
  bool failing_ = false;
  std::string problem_;     ///< the last one
  std::uint64_t lost_ = 0;  ///< since it failed: more than can be kept
  boost::asio::steady_timer again_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::shared_ptr<int> leading_;  ///< answers about an earlier leadership are nobody's
  std::optional<Worker> worker_;
};

}  // namespace understudy::control
