// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The receiving end's state machine: the diagram and the invariants are ReplicationReceiver's. No sockets, no clock:
/// what it wants done it asks of the wire and of the edge (replication_edge.hpp).
///
///   prepare(), begin() ──► edge.connect() ──► wire: Hello ──► frames ──► Applier ──► Ack
///                              ▲ backoff          └── closed or silent ──┘

#include <memory>
#include <optional>
#include <string>

#include "replication_applier.hpp"
#include "replication_edge.hpp"
#include "understudy/link/replication_options.hpp"

namespace understudy::link::replication {

class ReceiverCore : public std::enable_shared_from_this<ReceiverCore> {
 public:
  /// `region`: open for writing.
  ReceiverCore(std::shared_ptr<ReceiverEdge> edge, ReceiverOptions options, shm::Region region,
               ReceiverCallbacks callbacks);

  /// Becomes the writer of all stores under the term. True: it follows this very active already, and goes on; false:
  /// begin() comes next. `same_active`: the same as before, and it is reached in the same way.
  Result<bool> prepare(Term term, bool same_active, bool copy_was_synced);
  /// `active`: for a person.
  void begin(std::string active);

  void drain(Duration quiet, Duration limit, std::function<void(const DrainReport&)> done);
  /// Closes and gives the stores up.
  void release_writers();
  void grant(Term term, std::uint64_t nonce);

  [[nodiscard]] std::optional<Term> term() const { return term_; }
  [[nodiscard]] ReceiverStatus status() const { return {phase_, detail_, applier_.ready(), applier_.status()}; }
  [[nodiscard]] ReceiverPhase phase() const { return phase_; }
  [[nodiscard]] bool ready() const { return applier_.ready(); }

 private:
  void become(ReceiverPhase next, const std::string& why);
  void make_timers();
  void connect();
  void connect_failed(const std::string& why);
  void connect_later();
  void on_connected(std::shared_ptr<Wire> wire);
  [[nodiscard]] FrameHeader header(FrameType type) const { return {type, 0, *term_, role_digest_, {}}; }
  Status on_frame(const Frame& frame);
  void on_read_done();
  void acknowledge();
  void say_at_work();
  void on_heartbeat();
  void on_closed(const std::string& why);
  void close();
  void arm_quiet();
  void look_whether_quiet();
  void drained(bool end_of_stream, bool by_deadline);

  const std::shared_ptr<ReceiverEdge> edge_;
  const ReceiverOptions options_;
  shm::Region region_;
  const ReceiverCallbacks callbacks_;
  Applier applier_;
  const std::uint64_t role_digest_;
  std::string active_;
  std::optional<Term> term_;
  bool connecting_ = false;
  std::shared_ptr<Wire> wire_;
  std::unique_ptr<Timer> answer_timer_;  ///< of a connection that is being made
  std::unique_ptr<Timer> retry_timer_;
  std::unique_ptr<Timer> heartbeat_timer_;
  std::unique_ptr<Timer> quiet_timer_;
  std::unique_ptr<Timer> limit_timer_;
  Duration backoff_{0};
  ReceiverPhase phase_ = ReceiverPhase::Connecting;
  std::string detail_ = "not configured";
  bool ack_due_ = false;
  unsigned reads_unacknowledged_ = 0;
  std::optional<std::uint64_t> grant_due_;  ///< its request's nonce
  bool spoke_ = false;                      ///< since the last beat
  bool progressed_ = false;                 ///< on this connection: the next backoff starts small
  Time heartbeat_expected_;
  Time at_work_since_;         ///< or when that was said last
  std::uint64_t attempt_ = 0;  ///< an answer to an older attempt is nobody's
  Duration drain_quiet_{0};
  std::function<void(const DrainReport&)> on_drained_;
  bool stopped_ = true;
};

}  // namespace understudy::link::replication
