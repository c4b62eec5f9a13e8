// SPDX-License-Identifier: Apache-2.0
#include "core/synchronization_unit.hpp"

#include <algorithm>
#include <utility>

#include "core/awake_time.hpp"

namespace understudy::control {

using link::MirrorPhase;
using link::SyncStream;

const char* to_string(Protection protection) {
  switch (protection) {
    case Protection::Exposed:
      return "exposed";
    case Protection::Protected:
      return "protected";
    case Protection::Doubted:
      return "doubted";
  }
  return "exposed";
}

// --- facts ---

bool SynchronizationUnit::mirror_said(const link::MirrorState& report) {
  const bool other_age = report.older && !mirror_.older;
  const bool news = mirror_.phase != report.phase || mirror_.term != report.term || other_age;
  // It has just received all there is: that nothing reached it, which the active said before, is over. One that says
  // SYNCED after a Hello may have said so for long.
  const bool completed = mirror_.phase == MirrorPhase::Syncing && report.phase == MirrorPhase::Synced;
  if (completed && news && progress_term_ == report.term) { stream_ = SyncStream::Synced; }
  const bool other_guest = unseen_ && !report.boot_nonce.empty() && report.boot_nonce != unseen_->boot_nonce;
  const bool waits = report.phase == MirrorPhase::Starting || report.phase == MirrorPhase::Connected;
  if (!waits || other_guest) { unseen_.reset(); }
  mirror_.followed = mirror_.followed || report.phase == MirrorPhase::Synced;
  mirror_.phase = report.phase;
  mirror_.term = report.term;
  mirror_.boot_nonce = report.boot_nonce;
  mirror_.detail = report.detail;
  mirror_.whole = report.whole;
  mirror_.older = report.older;
  return news;
}

void SynchronizationUnit::active_said(Instant now, const link::SyncProgress& report) {
  std::vector<Store> before = std::exchange(stores_, {});
  const bool anew = progress_term_ != report.term;
  if (anew) { before.clear(); }
  if (anew || stream_ != report.stream) { stream_since_ = now; }
  progress_term_ = report.term;
  stream_ = report.stream;
  progress_at_ = now;
  for (const auto& progress : report.stores) {
    Store store{progress, std::nullopt};
    const auto old = std::find_if(before.begin(), before.end(),
                                  [&](const Store& one) { return one.progress.store == progress.store; });
    const bool stands = old != before.end() && old->progress.acknowledged == progress.acknowledged;
    if (progress.committed > progress.acknowledged) {
      store.stuck_since = stands && old->stuck_since ? old->stuck_since : now;
    }
    stores_.push_back(std::move(store));
  }
}

void SynchronizationUnit::leaves_sight() {
  if (mirror_.phase == MirrorPhase::Syncing) { unseen_ = Unseen{mirror_.term, mirror_.boot_nonce}; }
}

void SynchronizationUnit::out_of_sight() {
  leaves_sight();
  const Mirror before = std::exchange(mirror_, {});
  mirror_.followed = before.followed;
  mirror_.released = before.released;
}

void SynchronizationUnit::hello(bool holds_mirror) {
  leaves_sight();
  if (!holds_mirror) { unseen_.reset(); }
  mirror_ = Mirror{};
  mirror_.followed = holds_mirror;
}

void SynchronizationUnit::released() {
  unseen_.reset();
  mirror_ = Mirror{};
  mirror_.released = true;
}

void SynchronizationUnit::grows_older(Instant now, Duration missed, Duration grace) {
  if (grace_until_) { grace_until_ = aged(*grace_until_, missed, now); }
  if (unseen_ && unseen_->heard_from) { unseen_->heard_from = aged(*unseen_->heard_from + grace, missed, now) - grace; }
}

// --- what is known ---

bool SynchronizationUnit::known(const SyncSurroundings& around) const {
  return mirror_.phase && mirror_.term == around.term && around.standby_connected && !around.standby_off;
}

bool SynchronizationUnit::has_a_copy(const SyncSurroundings& around) const {
  return known(around) && mirror_.boot_nonce == synced_nonce_ && !mirror_.older &&
         (says(MirrorPhase::Synced) || says(MirrorPhase::Connected));
}

bool SynchronizationUnit::syncs_unseen(const SyncSurroundings& around) const {
  return unseen_ && unseen_->term == around.term;
}

bool SynchronizationUnit::completed_unseen(const SyncSurroundings& around) const {
  const bool same_guest = syncs_unseen(around) && mirror_.boot_nonce == unseen_->boot_nonce;
  return same_guest && known(around) && says(MirrorPhase::Connected) && mirror_.whole && !mirror_.older;
}

/// An active that blinks gets no second grace.
void SynchronizationUnit::doubt_unseen(const SyncSurroundings& around, bool heard) {
  if (!unseen_) { return; }
  const bool lives_on = heard && known(around) && says(MirrorPhase::Connected);
  if (lives_on && !unseen_->heard_from) { unseen_->heard_from = around.now; }
  const bool until_now = std::exchange(unseen_->was_heard, lives_on) || lives_on;
  const bool for_long = unseen_->heard_from && around.now >= *unseen_->heard_from + around.timings.sync_grace;
  if (unseen_->term != around.term || stopped(around) || (until_now && for_long)) { unseen_.reset(); }
}

bool SynchronizationUnit::broken(const SyncSurroundings& around) const {
  return known(around) && (says(MirrorPhase::Failed) || says(MirrorPhase::Stopped));
}

/// Of the stores that are behind, the one whose acknowledged sequence has stood still for the longest time.
const SynchronizationUnit::Store* SynchronizationUnit::stuck() const {
  const Store* first = nullptr;
  for (const auto& store : stores_) {
    if (store.stuck_since && (first == nullptr || *store.stuck_since < *first->stuck_since)) { first = &store; }
  }
  return first;
}

bool SynchronizationUnit::active_knows(const SyncSurroundings& around) const {
  return progress_term_ == around.term && around.term.value != 0;
}

/// By the active's word nothing reaches the mirror: it is not acknowledged, or nobody is connected and does not come
/// back at once. Before it says either it has waited for most of a second itself.
bool SynchronizationUnit::stopped(const SyncSurroundings& around) const {
  if (!active_knows(around)) { return false; }
  const bool gone = stream_ == SyncStream::None && around.now >= stream_since_ + around.timings.stream_back;
  return stream_ == SyncStream::Stalled || gone;
}

link::SyncStatus SynchronizationUnit::status(const BladeId& standby, Term term) const {
  link::SyncStatus status{standby, {}, {}, 0};
  if (progress_term_ != term || term.value == 0) { return status; }
  status.stream = link::to_string(stream_);
  for (const auto& store : stores_) { status.stores.push_back(store.progress); }
  if (const auto* store = stuck()) {
    const auto behind = std::chrono::duration_cast<std::chrono::milliseconds>(progress_at_ - *store->stuck_since);
    status.behind_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(1, behind.count()));
  }
  return status;
}

