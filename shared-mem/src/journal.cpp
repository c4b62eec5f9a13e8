// SPDX-License-Identifier: Apache-2.0
#include "journal.hpp"

#include <algorithm>

#include "bulk.hpp"
#include "understudy/shm/crc32c.hpp"

namespace understudy::shm {

using layout::JournalEntryHeader;

bool checksum_fits(std::span<const std::byte> entry) {
  JournalEntryHeader header;
  std::memcpy(&header, entry.data(), sizeof header);
  return crc32c_of_entry(entry) == header.crc32c;
}

void Journal::copy(std::uint64_t position, std::span<std::byte> to) const {
  if (to.empty()) { return; }  // memcpy wants addresses, also for nothing
#if defined(__SANITIZE_THREAD__)
  std::uint64_t word = position / 8;
  for (std::size_t done = 0; done + 8 <= to.size(); done += 8, ++word) {
    const Word value = words::load(ring_ + (word & word_mask_));
    std::memcpy(to.data() + done, &value, 8);
  }
#else  // torn words are what lapped() and the checksums find
  const std::uint64_t at = position & (ring_bytes_ - 1) & ~std::uint64_t{7};
  const std::size_t before_wrap = std::min<std::size_t>(to.size(), ring_bytes_ - at);
  std::memcpy(to.data(), ring_ + at / 8, before_wrap);
  std::memcpy(to.data() + before_wrap, ring_, to.size() - before_wrap);
#endif
}

void Journal::copy(std::uint64_t position, std::size_t bytes, std::vector<std::byte>& to) const {
#if defined(__SANITIZE_THREAD__)
  to.resize(bytes);
  copy(position, to);
#else
  const std::uint64_t at = position & (ring_bytes_ - 1) & ~std::uint64_t{7};
  const std::size_t before_wrap = std::min<std::size_t>(bytes, ring_bytes_ - at);
  const auto* ring = reinterpret_cast<const std::byte*>(ring_);
  to.clear();
  to.reserve(bytes);
  to.insert(to.end(), ring + at, ring + at + before_wrap);
  to.insert(to.end(), ring, ring + (bytes - before_wrap));
#endif
}

std::optional<std::uint64_t> Journal::read_entry(std::uint64_t position, EntryBuffer& entry) const {
  const auto memory = std::as_writable_bytes(std::span(entry.words));
  copy(position, memory.first(sizeof(JournalEntryHeader)));
  const auto size = entry_size(entry.header());
  if (!size) { return std::nullopt; }
  copy(position + sizeof(JournalEntryHeader),
       memory.subspan(sizeof(JournalEntryHeader), *size - sizeof(JournalEntryHeader)));
  if (!checksum_fits(entry.bytes(*size))) { return std::nullopt; }
  return size;
}

std::optional<std::uint64_t> Journal::end_of(std::uint64_t committed) const {
  for (const auto& end : control_->commit.ends) {
    if (words::load_acquire(&end.sequence) != committed) { continue; }
    const std::uint64_t position = words::load(&end.position) & ~std::uint64_t{7};
    if (words::unchanged(&end.sequence, committed)) { return position; }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Journal::find(std::uint64_t sequence, std::uint64_t committed) const {
  std::uint64_t best_sequence = 0;
  std::uint64_t position = 0;
  EntryBuffer entry;
  for (const auto& anchor : control_->anchors) {
    const std::uint64_t anchored = words::load_acquire(&anchor.sequence);
    const std::uint64_t at = words::load(&anchor.position) & ~std::uint64_t{7};
    if (anchored <= best_sequence || anchored > sequence || anchored > committed) { continue; }
    if (!read_entry(at, entry) || entry.header().sequence != anchored || lapped(at)) { continue; }
    best_sequence = anchored;
    position = at;
  }
  if (best_sequence == 0) { return std::nullopt; }
  // Who writes on and on while this reads has no more than a ring of it read.
  const std::uint64_t begin = position;
  for (; best_sequence < sequence; ++best_sequence) {
    if (position - begin > ring_bytes_) { return std::nullopt; }
    const auto size = read_entry(position, entry);
    if (!size || entry.header().sequence != best_sequence || lapped(position)) { return std::nullopt; }
    position += *size;
  }
  return position;
}

void Journal::write_bytes(std::uint64_t position, std::span<const std::byte> bytes) const {
  // Torn anywhere it is what the checksums find; a reader that was overtaken in here asks lapped().
  const std::uint64_t at = position & (ring_bytes_ - 1) & ~std::uint64_t{7};
  const std::size_t before_wrap = std::min<std::size_t>(bytes.size(), ring_bytes_ - at);
  words::store_bulk(ring_ + at / 8, bytes.first(before_wrap));
  words::store_bulk(ring_, bytes.subspan(before_wrap));
  words::fence_release();  // the tables come after it
}

void Journal::note_anchor(std::uint64_t position, std::uint64_t sequence) const {
  auto& anchor = control_->anchors[(position >> segment_shift_) % layout::journal_anchors];
  const bool same_lap = (words::load(&anchor.position) ^ position) >> segment_shift_ == 0;
  if (same_lap && words::load(&anchor.sequence) != 0) { return; }
  words::invalidate(&anchor.sequence, 0);
  words::store(&anchor.position, position);
  words::publish(&anchor.sequence, sequence);
}

}  // namespace understudy::shm
