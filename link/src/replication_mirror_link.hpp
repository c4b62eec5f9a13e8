// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The sender's side of one accepted mirror: brings each store up to date and keeps it so. No sockets, no clock: what
/// it wants done it asks of the wire and of the edge (replication_edge.hpp).
///
///   of each store:   Waiting ──► Scanning ──► Following
///                       ▲            │            │
///                       └── lapped ──┴────────────┘        (Following at once when the journal still has it all)
///
/// One pump fills one batch: the frames of the scan first, then the journal as far as the scan's mark allows, then
/// the heartbeat. It runs again as soon as a batch is written or acknowledged, else by the poll timer.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replication_edge.hpp"
#include "replication_throttle.hpp"
#include "understudy/link/replication_options.hpp"
#include "understudy/link/replication_resume.hpp"

namespace understudy::link::replication {

/// What outlives a connection.
struct StoreCounters {
  std::uint64_t journal_resumes = 0;
  std::uint64_t delta_snapshots = 0;
  std::uint64_t full_snapshots = 0;
  std::uint64_t laps = 0;
  std::uint64_t too_large =
      0;  ///< bytes of a transaction that was committed here and did not fit into a mirror's journal
  WriterThrottle throttle{};
  Duration waited_before{};  ///< by the writer, when the throttle began
};

/// Why this Hello is none of this sender's mirror; nothing: it is welcome. Who a certificate says that it is has been
/// looked at before. `counters`: of the stores, where there are any.
[[nodiscard]] std::optional<Refusal> refusal_of(const SendingOptions& options, const std::vector<shm::Store>& stores,
                                                const FrameHeader& header, const Hello& hello,
                                                const std::vector<StoreCounters>& counters = {});
/// Of whoever speaks a version that this side does not.
[[nodiscard]] Refusal refusal_of_version(std::uint8_t theirs, const std::string& address, const BladeId& mirror_blade);
/// What a mirror that was accepted could not take if it came; empty: it can take all that may be committed here.
[[nodiscard]] std::string smaller_journals(const std::vector<shm::Store>& stores, const Hello& hello);
/// The largest transaction that this mirror takes; nothing: all that may be committed here.
[[nodiscard]] std::optional<std::uint64_t> takes_at_most(const shm::StoreSchema& ours, const ResumePoint& theirs);
[[nodiscard]] std::string does_not_fit(const shm::StoreSchema& ours, std::uint64_t journal_bytes, std::uint64_t bytes);

class MirrorLink : public std::enable_shared_from_this<MirrorLink> {
 public:
  struct Handlers {
    std::function<void(SenderPhase, const std::string&)> on_phase;  ///< Syncing, Synced, Stalled
    std::function<void(const std::string&)> on_lost;                ///< once; the link is closed then
  };

  /// `hello` was accepted: its stores are the region's, in the region's order.
  MirrorLink(std::shared_ptr<SenderEdge> edge, const SendingOptions& options, std::vector<shm::Store> stores,
             std::vector<StoreCounters>& counters, std::shared_ptr<Wire> connection);
  void start(const Hello& hello, Handlers handlers);
  void poke() { pump(); }
  void ask_grant(std::uint64_t nonce);
  void finish(std::function<void()> done);
  void refuse_and_close(RefusalReason reason, const std::string& text);
  void close();

  [[nodiscard]] SenderPhase phase() const { return phase_; }
  [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }
  [[nodiscard]] Sequence sent(std::size_t store) const { return stores_[store].sent; }
  [[nodiscard]] Sequence acknowledged(std::size_t store) const { return stores_[store].acknowledged; }

 private:
  enum class Mode { Waiting, Scanning, Following };
  struct StoreLink {
    shm::Store store;
    std::uint16_t index = 0;
    Mode mode = Mode::Waiting;
    bool full = false;  ///< of the snapshot that is due or under way
    std::optional<shm::JournalReader> reader{};
    std::unique_ptr<Scan> scan{};
    std::optional<shm::JournalReader::Chunk> held{};  ///< read, but newer than the scan's mark
    Sequence sent{};                                  ///< the mirror has or will have everything up to here
    Sequence target{};                                ///< applied so far, the mirror is synced
    std::vector<shm::TermStart> history_sent{};
    std::uint32_t round = 0;
    std::uint32_t failures = 0;  ///< in a row
    bool synced = false;
    Sequence acknowledged{};
    std::uint64_t journal_bytes = 0;       ///< the mirror's
    std::optional<std::uint64_t> takes{};  ///< bytes of a transaction, at most
  };
  using Batch = std::vector<EncodedFrame>;

  [[nodiscard]] FrameHeader header(FrameType type, const StoreLink& store, Sequence first) const;
  void add(Batch& batch, const FrameHeader& frame_header, std::vector<std::byte> payload);
  void resume(StoreLink& store, const ResumePoint& point);
  void pump();
  void arm_poll();
  void collect(StoreLink& store, Batch& batch);
  void begin_snapshot(StoreLink& store, Batch& batch);
  void collect_scan(StoreLink& store, Batch& batch);
  void ship_backlog(StoreLink& store, Batch& batch);
  bool ship_journal(StoreLink& store, Sequence limit, Batch& batch);
  void add_journal(const StoreLink& store, shm::JournalReader::Chunk chunk, Batch& batch);
  void resync(StoreLink& store, const std::string& why);
  void on_lapped(StoreLink& store);
  void begin_again(StoreLink& store, const std::string& why);
  bool fits(const StoreLink& store, shm::Bytes transactions);
  void let_go(const std::string& text, RefusalReason reason = RefusalReason::Lapped);
  void hold_ring(StoreLink& store);
  void keep_throttles();
  void look_at_throttle(StoreLink& store);
  void tell_throttle(bool is_alarm, const std::string& what) const;
  [[nodiscard]] WriterThrottle::Limits throttle_limits() const;
  [[nodiscard]] ThrottleTold told_of(const StoreLink& store) const;
  Status on_frame(const Frame& frame);
  Status on_grant(const Frame& frame);
  void on_at_work();
  [[nodiscard]] bool is_at_work() const;
  void on_progress(const Progress& progress);
  void update_phase();
  void on_heartbeat();
  void lose(const std::string& why);

  const std::shared_ptr<SenderEdge> edge_;
  const SendingOptions options_;
  std::vector<StoreCounters>& counters_;
  std::shared_ptr<Wire> connection_;
  Handlers handlers_;
  std::vector<StoreLink> stores_;
  std::unique_ptr<Timer> poll_timer_;
  std::unique_ptr<Timer> heartbeat_timer_;
  SenderPhase phase_ = SenderPhase::NoMirror;
  const std::uint64_t role_digest_;
  std::uint8_t version_ = version_now;  ///< the mirror's
  std::uint64_t frames_sent_ = 0;
  std::uint64_t frames_acknowledged_ = 0;
  std::uint64_t bytes_sent_ = 0;
  bool heartbeat_due_ = false;
  std::optional<std::uint64_t> grant_wanted_;  ///< nonce of a request that is not on its way yet
  bool spoke_ = false;                         ///< since the last beat
  bool stalled_ = false;
  Time last_progress_;
  std::optional<Time> at_work_at_;  ///< when the mirror last said so
  std::uint64_t owed_ = 0;          ///< frames that it must acknowledge until it keeps up again
  Time last_entry_;
  Time heartbeat_expected_;
  std::function<void()> on_finished_;
  Batch pending_;  ///< written first by the next pump
  bool closed_ = false;
};

}  // namespace understudy::link::replication
