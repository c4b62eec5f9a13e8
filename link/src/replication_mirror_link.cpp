// SPDX-License-Identifier: Apache-2.0
#include "replication_mirror_link.hpp"

#include <algorithm>
#include <limits>

#include "understudy/shm/layout.hpp"

namespace understudy::link::replication {

namespace {

constexpr Sequence no_limit{std::numeric_limits<std::uint64_t>::max()};
static_assert(shm::layout::transaction_bytes_max <= payload_bytes_max, "a transaction travels in one frame");
constexpr auto idle_after = std::chrono::milliseconds(250);

bool same(const std::vector<shm::TermStart>& a, const std::vector<shm::TermStart>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const shm::TermStart& x, const shm::TermStart& y) {
    return x.term == y.term && x.first == y.first;
  });
}

/// The terms that wrote something up to there: a copy must not hold the name of one before its content.
std::vector<shm::TermStart> history_up_to(const shm::Store& store, Sequence last) {
  auto history = store.history();
  std::erase_if(history, [last](const shm::TermStart& start) { return start.first > last; });
  return history;
}

/// A deletion is noted before it is committed, and a writer may have died in between: one that never happened is none.
Sequence deletions_up_to(const shm::Store& store) {
  const auto noted = store.purged_up_to();
  return std::min(noted, store.committed());
}

SenderPoint point_of(const shm::Store& store) {
  SenderPoint point;
  point.committed = store.committed();
  point.purged_up_to = store.purged_up_to();  // after committed: a later deletion only makes the answer more careful
  point.history = store.history();
  return point;
}

}  // namespace

MirrorLink::MirrorLink(std::shared_ptr<SenderEdge> edge, const SendingOptions& options, std::vector<shm::Store> stores,
                       std::vector<StoreCounters>& counters, std::shared_ptr<Wire> connection)
    : edge_(std::move(edge)),
      options_(options),
      counters_(counters),
      connection_(std::move(connection)),
      role_digest_(digest_of(options.role)) {
  for (auto& store : stores) {
    StoreLink link{std::move(store)};
    link.index = static_cast<std::uint16_t>(stores_.size());
    stores_.push_back(std::move(link));
  }
}

void MirrorLink::start(const Hello& hello, Handlers handlers) {
  handlers_ = std::move(handlers);
  const std::weak_ptr<MirrorLink> weak = weak_from_this();
  poll_timer_ = edge_->make_timer([weak] {
    if (const auto self = weak.lock()) { self->pump(); }
  });
  heartbeat_timer_ = edge_->make_timer([weak] {
    if (const auto self = weak.lock()) { self->on_heartbeat(); }
  });
  Wire::Handlers ours;
  ours.on_frame = [weak](const Frame& frame) {
    const auto self = weak.lock();
    return self ? self->on_frame(frame) : Status{};
  };
  ours.on_read_done = ours.on_written = [weak] {
    if (const auto self = weak.lock()) { self->pump(); }
  };
  ours.on_closed = [weak](const std::string& why) {
    if (const auto self = weak.lock()) { self->lose(why); }
  };
  connection_->set_handlers(std::move(ours));
  version_ = hello.version;
  for (auto& store : stores_) {
    const auto& point = hello.stores[store.index];
    store.journal_bytes = point.journal_bytes;
    store.takes = takes_at_most(store.store.schema(), point);
    resume(store, point);
  }
  last_progress_ = last_entry_ = edge_->now();
  update_phase();
  on_heartbeat();
  pump();
}

FrameHeader MirrorLink::header(FrameType type, const StoreLink& store, Sequence first) const {
  return {type, store.index, options_.term, role_digest_, first};
}

void MirrorLink::add(Batch& batch, const FrameHeader& frame_header, std::vector<std::byte> payload) {
  bytes_sent_ += payload.size();
  auto of_peer = frame_header;
  of_peer.version = version_;
  batch.push_back(encode(of_peer, std::move(payload)));
}

