// SPDX-License-Identifier: Apache-2.0
#include "sender_node.hpp"

namespace understudy::sim {

namespace repl = link::replication;

namespace {

class Edge final : public SimEdge<repl::SenderEdge> {
 public:
  Edge(World& world, unsigned role, Process& process) : SimEdge(world, process), role_(role) {}
  [[nodiscard]] std::unique_ptr<repl::Scan> scan(shm::Store store, Sequence after, std::size_t piece_bytes) override {
    return std::make_unique<SimScan>(world_, role_, process_, store, after, piece_bytes);
  }

 private:
  const unsigned role_;
};

}  // namespace

// --- a scan ---

SimScan::SimScan(World& world, unsigned role, Process& process, const shm::Store& store, Sequence after,
                 std::size_t piece_bytes)
    : world_(world), role_(role), process_(process), ready_(process.machine().clock()) {
  walk(store, after, piece_bytes);
}

/// Whoever takes later only sees marks that are older than they could be.
void SimScan::walk(const shm::Store& store, Sequence after, std::size_t piece_bytes) {
  steps_.push_back({{}, store.committed()});
  const auto& tables = store.schema().tables;
  for (shm::TableIndex table = 0; table < tables.size() && status_; ++table) {
    repl::SnapshotRecordsBuilder builder(table, tables[table].key_bytes);
    status_ = store.scan(table, after, [&](const shm::Store::Record& record) {
      builder.add(record.sequence, record.key, record.value);
      if (builder.size() >= piece_bytes) { steps_.push_back({builder.take(), store.committed()}); }
      if (world_.replication_random.chance(0.04)) { world_.write(role_); }
      return true;
    });
    if (!builder.empty()) { steps_.push_back({builder.take(), store.committed()}); }
  }
  if (world_.has(Bug::ScanWithoutMark)) {
    for (auto& step : steps_) { step.mark = Sequence{~std::uint64_t{0} >> 8}; }
  }
}

repl::Scan::Taken SimScan::take() {
  Taken taken;
  const auto now = process_.machine().clock();
  while (next_ < steps_.size() && now >= ready_) {
    auto& step = steps_[next_++];
    taken.mark = step.mark;
    if (!step.piece.empty()) { taken.pieces.push_back(std::move(step.piece)); }
    ready_ = ready_ + world_.replication_random.between(2ms, 60ms);
  }
  if (taken.mark == Sequence{} && next_ > 0) { taken.mark = steps_[next_ - 1].mark; }
  taken.finished = next_ == steps_.size();
  taken.status = status_;
  return taken;
}

// --- the sender ---

SenderNode::SenderNode(World& world, unsigned site, unsigned role, Term term, Handlers handlers)
    : world_(world),
      site_(site),
      role_(role),
      process_(world.blades[site]->agent),
      region_(world.blades[site]->regions[role]),
      on_phase_(std::move(handlers.on_phase)) {
  options_.role = world.role_id(role);
  options_.term = term;
  options_.on_grant = std::move(handlers.on_grant);
  options_.poll_busy = 20ms;  // what is polled more often by the product costs a history too much
  options_.poll_idle = 35ms;
  options_.chunk_bytes = 1500;
  options_.batch_bytes = 6000;
}

bool SenderNode::start() {
  if (!region_) { return false; }
  for (unsigned store = 0; store < kStores; ++store) { stores_.push_back(region_->store(store)); }
  counters_.resize(stores_.size());
  for (auto& store : stores_) {
    // What a former daemon left.
    if (!store.set_mirrored({false, {}}) || !store.release_writer()) { return false; }
  }
  return true;
}

void SenderNode::accept(std::shared_ptr<SimWire> wire, const std::weak_ptr<RoleRegion>& mirror) {
  if (stopped_) { return wire->close(); }
  SimWire::Handlers handlers;
  const std::weak_ptr<SenderNode> weak = weak_from_this();
  const std::weak_ptr<SimWire> of = wire;
  handlers.on_frame = [weak, of, copy = mirror](const repl::Frame& frame) {
    const auto self = weak.lock();
    const auto speaker = of.lock();
    return self && speaker ? self->on_hello(speaker, frame, copy) : Status{};
  };
  handlers.on_closed = [weak, of](const std::string&) {
    const auto self = weak.lock();
    if (const auto gone = of.lock(); self && gone) { std::erase(self->candidates_, gone); }
  };
  wire->set_handlers(std::move(handlers));
  candidates_.push_back(wire);
  wire->start();
}

Status SenderNode::on_hello(const std::shared_ptr<SimWire>& wire, const repl::Frame& frame,
                            const std::weak_ptr<RoleRegion>& mirror) {
  if (frame.header.type != repl::FrameType::Hello) { return failure("a connection that does not begin with Hello"); }
  const auto hello = repl::decode_hello(frame.payload);
  if (!hello) { return hello.error(); }
  std::erase(candidates_, wire);
  if (const auto refusal = repl::refusal_of(options_, stores_, frame.header, hello.value())) {
    ++world_.exercised.refusals;
    wire->write_and_close(repl::encode({repl::FrameType::Refused, 0, options_.term, repl::digest_of(options_.role), {}},
                                       repl::encode_payload(*refusal)));
    return {};
  }
  if (link_) { link_->refuse_and_close(repl::RefusalReason::Replaced, "another connection of the mirror took over"); }
  mirror_ = mirror;  // what was acknowledged until now, another one has applied
  link_ = std::make_shared<repl::MirrorLink>(std::make_shared<Edge>(world_, role_, process_), options_, stores_,
                                             counters_, wire);
  repl::MirrorLink::Handlers handlers;
  const std::weak_ptr<SenderNode> weak = weak_from_this();
  handlers.on_phase = [weak](Phase now, const std::string&) {
    if (const auto self = weak.lock(); self) { self->become(now); }
  };
  handlers.on_lost = [weak](const std::string&) {
    const auto self = weak.lock();
    if (!self) { return; }
    self->link_.reset();
    self->become(Phase::NoMirror);
    self->finished(false);
  };
  const auto starting = link_;
  starting->start(hello.value(), std::move(handlers));
  return {};
}

void SenderNode::become(Phase phase) {
  if (stopped_) { return; }
  phase_ = phase;
  on_phase_();
}

void SenderNode::look() {
  count();
  if (stopped_ || world_.blades[site_]->regions[role_] != region_) { return; }
  world_.mirrored_up_to(role_, *region_);
  if (const auto mirror = mirror_.lock()) { world_.check_acknowledged(role_, *region_, *mirror); }
}

void SenderNode::count() {
  Exercised now;
  for (const auto& counters : counters_) {
    now.journals += counters.journal_resumes;
    now.deltas += counters.delta_snapshots;
    now.fulls += counters.full_snapshots;
    now.laps += counters.laps;
  }
  for (const auto member : {&Exercised::journals, &Exercised::deltas, &Exercised::fulls, &Exercised::laps}) {
    world_.exercised.*member += now.*member - counted_.*member;
  }
  counted_ = now;
}

void SenderNode::ask_grant(std::uint64_t nonce) {
  if (const auto link = link_) { link->ask_grant(nonce); }
}

void SenderNode::finish(Duration limit, std::function<void(bool)> done) {
  on_finished_ = std::move(done);
  const std::weak_ptr<SenderNode> weak = weak_from_this();
  const bool goes = link_ && phase_ == Phase::Synced;
  process_.post(goes ? limit : Duration(0), [weak] {
    if (const auto self = weak.lock()) { self->finished(false); }
  });
  if (!goes) { return; }
  const auto link = link_;  // the daemon may die in there
  link->finish([weak] {
    if (const auto self = weak.lock()) { self->finished(true); }
  });
}

void SenderNode::finished(bool all) {
  if (!on_finished_) { return; }
  const auto done = std::exchange(on_finished_, nullptr);
  if (all) {  // whoever had been told so
    for (unsigned store = 0; store < kStores; ++store) {
      world_.promise(role_, *region_, store, stores_[store].committed());
    }
  }
  stop();
  done(all);
}

void SenderNode::stop() {
  if (stopped_) { return; }
  stopped_ = true;
  on_finished_ = nullptr;
  for (const auto& candidate : std::exchange(candidates_, {})) { candidate->close(); }
  if (link_) { link_->close(); }
  link_.reset();
  phase_ = Phase::NoMirror;
}

link::SyncProgress SenderNode::progress() const {
  link::SyncProgress progress{options_.role, options_.term, link::SyncStream::None, {}};
  switch (phase_) {
    case Phase::NoMirror:
      break;
    case Phase::Syncing:
      progress.stream = link::SyncStream::Syncing;
      break;
    case Phase::Synced:
      progress.stream = link::SyncStream::Synced;
      break;
    case Phase::Stalled:
      progress.stream = link::SyncStream::Stalled;
      break;
  }
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    const auto acknowledged = link_ ? link_->acknowledged(i) : stores_[i].mirrored().acknowledged;
    progress.stores.push_back({stores_[i].schema().name, stores_[i].committed(), acknowledged});
  }
  return progress;
}

}  // namespace understudy::sim
