// SPDX-License-Identifier: Apache-2.0
#pragma once
/// commit(mirrored): may a change be told to the outside yet? An answer that leaves before the mirror holds the
/// change is a promise that a failure of this blade breaks.
///
///   who has nothing else to do:    switch (commit_mirrored(store, writer.put(...).value(), 2s).answer) { ... }
///
///   who serves others meanwhile:   CommitMirrored waiting(writer.put(...).value(), boot_now() + 2s);
///                                  ... whenever convenient, 1 ms apart while something waits:
///                                  switch (waiting.check(store.mirrored(), boot_now())) { Now / Exposed / Wait /
///                                  Expired }
///
/// boot_now() is in understudy/common/boot_clock.hpp.

#include <string>

#include "understudy/common/types.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::app {

class CommitMirrored {
 public:
  enum class Answer {
    Now,      ///< the mirror holds it
    Exposed,  ///< nobody has to be waited for: there is no mirror, and whoever answers now should say so
    Wait,
    Expired,  ///< the deadline passed; the change is made here all the same
  };
  CommitMirrored(Sequence sequence, Instant deadline) : sequence_(sequence), deadline_(deadline) {}

  [[nodiscard]] Answer check(const shm::Store::Mirrored& mirrored, Instant now) const {
    if (mirrored.acknowledged >= sequence_) { return Answer::Now; }
    if (!mirrored.protected_by_mirror) { return Answer::Exposed; }
    return now < deadline_ ? Answer::Wait : Answer::Expired;
  }
  [[nodiscard]] Sequence sequence() const { return sequence_; }

 private:
  Sequence sequence_;
  Instant deadline_;
};

/// How a wait ended, and what was seen meanwhile.
struct WaitedForMirror {
  CommitMirrored::Answer answer = CommitMirrored::Answer::Expired;  ///< never Wait
  Sequence acknowledged;                                            ///< by the mirror, at the end
  bool moved = false;                                               ///< it acknowledged something meanwhile
  bool throttled = false;  ///< it is behind so far that the writer waits for it
};

/// Sleeps until the mirror holds `sequence`, there is no mirror (any more), or `timeout` has passed, by a clock that
/// does not stop while the machine sleeps. Zero: does not sleep. `sequence`: of a committed change; one that is never
/// committed expires. The calling thread wakes up at most every 50 us, later less often, at least every millisecond.
[[nodiscard]] WaitedForMirror commit_mirrored(const shm::Store& store, Sequence sequence, Duration timeout);

/// For a person: why a wait for `sequence` expired.
[[nodiscard]] std::string describe(const WaitedForMirror& waited, const shm::Store& store, Sequence sequence);

}  // namespace understudy::app