void MirrorLink::resume(StoreLink& store, const ResumePoint& point) {
  const auto ours = point_of(store.store);
  if (decide_resume(ours, point) == ResumeWay::Full) {
    store.full = true;  // Waiting
    edge_->tell(Edge::Level::Info, "replication of " + options_.role.value + "/" + point.store +
                                       ": full snapshot, the mirror's copy at " +
                                       std::to_string(point.committed.value) +
                                       (point.syncing ? " is unfinished" : " has another history"));
    return;
  }
  store.sent = point.committed;
  store.reader.emplace(store.store, point.committed);
  store.mode = Mode::Following;
  store.target = ours.committed;
  ++store.round;
  ++counters_[store.index].journal_resumes;
  add(pending_, header(FrameType::Resume, store, Sequence{point.committed.value + 1}),
      encode_payload(Resume{store.target}));
}

// --- filling batches ----------------------------------------------------------------------------------------------

void MirrorLink::pump() {
  if (closed_ || connection_->writing()) { return; }
  Batch batch = std::move(pending_);
  pending_.clear();
  for (auto& store : stores_) {
    collect(store, batch);
    if (closed_) { return; }
  }
  const bool has_entries = !batch.empty();
  if (has_entries) { last_entry_ = edge_->now(); }
  if (std::exchange(heartbeat_due_, false) && batch.empty()) {
    Progress progress;
    for (const auto& store : stores_) {
      const auto committed = store.store.committed();
      progress.stores.push_back({committed, committed, false, store.round});
    }
    add(batch, {FrameType::Heartbeat, 0, options_.term, role_digest_, {}}, encode_payload(progress));
  }
  spoke_ = spoke_ || !batch.empty();  // a request for a grant says nothing that a heartbeat would
  if (grant_wanted_) {
    add(batch, {FrameType::GrantRequest, 0, options_.term, role_digest_, {}},
        encode_payload(GrantNonce{*grant_wanted_}));
    grant_wanted_.reset();
  }
  keep_throttles();
  if (batch.empty()) {
    if (on_finished_ && frames_acknowledged_ == frames_sent_ && phase_ == SenderPhase::Synced) {
      return std::exchange(on_finished_, nullptr)();
    }
    return arm_poll();
  }
  if (frames_acknowledged_ == frames_sent_) { last_progress_ = edge_->now(); }
  frames_sent_ += batch.size();
  connection_->write(std::move(batch));
}

void MirrorLink::ask_grant(std::uint64_t nonce) {
  grant_wanted_ = nonce;
  pump();
}

void MirrorLink::arm_poll() {
  const auto now = edge_->now();
  const bool idle = now - last_entry_ > idle_after;
  poll_timer_->set(now + (idle ? options_.poll_idle : options_.poll_busy));
}

void MirrorLink::collect(StoreLink& store, Batch& batch) {
  switch (store.mode) {
    case Mode::Waiting: {
      const bool scanner_free = std::none_of(stores_.begin(), stores_.end(),
                                             [](const StoreLink& other) { return other.mode == Mode::Scanning; });
      if (scanner_free) { begin_snapshot(store, batch); }
      return;
    }
    case Mode::Scanning:
      return collect_scan(store, batch);
    case Mode::Following:
      return ship_backlog(store, batch);
  }
}

void MirrorLink::begin_snapshot(StoreLink& store, Batch& batch) {
  hold_ring(store);
  const auto point = point_of(store.store);
  if (!store.full) { store.full = decide_after_lap(point, store.sent) == ResumeWay::Full; }
  ++(store.full ? counters_[store.index].full_snapshots : counters_[store.index].delta_snapshots);
  const Sequence after = store.full ? Sequence{0} : store.sent;
  store.reader.emplace(store.store, point.committed);
  store.held.reset();
  store.scan = edge_->scan(store.store, after, options_.chunk_bytes);
  store.mode = Mode::Scanning;
  store.target = point.committed;
  ++store.round;
  edge_->tell(Edge::Level::Info, "replication of " + options_.role.value + "/" + store.store.schema().name +
                                     (store.full ? ": full" : ": delta") + " snapshot after " +
                                     std::to_string(after.value) + " up to " + std::to_string(point.committed.value));
  add(batch, header(FrameType::SnapshotBegin, store, after), encode_payload(SnapshotBegin{store.full, store.target}));
}

