// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The live area of a store's arena, as pages, beside the dense table that holds the last checkpoint.
///
///   live area   | p0 | p1 | p2 | p3 | ...     the application writes here as it likes, between two checkpoints
///   table       | c0 | c1 |    | c3 | ...     committed copies; no copy: the page is zeros
///   live_up_to  S                             every page whose newest copy is not above S is that copy
///
/// Invariant: live_up_to is raised to S only after every page up to S was brought, and an application gets the area
/// only after it was set to arena_unknown. So whatever instant a writer or a mirror is frozen at, restore() knows which
/// pages it must look at, and doing it again changes nothing.
///
/// Used by the store's writer only: it reads the table without asking whether something changed meanwhile.

#include <cstddef>
#include <cstdint>
#include <span>

#include "table.hpp"

namespace understudy::shm {

class LiveArea {
 public:
  static constexpr std::uint64_t page_words = layout::page_bytes / sizeof(Word);

  LiveArea(layout::ArenaLine& line, Word* memory, std::uint32_t table_index, const Table& table)
      : line_(&line), memory_(memory), table_index_(table_index), table_(table) {}

  [[nodiscard]] std::uint64_t page_count() const { return table_.slot_count(); }
  [[nodiscard]] std::uint32_t table_index() const { return table_index_; }
  [[nodiscard]] std::span<std::byte> memory() const {
    return std::as_writable_bytes(std::span(memory_, page_count() * page_words));
  }
  [[nodiscard]] std::span<const std::byte> page(std::uint64_t index) const {
    return std::as_bytes(std::span(memory_ + index * page_words, page_words));
  }
  /// Is the page of the live area the copy committed up to `limit`?
  [[nodiscard]] bool is_checkpointed(std::uint64_t index, std::uint64_t limit) const;

  /// Nothing is known of the pages any more: from here on somebody may write in them.
  void forget() const { words::invalidate(&line_->live_up_to, layout::arena_unknown); }
  /// The pages are the checkpoint that was committed up to `limit`.
  void note_exact(std::uint64_t limit) const { words::publish(&line_->live_up_to, limit); }
  /// Are the pages of several checkpoints, since an unfinished copy was accepted?
  [[nodiscard]] bool is_mixed() const { return words::load_acquire(&line_->mixed) != 0; }
  void note_mixed(bool mixed) const { words::publish(&line_->mixed, mixed ? 1 : 0); }
  /// Brings every page that is not known to be the copy committed up to `limit`. Does not note it.
  void restore(std::uint64_t limit) const;
  /// Brings one page as `value` has it; empty: zeros.
  void bring(std::uint64_t index, std::span<const std::byte> value) const;

 private:
  /// The committed copy of a page; nothing: zeros. `sequence`: of the change that wrote it,
  /// or the limit.
  [[nodiscard]] std::span<const std::byte> copy_of(std::uint64_t index, std::uint64_t limit,
                                                   std::uint64_t& sequence) const;

  layout::ArenaLine* line_;
  Word* memory_;
  std::uint32_t table_index_;
  Table table_;
};

}  // namespace understudy::shm
