// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What is looked at in a slot before its value: its head, one word for both copies, and its key (layout.hpp).

#include <cstdint>
#include <cstring>
#include <span>

#include "understudy/shm/layout.hpp"
#include "words.hpp"

namespace understudy::shm {

/// A key as whole words, padded with zeros, in the caller's own memory.
struct KeyWords {
  Word words[layout::words_of(layout::key_bytes_max)];
  // NOLINTNEXTLINE(google-explicit-constructor,cppcoreguidelines-pro-type-member-init): the rest is never used
  KeyWords(std::span<const std::byte> key) {
    if (key.size() == sizeof(Word)) [[likely]] {
      std::memcpy(words, key.data(), sizeof(Word));
      return;
    }
    words[0] = 0;
    words::for_words(key, [this](std::size_t i, Word word) { words[i] = word; });
  }
};

/// What a look at a slot has found. Older and Absent are true of the instant of the limit only if the limit is still
/// the same after the look: whoever looked must ask again.
enum class Seen {
  Present,  ///< the newest copy
  Older,    ///< the copy before one that is not committed yet
  Absent,
  Changed,  ///< nothing: look again
};

/// A slot's head as it was read.
struct Head {
  Word word = 0;

  [[nodiscard]] bool is_empty() const { return word == 0; }
  /// Of the change that wrote the newest copy.
  [[nodiscard]] std::uint64_t sequence() const { return word >> layout::head_sequence_shift; }
  /// Does the slot belong to the key in it?
  [[nodiscard]] bool has_sequence() const { return sequence() != 0; }
  [[nodiscard]] unsigned newest() const { return static_cast<unsigned>(word & 1); }
  [[nodiscard]] std::uint64_t newest_kind() const { return word >> layout::head_newest_kind_shift & 3; }
  [[nodiscard]] std::uint64_t older_kind() const { return word >> layout::head_older_kind_shift & 3; }
  /// Is the newest copy a record's?
  [[nodiscard]] bool is_live() const { return newest_kind() == layout::kind_live && has_sequence(); }

  /// The head after a change that wrote the other copy.
  [[nodiscard]] Head after(std::uint64_t sequence, std::uint64_t kind) const {
    return {layout::head_of(sequence, newest_kind(), kind, newest() ^ 1U)};
  }
  /// The head after the newest copy, not committed yet, was written once more.
  [[nodiscard]] Head again(std::uint64_t sequence) const {
    return {layout::head_of(sequence, older_kind(), layout::kind_live, newest())};
  }
  /// The head after the newest copy was taken back; `sequence`: of the other copy, or a committed one above it.
  [[nodiscard]] Head before(std::uint64_t sequence) const {
    const bool holds = sequence != 0 && (older_kind() == layout::kind_live || older_kind() == layout::kind_erased);
    return {holds ? layout::head_of(sequence, layout::kind_free, older_kind(), newest() ^ 1U) : layout::head_free};
  }
  /// The head of a slot that gets its key now: the value is in copy 0.
  static Head first(std::uint64_t sequence) {
    return {layout::head_of(sequence, layout::kind_free, layout::kind_live, 0)};
  }
};

}  // namespace understudy::shm