void MirrorLink::collect_scan(StoreLink& store, Batch& batch) {
  auto taken = store.scan->take();
  if (!taken.status) { return resync(store, taken.status.error().message); }
  for (auto& piece : taken.pieces) {
    add(batch, header(FrameType::SnapshotRecords, store, store.reader->position()), std::move(piece));
  }
  ship_journal(store, taken.finished ? no_limit : taken.mark, batch);
  if (store.mode != Mode::Scanning || !taken.finished || closed_) { return; }
  // Everything up to the reader's position is shipped, in the records or after them.
  store.scan.reset();
  store.sent = store.reader->position();
  store.mode = Mode::Following;
  store.full = false;
  const auto end = SnapshotEnd{deletions_up_to(store.store), history_up_to(store.store, store.sent)};
  store.history_sent = end.history;
  add(batch, header(FrameType::SnapshotEnd, store, store.sent), encode_payload(end));
}

/// A frame that is not full ends the batch: what is being committed just now would go in crumbs.
void MirrorLink::ship_backlog(StoreLink& store, Batch& batch) {
  const std::uint64_t end = bytes_sent_ + options_.batch_bytes;
  for (std::uint64_t before = 0; bytes_sent_ < end;) {
    before = bytes_sent_;
    if (!ship_journal(store, no_limit, batch) || bytes_sent_ - before < options_.chunk_bytes / 2) { return; }
  }
}

/// False: nothing was added.
bool MirrorLink::ship_journal(StoreLink& store, Sequence limit, Batch& batch) {
  if (!store.held) {
    auto chunk = store.reader->read(options_.chunk_bytes, connection_->spare());
    if (!chunk) {
      resync(store, chunk.error().message);
      return false;
    }
    if (chunk->state == shm::JournalReader::State::Nothing) { return false; }
    if (chunk->state == shm::JournalReader::State::Lapped) {
      on_lapped(store);
      return false;
    }
    if (!fits(store, chunk->bytes)) { return false; }
    store.held = std::move(*chunk);
  }
  if (store.held->last > limit) { return false; }
  if (store.mode == Mode::Following) {
    // The mirror must know a term before it holds that term's first entry, or two histories could look the same.
    auto history = history_up_to(store.store, store.held->last);
    if (!same(history, store.history_sent)) {
      add(batch, header(FrameType::History, store, store.held->first), encode_payload(history));
      store.history_sent = std::move(history);
    }
    store.sent = store.held->last;
  }
  add_journal(store, std::move(*store.held), batch);
  store.held.reset();
  return true;
}

/// A checkpoint of an arena may be larger than a frame: it goes as several, cut between entries, in one batch.
void MirrorLink::add_journal(const StoreLink& store, shm::JournalReader::Chunk chunk, Batch& batch) {
  if (chunk.bytes.size() <= payload_bytes_max) {
    return add(batch, header(FrameType::Journal, store, chunk.first), std::move(chunk.bytes));
  }
  Sequence first = chunk.first;
  for (shm::Bytes rest = chunk.bytes; !rest.empty();) {
    const auto piece = shm::whole_entries(rest, payload_bytes_max);
    UNDERSTUDY_ASSERT(piece.bytes > 0);  // the reader checked the entries, each smaller than a frame
    add(batch, header(FrameType::Journal, store, first),
        {rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(piece.bytes)});
    first.value += piece.count;
    rest = rest.subspan(piece.bytes);
  }
}

/// A delta goes on from what the mirror has for certain: `sent` is left alone while a snapshot is under way.
void MirrorLink::begin_again(StoreLink& store, const std::string& why) {
  ++counters_[store.index].laps;
  store.scan.reset();
  store.held.reset();
  store.synced = false;
  store.mode = Mode::Waiting;
  edge_->tell(Edge::Level::Warn, "replication of " + options_.role.value + "/" + store.store.schema().name +
                                     ": resync " + std::to_string(counters_[store.index].laps) + ", " + why);
}

