// SPDX-License-Identifier: Apache-2.0
#include "put_run.hpp"

#include <algorithm>

#include "crc32c_words.hpp"

namespace understudy::shm {
namespace {

#if defined(__x86_64__)
struct Alike {
  Word lengths;  ///< key bytes and table, as the upper half of an entry's second word
  Word kind;     ///< its third word
  std::uint64_t entry_words;
};

template <std::size_t Words, std::size_t Beside>
[[gnu::always_inline]] inline bool sound(const std::byte* at, std::uint64_t sequence, const Alike& alike) {
  const std::uint64_t words = Words != 0 ? entry_header_words + 1 + Words : alike.entry_words;
  std::array<CrcByInstruction, Beside> sums;
  Word differs = 0;
  for (std::size_t e = 0; e < Beside; ++e) {
    const std::byte* entry = at + e * words * sizeof(Word);
    differs |= words::at(entry, 0) ^ (sequence + e);
    differs |= (words::at(entry, 1) >> 32) ^ alike.lengths;
    differs |= words::at(entry, 2) ^ alike.kind;
    for (const Word word : {sequence + e, alike.lengths << 32, alike.kind}) { sums[e].add(word); }
  }
#pragma GCC unroll 8
  for (std::size_t i = entry_header_words; i < words; ++i) {
    for (std::size_t e = 0; e < Beside; ++e) { sums[e].add(words::at(at, e * words + i)); }
  }
  for (std::size_t e = 0; e < Beside; ++e) {
    differs |= (words::at(at, e * words + 1) & 0xffffffffU) ^ sums[e].result();
  }
  return differs == 0;
}
#endif

}  // namespace

/// Entries up to the first that is not one of the run, at most so many.
template <std::size_t Words>
void PutRun::check(std::size_t most, const Table& in) {
#if defined(__x86_64__)
  const Alike alike{words::at(from_, 1) >> 32, words::at(from_, 2), entry_bytes_ / sizeof(Word)};
  const std::uint64_t bytes = Words != 0 ? (entry_header_words + 1 + Words) * sizeof(Word) : entry_bytes_;
  const auto take = [&](std::size_t i) {
    const std::uint64_t home = in.home_of<true>(KeyWords({from_ + i * bytes + sizeof(Word) * entry_header_words, 8}));
    homes_[i] = home;
    in.prefetch_home(home);
  };
  std::size_t i = 0;
  for (; i + 3 <= most && sound<Words, 3>(from_ + i * bytes, first_ + i, alike); i += 3) {
    take(i);
    take(i + 1);
    take(i + 2);
  }
  for (; i < most && sound<Words, 1>(from_ + i * bytes, first_ + i, alike); ++i) { take(i); }
  count_ = i;
#else
  (void)most;
  (void)in;
#endif
}

void PutRun::read(std::span<const std::byte> entries, std::uint64_t first, std::span<const Table> tables,
                  std::uint32_t small, std::uint64_t bytes_max) {
  count_ = 0;
  if (!crc32c_has_instruction || entries.size() < sizeof(layout::JournalEntryHeader)) { return; }
  layout::JournalEntryHeader header;
  std::memcpy(&header, entries.data(), sizeof header);
  const bool alone = header.op == layout::op_put && header.flags == layout::flag_ends_transaction;
  if (!alone || header.reserved != 0 || header.table >= tables.size() || (small >> header.table & 1) == 0) { return; }
  const Table& in = tables[header.table];
  if (header.key_bytes != sizeof(Word) || header.value_bytes != in.value_bytes()) { return; }
  from_ = entries.data();
  first_ = first;
  table_ = header.table;
  entry_bytes_ = layout::entry_bytes(header.key_bytes, header.value_bytes);
  const std::size_t there = std::min<std::uint64_t>(entries.size(), bytes_max) / entry_bytes_;
  const std::size_t most = std::min({puts_max, there, std::size_t{layout::sequence_max - first + 1}});
  switch (value_words()) {
    case 1:
      check<1>(most, in);
      break;
    case 2:
      check<2>(most, in);
      break;
    case 3:
      check<3>(most, in);
      break;
    case 4:
      check<4>(most, in);
      break;
    default:
      check<0>(most, in);
  }
  if (count_ < puts_min && count_ * entry_bytes_ != entries.size()) { count_ = 0; }
}

}  // namespace understudy::shm
