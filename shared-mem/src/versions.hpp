// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What is looked at in a slot before its value: the versions of its two copies, and its key (layout.hpp).

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

#include "understudy/shm/layout.hpp"
#include "words.hpp"

namespace understudy::shm {

namespace version {
inline constexpr Word free_mark = layout::kind_free;
constexpr Word pack(std::uint64_t sequence, std::uint64_t kind) {
  return (sequence << layout::version_kind_bits) | kind;
}
constexpr std::uint64_t sequence(Word word) { return word >> layout::version_kind_bits; }
constexpr bool is_live(Word word) { return (word & 3) == layout::kind_live && sequence(word) != 0; }
}  // namespace version

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

enum class Seen { Present, Absent, Changed };

struct Versions {
  Word copy[2];
  [[nodiscard]] bool is_empty() const { return (copy[0] | copy[1]) == 0; }
  [[nodiscard]] bool has_sequence() const { return version::sequence(copy[0] | copy[1]) != 0; }
  // Which of the copies is the newest changes from record to record: no branch on it.
  [[nodiscard]] unsigned newest() const { return static_cast<unsigned>(copy[1] > copy[0]); }
  [[nodiscard]] Word newest_version() const { return std::max(copy[0], copy[1]); }
  [[nodiscard]] Word of(unsigned which) const { return which == 0 ? copy[0] : copy[1]; }
  /// The newest copy not above `limit`, or 2.
  [[nodiscard]] unsigned visible(std::uint64_t limit) const {
    const unsigned newer = newest();
    const std::uint64_t newest_sequence = version::sequence(newest_version());
    if (newest_sequence <= limit && newest_sequence != 0) [[likely]] { return newer; }
    const std::uint64_t older = version::sequence(std::min(copy[0], copy[1]));
    return older <= limit && older != 0 ? 1 - newer : 2;
  }
};

}  // namespace understudy::shm