/// For another reason than that it was lapped.
void MirrorLink::resync(StoreLink& store, const std::string& why) {
  begin_again(store, why);
  if (++store.failures > options_.lap_tries_max) {
    return let_go("store \"" + store.store.schema().name + "\" was resynced " + std::to_string(options_.lap_tries_max) +
                  " times without catching up: " + why);
  }
  update_phase();
}

/// A transaction that does not fit would end the mirror's connection, and its next one, for ever. False: it was let go.
bool MirrorLink::fits(const StoreLink& store, shm::Bytes transactions) {
  if (!store.takes) { return true; }
  while (transactions.size() > *store.takes) {
    const auto whole = shm::whole_entries(transactions, *store.takes).transaction_bytes;
    if (whole == 0) {
      std::uint64_t bytes = 0;
      bool ended = false;
      const auto read = shm::for_each_entry(transactions, [&](const shm::JournalEntry& entry) {
        bytes += ended ? 0 : shm::layout::entry_bytes(entry.key.size(), entry.value.size());
        ended = ended || entry.ends_transaction;
      });
      if (!read) { edge_->tell(read.error()); }
      auto& largest = counters_[store.index].too_large;
      largest = std::max(largest, std::max(bytes, *store.takes + 1));
      let_go(does_not_fit(store.store.schema(), store.journal_bytes, largest), RefusalReason::SmallerJournal);
      return false;
    }
    transactions = transactions.subspan(whole);
  }
  return true;
}

void MirrorLink::let_go(const std::string& text, RefusalReason reason) {
  refuse_and_close(reason, text);
  handlers_.on_lost(text);
}

// --- what the mirror says -----------------------------------------------------------------------------------------

Status MirrorLink::on_frame(const Frame& frame) {
  if (frame.header.term != options_.term || frame.header.role_digest != role_digest_) {
    return failure("a frame of another role or term on an accepted connection", Errc::Damaged);
  }
  if (frame.header.type == FrameType::Grant) { return on_grant(frame); }
  if (frame.header.type != FrameType::Ack && frame.header.type != FrameType::Heartbeat) {
    return failure("a mirror sent a frame that only an active sends", Errc::Damaged);
  }
  const auto progress = decode_progress(frame.payload);
  if (!progress) { return progress.error(); }
  if (progress.value().stores.size() != stores_.size() || progress.value().frames > frames_sent_) {
    return failure("a mirror acknowledged what was never sent", Errc::Damaged);
  }
  if (frame.header.type == FrameType::Heartbeat) { on_at_work(); }
  on_progress(progress.value());
  return {};
}

/// What was sent takes the mirror long. It lives, and it holds no less for that, but what it is behind counts from the
/// first of the frames that it works on: until it has done all that waits for it, an acknowledgement in between is no
/// sign that it keeps up.
void MirrorLink::on_at_work() {
  at_work_at_ = edge_->now();
  owed_ = frames_sent_;
}

bool MirrorLink::is_at_work() const {
  const auto now = edge_->now();
  return at_work_at_ && now - *at_work_at_ <= options_.stall && now - last_progress_ <= options_.long_work;
}

Status MirrorLink::on_grant(const Frame& frame) {
  const auto nonce = decode_grant_nonce(frame.payload);
  if (!nonce) { return nonce.error(); }
  if (options_.on_grant) { options_.on_grant(nonce.value().value); }
  return {};
}

void MirrorLink::on_progress(const Progress& progress) {
  if (progress.frames > frames_acknowledged_) {
    frames_acknowledged_ = progress.frames;
    if (frames_acknowledged_ >= owed_) {
      last_progress_ = edge_->now();
      stalled_ = false;
    }
  }
  for (auto& store : stores_) {
    const auto& told = progress.stores[store.index];
    if (told.round != store.round || store.mode != Mode::Following) { continue; }  // an answer to something older
    store.acknowledged = std::min(told.applied, store.sent);
    const bool caught_up = !told.syncing && store.acknowledged >= store.target;
    if (caught_up && !store.synced) {
      store.failures = 0;
      counters_[store.index].throttle.caught_up();
    }
    store.synced = caught_up;
  }
  update_phase();
}

