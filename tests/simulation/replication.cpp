// SPDX-License-Identifier: Apache-2.0
#include "replication.hpp"

namespace understudy::sim {

namespace {
constexpr Duration backoff_min = 20ms;
constexpr Duration backoff_max = 1s;
constexpr Duration poll = 20ms;
constexpr Duration drain_quiet = 5ms;
constexpr Duration drain_limit = 100ms;
}  // namespace

void Receiver::become(ReceiverPhase phase) {
  if (phase_ == phase) { return; }
  phase_ = phase;
  host_.on_phase(phase);
}

bool Receiver::configure(unsigned active, Term term, bool was_synced) {
  if (configured_ && term < term_) { return false; }
  if (configured_ && !stopped_ && active == active_ && term == term_) { return true; }
  close();
  if (!copy() || copy()->writer > term) { return false; }
  copy()->writer = term;
  active_ = active;
  term_ = term;
  configured_ = true;
  stopped_ = false;
  ready_ = was_synced && !copy()->syncing;
  backoff_ = backoff_min;
  become(ReceiverPhase::Connecting);
  connect();
  return true;
}

void Receiver::connect() {
  if (stopped_) { return; }
  const auto attempt = ++attempt_;
  auto& network = world_.network;
  const unsigned here = world_.standby();
  const bool paths = network.passes(here, active_) && network.passes(active_, here);
  if (!paths || !world_.blades[active_]->machine.runs()) {
    mine().post(1s, [this, attempt] {
      if (attempt == attempt_) { connect_later(); }
    });
    return;
  }
  mine().post(2 * network.latency(here, active_), [this, attempt] {
    if (attempt != attempt_) { return; }
    const auto sender = host_.replicates(active_);
    if (sender && *sender == term_ && copy()) {
      accept(*sender);
    } else {
      connect_later();  // refused: nobody listens, or under another term
    }
  });
}

void Receiver::connect_later() {
  const auto attempt = ++attempt_;
  const auto wait = world_.random.between(backoff_ / 2, backoff_);
  backoff_ = std::min(backoff_ * 2, backoff_max);
  mine().post(wait, [this, attempt] {
    if (attempt == attempt_) { connect(); }
  });
}

void Receiver::accept(Term sender) {
  auto link = std::make_shared<Link>();
  link->term = sender;
  Stream::End receiving;
  receiving.process = &mine();
  receiving.site = world_.standby();
  receiving.timeout_min = 1s;
  receiving.timeout_max = 1100ms;
  receiving.on_lost = [this, link] {
    if (link == link_) { lost(); }
  };
  Stream::End sending;
  sending.process = &world_.blades[active_]->agent;
  sending.site = active_;
  sending.timeout_min = 800ms;
  sending.timeout_max = 900ms;
  sending.on_lost = [link] { link->synced = false; };
  link->stream = world_.network.connect(std::move(sending), std::move(receiving));
  link_ = link;
  // Hello with the resume point, read now; the sender decides when it arrives.
  link->stream->send(1, [this, link, at = *copy()] {
    if (!source() || host_.replicates(active_) != link->term) { return link->stream->close(0); }
    const auto ours = point_of(*source());
    link::replication::ResumePoint theirs;
    theirs.committed = Sequence{at.committed};
    theirs.syncing = at.syncing;
    theirs.history = at.history;
    const auto way = link::replication::decide_resume(ours, theirs);
    link->sent = std::min(at.committed, source()->committed);
    if (way == link::replication::ResumeWay::Full) { return snapshot(link, true); }
    if (lapped(*link)) { return resync(link); }
    resume(link);
  });
}

link::replication::SenderPoint Receiver::point_of(const Copy& of) const {
  const Sequence purged{world_.has(Bug::ForgetDeletions) ? 0 : of.purged};
  return {Sequence{of.committed}, purged, of.history};
}

/// The journal does not hold any more what follows what was sent.
bool Receiver::lapped(const Link& link) { return source()->committed - link.sent > world_.settings.ring; }

void Receiver::resync(const std::shared_ptr<Link>& link) {
  const auto way = link::replication::decide_after_lap(point_of(*source()), Sequence{link->sent});
  snapshot(link, way == link::replication::ResumeWay::Full);
}

void Receiver::resume(const std::shared_ptr<Link>& link) {
  link->target = source()->committed;
  link->following = true;
  link->stream->send(0, [this, link, target = link->target] {
    if (link != link_) { return; }
    link->applied_target = target;
    link->caught_up = copy() && !copy()->syncing && copy()->committed >= target;
    if (!link->caught_up) { ready_ = false; }
    become(link->caught_up ? ReceiverPhase::Synced : ReceiverPhase::Syncing);
    if (link->caught_up) { trust(); }
    if (link->caught_up) { acknowledge(link, copy()->committed); }
    heard();
  });
  pump(link);
}

/// A full one by mark and sweep; a delta shows what has changed since `sent`, and no deletion.
void Receiver::snapshot(const std::shared_ptr<Link>& link, bool full) {
  link->following = link->synced = false;
  const auto after = full ? 0 : link->sent;
  const auto from_scan = source()->purged;  // what is deleted from now on comes in the journal
  link->stream->send(0, [this, link] {
    if (link != link_ || !copy()) { return; }
    ready_ = link->caught_up = false;
    copy()->syncing = true;  // durable before the first byte (rule 23)
    if (world_.has(Bug::SyncedTooEarly)) {
      copy()->syncing = false;
      copy()->committed = 0;
      ready_ = true;
      become(ReceiverPhase::Synced);
      return;
    }
    become(ReceiverPhase::Syncing);
    heard();
  });
  auto& sender = world_.blades[active_]->agent;
  const bool slow = world_.has(Bug::SyncedTooEarly);
  sender.post(slow ? 4s : world_.random.between(50ms, 600ms), [this, link, full, after, from_scan] {
    if (!link->stream->open(0) || !source()) { return; }
    const auto at = *source();
    link->sent = at.committed;
    link->target = at.committed;
    link->following = true;
    link->stream->send(0, [this, link, at, full, after, purged = from_scan] {
      if (link != link_ || !copy()) { return; }
      if (!full && purged > after) {
        world_.violate(Invariant::MirroredKept, world_.role_id(role_).value + ": the deletion " +
                                                    std::to_string(purged) + " is lost in a delta after " +
                                                    std::to_string(after));
      }
      copy()->committed = at.committed;
      copy()->purged = at.purged;
      copy()->history = at.history;
      copy()->syncing = false;
      link->applied_target = at.committed;
      link->caught_up = true;
      trust();
      backoff_ = backoff_min;
      host_.on_full_snapshot();
      if (!on_drained_) { become(ReceiverPhase::Synced); }
      acknowledge(link, at.committed);
      heard();
    });
    pump(link);
  });
}

/// Ships what was committed, and looks again in a moment.
void Receiver::pump(const std::shared_ptr<Link>& link) {
  if (!link->stream->open(0)) { return; }
  if (!source() || host_.replicates(active_) != link->term) { return link->stream->close(0); }
  if (world_.has(Bug::SyncedTooEarly) && source()->committed % 30 == 29) {
    return snapshot(link, true);  // lapped
  }
  if (lapped(*link)) { return resync(link); }
  if (source()->committed > link->sent) {
    link->stream->send(0, [this, link, first = link->sent + 1, last = source()->committed,
                           history = source()->history] { on_journal(link, first, last, history); });
    link->sent = source()->committed;
  }
  world_.blades[active_]->agent.post(poll, [this, link] { pump(link); });
}

void Receiver::on_journal(const std::shared_ptr<Link>& link, std::uint64_t first, std::uint64_t last,
                          const std::vector<shm::TermStart>& history) {
  if (link != link_ || !copy()) { return; }
  heard();
  if (world_.has(Bug::AcknowledgeReceived)) {
    acknowledge(link, last);
    mine().post(300ms, [this, link, first, last, history] { apply(link, first, last, history); });
    return;
  }
  apply(link, first, last, history);
}

void Receiver::apply(const std::shared_ptr<Link>& link, std::uint64_t first, std::uint64_t last,
                     const std::vector<shm::TermStart>& history) {
  if (link != link_ || !copy()) { return; }
  if (first > copy()->committed + 1) { return; }
  copy()->history = history;
  while (copy()->committed < last) { world_.commit(*copy()); }
  host_.on_applied();
  if (!link->caught_up && !copy()->syncing && copy()->committed >= link->applied_target) {
    link->caught_up = true;
    trust();
    backoff_ = backoff_min;
    if (!on_drained_) { become(ReceiverPhase::Synced); }
  }
  acknowledge(link, copy()->committed);
}

/// The sender's store says up to where it is protected; an application that waits for it answers its client then.
void Receiver::acknowledge(const std::shared_ptr<Link>& link, std::uint64_t sequence) {
  link->stream->send(1, [this, link, sequence, caught_up = link->caught_up] {
    if (!link->following || !source() || host_.replicates(active_) != link->term) { return; }
    if (caught_up && sequence >= link->target) { link->synced = true; }
    const auto acknowledged = std::min(sequence, link->sent);
    link->acknowledged = acknowledged;
    if (!link->synced || acknowledged == 0) { return; }
    const auto term = link::replication::term_at(source()->history, Sequence{acknowledged});
    if (term) { world_.promise(role_, {*term, acknowledged}); }
  });
}

bool Receiver::has_applied_all() const {
  const auto& source = world_.blades[active_]->regions[role_];
  return link_ && link_->stream->open(0) && link_->synced && source && link_->acknowledged == source->committed;
}

/// Every store was synced since configure().
void Receiver::trust() {
  ready_ = true;
  if (copy()) { copy()->trusted = true; }
}

void Receiver::ask(unsigned site, Term term, std::uint64_t nonce) {
  if (!link_ || site != active_) { return; }
  link_->stream->send(0, [this, link = link_, term, nonce] {
    if (link == link_) { host_.on_ask(term, nonce); }
  });
}

void Receiver::grant(Term term, std::uint64_t nonce) {
  if (!link_) { return; }
  link_->stream->send(1, [this, site = active_, term, nonce] { host_.on_grant(site, term, nonce); });
}

void Receiver::lost() {
  link_.reset();
  if (on_drained_) { return drained(); }
  become(ReceiverPhase::Lost);
  if (!stopped_) { connect_later(); }
}

void Receiver::close() {
  stopped_ = true;
  ++attempt_;
  ++quiet_;
  on_drained_ = nullptr;
  const auto link = std::exchange(link_, nullptr);
  if (link) { link->stream->close(1); }
}

void Receiver::forget() {
  close();
  configured_ = false;
  ready_ = false;
  phase_ = ReceiverPhase::Connecting;
}

void Receiver::heard() {
  if (!on_drained_) { return; }
  const auto quiet = ++quiet_;
  mine().post(drain_quiet, [this, quiet] {
    if (quiet == quiet_) { drained(); }
  });
}

void Receiver::drain(const std::function<void(bool)>& done) {
  stopped_ = true;
  ++attempt_;
  on_drained_ = done;
  if (!link_) {
    mine().post(0ns, [this] { drained(); });
    return;
  }
  mine().post(drain_limit, [this] { drained(); });
  heard();
}

void Receiver::drained() {
  if (!on_drained_) { return; }
  const auto done = std::exchange(on_drained_, nullptr);
  const bool ready = ready_;
  close();
  done(ready);
}

}  // namespace understudy::sim
