// SPDX-License-Identifier: Apache-2.0
#include "replication_throttle.hpp"

#include <cstdio>

namespace understudy::link::replication {

WriterThrottle::AfterLap WriterThrottle::lapped(const Limits& limits, Time now) {
  ++laps_;
  if (on_) {
    if (laps_ < 2 * limits.tries_max) { return AfterLap::TryAgain; }
    end();
    return AfterLap::LetMirrorGo;
  }
  if (laps_ < limits.tries_max) { return AfterLap::TryAgain; }
  on_ = true;
  tries_max_ = limits.tries_max;
  ++times_;
  since_ = calm_since_ = now;
  waited_ = {};
  return AfterLap::Begin;
}

WriterThrottle::Verdict WriterThrottle::look(const Limits& limits, Time now, bool synced, Duration waited) {
  if (waited != waited_ || !synced) {
    waited_ = waited;
    calm_since_ = now;
  }
  const auto verdict = now - calm_since_ >= limits.calm ? Verdict::Calm
                       : now - since_ >= limits.limit   ? Verdict::TimeUp
                                                        : Verdict::GoOn;
  if (verdict != Verdict::GoOn) { end(); }
  return verdict;
}

void WriterThrottle::pause() {
  if (!on_) { return; }
  on_ = false;
  laps_ = tries_max_ - 1;
}

void WriterThrottle::end() {
  on_ = false;
  laps_ = 0;
}

namespace {

std::string seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", std::chrono::duration<double>(duration).count());
  return text;
}

std::string subject(const ThrottleTold& told) { return "store \"" + told.store + "\" of " + told.role; }

std::string remedy(const ThrottleTold& told) {
  return "a larger journal (journal_kib of the store, now " + std::to_string(told.journal_bytes >> 10) +
         "), a faster maintenance network or fewer changes a second end this";
}

}  // namespace

std::string begins(const ThrottleTold& told, Duration limit) {
  return subject(told) + " was overwritten " + std::to_string(told.laps) +
         " times in a row before its mirror could read it: its application commits faster than the mirror can be sent "
         "to. "
         "From now on each of its commits waits up to 200 ms for the mirror, for at most " +
         seconds(limit) + "; the role is not protected until the mirror is synced; " + remedy(told);
}

std::string ended_calm(const ThrottleTold& told) {
  return subject(told) + ": the mirror is synced and keeps up; the application's commits do not wait any more, after " +
         seconds(told.lasted) + ", of which they waited " + seconds(told.waited);
}

std::string ended_late(const ThrottleTold& told, bool synced) {
  return subject(told) + ": its application's commits waited " + seconds(told.waited) + " of the last " +
         seconds(told.lasted) + " for the mirror, which is all that is asked of them; " +
         (synced ? "from now on the mirror is lapped, and the role not protected, whenever it cannot keep up"
                 : "the mirror is not synced and starts again, and the role is not protected") +
         "; " + remedy(told);
}

std::string in_vain(const ThrottleTold& told) {
  return subject(told) + " was overwritten " + std::to_string(told.laps) +
         " times in a row before its mirror could read it, although its application was asked to wait (it waited " +
         seconds(told.waited) +
         " in all; one that is linked with an older library does not wait). The mirror starts again, and the role is "
         "not "
         "protected; " +
         remedy(told);
}

}  // namespace understudy::link::replication
