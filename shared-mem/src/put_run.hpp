// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A run: received entries that are all alike, puts of small records (Table::is_small()) into one table, a transaction
/// each. Most of what a mirror receives is such, and nothing of it has to be looked at entry by entry but its number,
/// its checksum and its key.
///
///   bytes   | put | put | put | put | ... |      all of `entry_bytes`
///   check    3 entries side by side: a checksum waits for each of its words, three do not wait for each other
///   homes    hashed, and the lines of their slots asked for, while the next entries are checked
///
/// Invariants
///   P1  As R1: everything of a run was checked before anything of it is stored.
///   P2  A run is bounded as a group is (R3): in puts, and in bytes by half of the ring, which may be another than the
///       sender's.
///   P3  A key may come again in a run. The slot tells: its newest copy is above `committed`. That copy is then written
///       once more, since nobody looks at it before the commit, and the committed one stays.

#include <array>
#include <cstdint>
#include <span>

#include "journal.hpp"
#include "table.hpp"

namespace understudy::shm {

class PutRun {
 public:
  static constexpr std::size_t puts_max = 128;
  /// Fewer are better off in a group with what comes after them, unless nothing does.
  static constexpr std::size_t puts_min = 8;

  /// The run at the start of `entries` whose first sequence is `first`; it may be empty(). `small`: a bit for each of
  /// `tables`. Of `bytes_max` at most. The bytes must stay where they are.
  void read(std::span<const std::byte> entries, std::uint64_t first, std::span<const Table> tables, std::uint32_t small,
            std::uint64_t bytes_max);

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::uint32_t table() const { return table_; }
  [[nodiscard]] std::uint64_t first() const { return first_; }
  [[nodiscard]] std::uint64_t last() const { return first_ + count_ - 1; }
  [[nodiscard]] std::uint64_t entry_bytes() const { return entry_bytes_; }
  [[nodiscard]] std::size_t value_words() const { return entry_bytes_ / sizeof(Word) - entry_header_words - 1; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {from_, count_ * entry_bytes_}; }
  [[nodiscard]] std::uint64_t home(std::size_t i) const { return homes_[i]; }
  [[nodiscard]] std::span<const std::byte> key(std::size_t i) const {
    return {from_ + i * entry_bytes_ + entry_header_words * sizeof(Word), sizeof(Word)};
  }
  [[nodiscard]] std::span<const std::byte> value(std::size_t i) const {
    return {key(i).data() + sizeof(Word), value_words() * sizeof(Word)};
  }

 private:
  template <std::size_t Words>
  void check(std::size_t most, const Table& in);

  const std::byte* from_ = nullptr;
  std::size_t count_ = 0;
  std::uint64_t first_ = 0;
  std::uint64_t entry_bytes_ = 0;
  std::uint32_t table_ = 0;
  std::array<std::uint64_t, puts_max> homes_{};
};

}  // namespace understudy::shm