void MirrorLink::update_phase() {
  if (closed_) { return; }
  const bool synced = std::all_of(stores_.begin(), stores_.end(), [](const StoreLink& store) { return store.synced; });
  const auto phase = stalled_ ? SenderPhase::Stalled : synced ? SenderPhase::Synced : SenderPhase::Syncing;
  for (auto& store : stores_) {
    const auto present = store.store.mirrored();
    // What a mirror holds that could not take over is not mirrored, whatever it acknowledges; and what one before it
    // had acknowledged this one may not hold.
    const bool good = phase == SenderPhase::Synced;
    const shm::Store::Mirrored wanted{good,
                                      good ? store.acknowledged : std::min(present.acknowledged, store.acknowledged)};
    if (present.protected_by_mirror == wanted.protected_by_mirror && present.acknowledged == wanted.acknowledged) {
      continue;
    }
    if (const auto set = store.store.set_mirrored(wanted); !set) { edge_->tell(set.error()); }
  }
  if (phase == phase_) { return; }
  phase_ = phase;
  handlers_.on_phase(phase, !stalled_ ? ""
                            : is_at_work()
                                ? "the mirror is at work on a whole table (it grows, or a copy of it is begun "
                                  "or completed) and acknowledges nothing meanwhile: it goes on by itself"
                                : "the mirror acknowledges nothing any more");
}

void MirrorLink::on_heartbeat() {
  if (closed_) { return; }
  const auto now = edge_->now();
  const bool first = heartbeat_expected_ == Time{};
  if (!first && now - heartbeat_expected_ > options_.stall / 2) {  // it was us who stood still (rule 2)
    connection_->forgive_silence();
    last_progress_ = now;
  }
  if (now - connection_->last_received() > options_.silence) {
    return lose("nothing heard from the mirror for " + std::to_string(options_.silence.count() / 1'000'000) + " ms");
  }
  if (!stalled_ && frames_sent_ > frames_acknowledged_ && now - last_progress_ > options_.stall) {
    stalled_ = true;
    update_phase();
  }
  heartbeat_due_ = !std::exchange(spoke_, false);  // whatever was sent since the last beat said as much
  for (auto& store : stores_) {
    look_at_throttle(store);
    if (closed_) { return; }
  }
  pump();
  if (!closed_) { keep_throttles(); }  // also while a batch takes long
  if (closed_) { return; }
  heartbeat_expected_ = now + options_.heartbeat;
  heartbeat_timer_->set(heartbeat_expected_);
}

// --- ends ---------------------------------------------------------------------------------------------------------

void MirrorLink::finish(std::function<void()> done) {
  on_finished_ = std::move(done);
  pump();
}

void MirrorLink::refuse_and_close(RefusalReason reason, const std::string& text) {
  if (closed_) { return; }
  connection_->write_and_close(encode({FrameType::Refused, 0, options_.term, role_digest_, {}, version_},
                                      encode_payload(Refusal{reason, text})));
  connection_.reset();
  close();
}

void MirrorLink::lose(const std::string& why) {
  if (closed_) { return; }
  close();
  handlers_.on_lost(why);
}

void MirrorLink::close() {
  closed_ = true;
  if (poll_timer_) { poll_timer_->cancel(); }
  if (heartbeat_timer_) { heartbeat_timer_->cancel(); }
  if (connection_) { connection_->close(); }
  for (auto& store : stores_) {
    store.scan.reset();
    const auto mirrored = std::min(store.store.mirrored().acknowledged, store.acknowledged);
    [[maybe_unused]] const auto exposed = store.store.set_mirrored({false, mirrored});  // nobody to tell
    [[maybe_unused]] const auto released = store.store.release_writer();
    counters_[store.index].throttle.pause();
  }
}

}  // namespace understudy::link::replication
