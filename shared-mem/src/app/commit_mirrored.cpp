// SPDX-License-Identifier: Apache-2.0
/// The acknowledgement is one word in the region that the agent's sender writes. Whoever writes it may be in another
/// kernel's user space or nowhere any more, so nobody wakes a waiter: it looks again, and sleeps in between for an
/// eighth of what it has waited so far. What takes 1 ms is seen 0.12 ms late; who waits for long costs nothing that
/// shows.
#include "understudy/app/commit_mirrored.hpp"

#include <algorithm>
#include <thread>

#include "understudy/common/boot_clock.hpp"

namespace understudy::app {
namespace {

using namespace std::chrono_literals;

Duration until_next_look(Duration waited) { return std::clamp<Duration>(waited / 8, 50us, 1ms); }

}  // namespace

WaitedForMirror commit_mirrored(const shm::Store& store, Sequence sequence, Duration timeout) {
  const Instant start = boot_now();
  constexpr Duration longest = std::chrono::hours(24 * 365);  // no sum overflows
  const Instant deadline = start + std::clamp<Duration>(timeout, 0ns, longest);
  const CommitMirrored waiting(sequence, deadline);
  const Sequence at_first = store.mirrored().acknowledged;
  for (Instant now = start;;) {
    const auto mirrored = store.mirrored();
    const auto answer = waiting.check(mirrored, now);
    if (answer != CommitMirrored::Answer::Wait) {
      return {answer, mirrored.acknowledged, mirrored.acknowledged != at_first, store.throttled()};
    }
    std::this_thread::sleep_for(std::min(deadline - now, until_next_look(now - start)));
    now = boot_now();
  }
}

std::string describe(const WaitedForMirror& waited, const shm::Store& store, Sequence sequence) {
  std::string text = "the mirror of store \"" + store.schema().name + "\" has not acknowledged change " +
                     std::to_string(sequence.value) + " in time: it has " + std::to_string(waited.acknowledged.value);
  if (sequence > store.committed()) {
    return text + ", and the store itself has only " + std::to_string(store.committed().value) +
           ": no such change was committed";
  }
  if (!waited.moved) { return text + " and did not move meanwhile: its agent or the path to it stands still"; }
  return text + " and moves on" +
         (waited.throttled ? "; it is so far behind that the writer is made to wait for it" : "");
}

}  // namespace understudy::app
