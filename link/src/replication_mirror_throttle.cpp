// SPDX-License-Identifier: Apache-2.0
/// MirrorLink's part in making a writer wait (replication_throttle.hpp decides when).
#include "replication_mirror_link.hpp"

namespace understudy::link::replication {

WriterThrottle::Limits MirrorLink::throttle_limits() const {
  return {options_.lap_tries_max, options_.throttle_limit, options_.throttle_calm};
}

ThrottleTold MirrorLink::told_of(const StoreLink& store) const {
  const auto& counters = counters_[store.index];
  const auto& schema = store.store.schema();
  return {options_.role.value,
          schema.name,
          schema.journal_bytes,
          counters.throttle.laps(),
          std::chrono::duration_cast<Duration>(edge_->now() - counters.throttle.since()),
          store.store.writer_waited() - counters.waited_before};
}

void MirrorLink::tell_throttle(bool is_alarm, const std::string& what) const {
  edge_->tell(is_alarm ? Edge::Level::Warn : Edge::Level::Info, "replication: " + what);
  if (options_.on_throttle) { options_.on_throttle(is_alarm, what); }
}

void MirrorLink::on_lapped(StoreLink& store) {
  begin_again(store, "the journal was lapped");
  auto told = told_of(store);
  auto& counters = counters_[store.index];
  ++told.laps;  // with this one, which may be the last that is counted
  switch (counters.throttle.lapped(throttle_limits(), edge_->now())) {
    case WriterThrottle::AfterLap::TryAgain:
      break;
    case WriterThrottle::AfterLap::Begin:
      counters.waited_before = store.store.writer_waited();
      tell_throttle(true, begins(told, options_.throttle_limit));
      break;
    case WriterThrottle::AfterLap::LetMirrorGo: {
      const auto text = in_vain(told);
      tell_throttle(true, text);
      return let_go(text);
    }
  }
  update_phase();
}

/// Before the reader of a new try is placed: the ring may go round faster than that takes.
void MirrorLink::hold_ring(StoreLink& store) {
  if (!counters_[store.index].throttle.on()) { return; }
  if (const auto held = store.store.throttle_writer(); !held) { edge_->tell(held.error()); }
}

/// The request is made anew with each beat and each batch; a mirror that says nothing any more is not waited for. One
/// that is at work is: what it works for would be overwritten meanwhile.
void MirrorLink::keep_throttles() {
  for (auto& store : stores_) {
    if (!counters_[store.index].throttle.on()) { continue; }
    const bool goes_on = (!stalled_ || is_at_work()) && store.reader && store.mode != Mode::Waiting;
    const auto done = goes_on ? store.reader->throttle_writer() : store.store.release_writer();
    if (!done) { edge_->tell(done.error()); }
  }
}

void MirrorLink::look_at_throttle(StoreLink& store) {
  auto& throttle = counters_[store.index].throttle;
  if (!throttle.on()) { return; }
  const auto told = told_of(store);
  const auto verdict = throttle.look(throttle_limits(), edge_->now(), store.synced, store.store.writer_waited());
  if (verdict == WriterThrottle::Verdict::GoOn) { return; }
  if (const auto released = store.store.release_writer(); !released) { edge_->tell(released.error()); }
  if (verdict == WriterThrottle::Verdict::Calm) { return tell_throttle(false, ended_calm(told)); }
  const auto text = ended_late(told, store.synced);
  const bool synced = store.synced;
  tell_throttle(true, text);
  if (!synced) { let_go(text); }
}

}  // namespace understudy::link::replication
