// SPDX-License-Identifier: Apache-2.0
#include "journal.hpp"

#include "understudy/shm/crc32c.hpp"

namespace understudy::shm {

using layout::JournalEntryHeader;

std::optional<std::uint64_t> entry_size(const JournalEntryHeader& header) {
  const bool is_put = header.op == layout::op_put;
  const bool sound = (is_put || header.op == layout::op_erase) && header.key_bytes >= 1 &&
                     header.key_bytes <= layout::key_bytes_max && header.value_bytes <= layout::blob_bytes_max &&
                     (header.value_bytes == 0 || is_put) && header.table < layout::tables_max && header.reserved == 0 &&
                     header.flags <= layout::flag_ends_transaction && header.sequence >= 1 &&
                     header.sequence <= layout::sequence_max;
  if (!sound) { return std::nullopt; }
  return layout::entry_bytes(header.key_bytes, header.value_bytes);
}

namespace {

std::uint32_t checksum_of(JournalEntryHeader header, std::span<const std::byte> payload) {
  header.crc32c = 0;
  return crc32c(payload, crc32c(std::as_bytes(std::span(&header, 1))));
}

}  // namespace

bool checksum_fits(std::span<const std::byte> entry) {
  JournalEntryHeader header;
  std::memcpy(&header, entry.data(), sizeof header);
  return checksum_of(header, entry.subspan(sizeof header)) == header.crc32c;
}

void Journal::copy(std::uint64_t position, std::span<std::byte> to) const {
  std::uint64_t word = position / 8;
  for (std::size_t done = 0; done + 8 <= to.size(); done += 8, ++word) {
    const Word value = words::load(ring_ + (word & word_mask_));
    std::memcpy(to.data() + done, &value, 8);
  }
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
  const std::uint64_t steps_max = ring_bytes_ / layout::entry_bytes(1, 0);
  for (std::uint64_t step = 0; best_sequence < sequence; ++step, ++best_sequence) {
    if (step == steps_max) { return std::nullopt; }
    const auto size = read_entry(position, entry);
    if (!size || entry.header().sequence != best_sequence || lapped(position)) { return std::nullopt; }
    position += *size;
  }
  return position;
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
