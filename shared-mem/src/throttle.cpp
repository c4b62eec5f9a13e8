// SPDX-License-Identifier: Apache-2.0
/// A writer waits for a sender that it has lapped again and again (rule 23).
///
///   sender   MirrorLine::throttle = how far it has read | beat           (JournalReader::throttle_writer)
///   writer   at each 1/64 of the ring: would more than 3/4 of it be unread? It waits until less is, or its patience
///   ends
///
///   |--- read ---|------------- not read yet: up to 3/4 ------------|-- room for what is being copied --|
///             throttle                                         end_position
///
/// Invariants
///  - Asked before the first store of a commit, so that a writer frozen here has left whole commits, and an own word
///    (how long it waited) that nobody's state depends on.
///  - Up to the next 1/64 of the ring a commit costs one comparison of the writer's own memory.
///  - Whatever is in the word, a commit waits for no longer than Patience allows; after it the writer is asked anew
///    whether the store is its own.
#include <thread>

#include "writer.hpp"

namespace understudy::shm {

namespace {
constexpr auto look_again = std::chrono::microseconds(50);
}  // namespace

bool StoreWriter::Impl::ask_sender(std::uint64_t bytes) {
  const std::uint64_t end = end_position + bytes;
  if (!waits) { return true; }
  ask_from = journal.next_anchor(end);
  Word request = words::load_acquire(&control.mirror.throttle);
  if (request == 0 || !leaves_behind(request, end)) { return true; }
  const auto from = Patience::Clock::now();
  auto now = from;
  while (request != 0 && leaves_behind(request, end) && patience.lasts(request, from, now) && still_ours()) {
    std::this_thread::sleep_for(look_again);
    now = Patience::Clock::now();
    request = words::load_acquire(&control.mirror.throttle);
  }
  note_waited(from, now);
  return still_ours();
}

/// Who is lapped already gains nothing by waiting, nor does one who has read what is not written.
bool StoreWriter::Impl::leaves_behind(Word request, std::uint64_t end) const {
  const std::uint64_t position = request & ~layout::throttle_beat_mask;
  const std::uint64_t ring = journal.ring_bytes();
  const bool could_be = position <= end_position && end_position - position <= ring;
  return could_be && end - position > ring / 4 * 3;
}

void StoreWriter::Impl::note_waited(Patience::Clock::time_point from, Patience::Clock::time_point to) {
  patience.waited(from, to);
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
  if (us <= 0 || !still_ours()) { return; }
  words::publish(&control.writer.waited_us, words::load(&control.writer.waited_us) + static_cast<std::uint64_t>(us));
}

}  // namespace understudy::shm