std::string SynchronizationUnit::progress_text(const SyncSurroundings& around) const {
  const auto* store = stuck();
  if (progress_term_ != around.term || store == nullptr) { return ""; }
  return "store \"" + store->progress.store + "\": " + around.active.value + " has committed up to " +
         std::to_string(store->progress.committed.value) + ", acknowledged is " +
         std::to_string(store->progress.acknowledged.value);
}

std::optional<Instant> SynchronizationUnit::next_deadline() const {
  std::optional<Instant> next;
  for (const auto& one : {grace_until_, alarm_at_, stopped_at_, gone_at_, order_at_}) {
    if (one && (!next || *one < *next)) { next = one; }
  }
  return next;
}

// --- decisions ---

void SynchronizationUnit::rest() {
  protection_ = Protection::Exposed;
  lag_told_ = false;
  for (auto* timer : {&grace_until_, &alarm_at_, &stopped_at_, &gone_at_, &order_at_}) { timer->reset(); }
}

SyncWord SynchronizationUnit::judge(const SyncSurroundings& around) {
  SyncWord word;
  gone_at_.reset();
  stopped_at_.reset();
  if (active_knows(around) && stream_ == SyncStream::None) { stopped_at_ = stream_since_ + around.timings.stream_back; }
  tell_lag(around, word);
  const bool synced = known(around) && says(MirrorPhase::Synced);
  if (synced && !stopped(around)) {
    const bool sure = !around.standby_silent;
    grace_until_.reset();
    if (sure) { alarm_at_.reset(); }
    word.alarm_over = sure || !is_protected();
    word.why = "the mirror is synced under term " + std::to_string(around.term.value);
    synced_nonce_ = mirror_.boot_nonce;
    protection_ = Protection::Protected;
    if (!sure) { watch(around, word); }
  } else if (is_protected()) {
    doubt(around, word);
  }
  consider_ordering(around, word);
  for (auto* timer : {&grace_until_, &alarm_at_, &stopped_at_, &gone_at_, &order_at_}) {
    if (*timer && **timer <= around.now) { timer->reset(); }  // nobody waits for it any more
  }
  return word;
}

/// The grace lasts while the verdict about the active is still out: the sync ended because the active fell silent, and
/// a copy that is given up before the verdict cannot be activated after it.
void SynchronizationUnit::doubt(const SyncSurroundings& around, SyncWord& word) {
  protection_ = Protection::Doubted;
  const bool known_now = known(around);
  // A host-agent that was restarted says Hello before its guest has told it who it is.
  const bool other_boot = known_now && !mirror_.boot_nonce.empty() && mirror_.boot_nonce != synced_nonce_;
  // Where both are silent the network may have taken both for a moment, and the active with it for good.
  const bool verdict_is_out = around.verdict_until && around.now < *around.verdict_until && !around.standby_off;
  auto gone_from = around.standby_gone_from;
  if (gone_from && verdict_is_out) { gone_from = std::max(*gone_from, *around.verdict_until); }
  const bool gone = gone_from && around.now >= *gone_from;
  const bool given_up = known_now && (says(MirrorPhase::Syncing) || mirror_.older);
  if (!broken(around) && !other_boot && !gone && !given_up) {
    gone_at_ = gone_from;
    if (!grace_until_) { grace_until_ = around.now + around.timings.sync_grace; }
    watch(around, word);
    if (around.now < *grace_until_) { return; }
    grace_until_.reset();
    if (around.verdict_until && around.now < *around.verdict_until) {
      grace_until_ = around.verdict_until;
      return;
    }
  }
  expose(word, why_exposed(around, other_boot, gone));
}

void SynchronizationUnit::expose(SyncWord& word, const std::string& why) {
  grace_until_.reset();
  alarm_at_.reset();
  gone_at_.reset();
  protection_ = Protection::Exposed;
  word.alarm = why;
  word.why = why;
}

std::string SynchronizationUnit::why_exposed(const SyncSurroundings& around, bool other_boot, bool gone) const {
  if (broken(around)) { return "the mirror failed: " + mirror_.detail; }
  if (other_boot) { return "the mirror's guest has restarted"; }
  if (known(around) && says(MirrorPhase::Synced)) { return "the mirror acknowledges nothing any more"; }
  if (known(around) && mirror_.older) {
    return around.active.value + " was heard by its mirror, which nothing reached";
  }
  if (known(around)) {
    return std::string("the mirror's sync stopped (") + link::to_string(*mirror_.phase) + ")" +
           (mirror_.detail.empty() ? "" : ": " + mirror_.detail);
  }
  if (around.standby_off) { return around.standby.value + " is off"; }
  if (gone) { return around.standby.value + " is silent and its host-agent is lost"; }
  return "the mirror is out of reach";
}

/// The alarm within a second: counted from the mirror's own word that it is not synced any more, or from the last word
/// that its blade can have said, whichever is known first. What the active says of it is told by tell_lag.
void SynchronizationUnit::watch(const SyncSurroundings& around, SyncWord& word) {
  const Instant from = around.standby_silent ? around.standby_spoke : around.now;
  const bool told = around.alarmed || (lag_told_ && !around.standby_silent);
  if (!alarm_at_ && !told) { alarm_at_ = from + around.timings.sync_alarm; }
  if (told) { alarm_at_.reset(); }
  if (!alarm_at_ || around.now < *alarm_at_) { return; }
  alarm_at_.reset();
  const auto progress = progress_text(around);
  word.alarm = around.standby_silent
                   ? around.standby.value +
                         " is silent: as far as anybody can tell the mirror's sync has stopped; look at it and at its "
                         "maintenance cable"
                   : "the mirror's sync has stopped on " + around.standby.value +
                         (progress.empty() ? "" : "; " + progress) +
                         "; if it does not go on within seconds the role is exposed: look at MIRROR, then at the "
                         "host-agent's log there";
}

void SynchronizationUnit::tell_lag(const SyncSurroundings& around, SyncWord& word) {
  // A mirror that says itself that it has lost its stream, or failed, is told by that.
  const bool says_synced = known(around) && says(MirrorPhase::Synced) && is_protected();
  const bool tell = stopped(around) && (says_synced || stream_ == SyncStream::Stalled);
  if (tell && !std::exchange(lag_told_, true)) {
    const auto progress = progress_text(around);
    word.lag = "the mirror on " + around.standby.value + " acknowledges nothing any more" +
               (progress.empty() ? "" : "; " + progress) + ": what " + around.active.value +
               " commits now would be lost by a takeover; look at the maintenance network between " +
               around.active.value + " and " + around.standby.value + ", and whether the guest still runs there";
  }
  const bool over = stream_ == SyncStream::Synced || !active_knows(around);
  if (over && std::exchange(lag_told_, false)) { word.lag_over = true; }
}

/// What was ordered may have come to nothing: a guest that failed, one that still follows a former term, or one whose
/// stream has not come back. Whoever is about it already answers as if it had just been told.
void SynchronizationUnit::consider_ordering(const SyncSurroundings& around, SyncWord& word) {
  const bool there = mirror_.phase && around.standby_connected && !around.standby_off;
  const bool former_term = there && around.served && mirror_.term < around.term && !mirror_.released;
  const bool no_stream = known(around) && says(MirrorPhase::Connected) && !is_protected() &&
                         progress_term_ == around.term && stream_ == SyncStream::None;
  const bool wanted = around.standby_free && (broken(around) || former_term || no_stream);
  if (!wanted) {
    order_at_.reset();
  } else if (!order_at_) {
    order_at_ = around.now + around.timings.mirror_retry;
  } else if (around.now >= *order_at_) {
    order_at_ = around.now + around.timings.mirror_retry;
    word.order = true;
  }
}

}  // namespace understudy::control
