// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The work that every engine does alike: the same keys and values in the same order.
///
///   insert   records 0 .. n-1 in order; their keys are random-looking and distinct (a bijection of the number)
///   churn    the oldest record goes and the next number's comes, so that n are there before and after
///   the rest picks of those keys at random, written out back to back so that only the engine misses the caches

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace understudy::bench {

using Bytes = std::span<const std::byte>;

inline constexpr std::size_t value_bytes = 24;
inline constexpr std::size_t value_words = value_bytes / 8;
inline constexpr std::size_t batch = 64;  ///< of a transaction, a pipeline and a batched get

/// SplitMix64's last step: a bijection, so distinct numbers stay distinct.
constexpr std::uint64_t scatter(std::uint64_t number) {
  number += 0x9e3779b97f4a7c15;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
  number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
  return number ^ (number >> 31);
}

/// Keys and values back to back. A value's first word is its key's first word, which is how a get is checked.
class Work {
 public:
  explicit Work(std::size_t key_bytes) : key_words_(key_bytes / 8) {}

  static Work insertion(std::size_t key_bytes, std::size_t records) { return numbers(key_bytes, 0, records); }
  /// Records first .. first + count - 1.
  static Work numbers(std::size_t key_bytes, std::size_t first, std::size_t count) {
    Work work(key_bytes);
    work.reserve(count);
    for (std::size_t i = first; i < first + count; ++i) { work.add(i, 0); }
    return work;
  }
  /// `count` picks among `records`; `round` makes the values differ from those that were there.
  static Work picks(std::size_t key_bytes, std::size_t records, std::size_t count, std::uint64_t round) {
    Work work(key_bytes);
    work.reserve(count);
    std::uint64_t random = scatter(round);
    for (std::size_t i = 0; i < count; ++i) {
      random = scatter(random);
      work.add(static_cast<std::size_t>((random >> 11) % records), round);
    }
    return work;
  }

  [[nodiscard]] std::size_t count() const { return values_.size() / value_words; }
  [[nodiscard]] std::size_t key_bytes() const { return key_words_ * 8; }
  [[nodiscard]] Bytes key(std::size_t i) const { return keys(i, 1); }
  [[nodiscard]] Bytes value(std::size_t i) const {
    return std::as_bytes(std::span(values_).subspan(i * value_words, value_words));
  }
  [[nodiscard]] Bytes values(std::size_t first, std::size_t count) const {
    return std::as_bytes(std::span(values_).subspan(first * value_words, count * value_words));
  }
  [[nodiscard]] Bytes keys(std::size_t first, std::size_t count) const {
    return std::as_bytes(std::span(keys_).subspan(first * key_words_, count * key_words_));
  }

 private:
  void reserve(std::size_t records) {
    keys_.reserve(records * key_words_);
    values_.reserve(records * value_words);
  }
  void add(std::uint64_t number, std::uint64_t round) {
    const std::uint64_t first = scatter(number);
    keys_.push_back(first);
    for (std::size_t word = 1; word < key_words_; ++word) { keys_.push_back(scatter(first + word)); }
    values_.insert(values_.end(), {first, number, round});
  }

  std::size_t key_words_;
  std::vector<std::uint64_t> keys_;
  std::vector<std::uint64_t> values_;
};

/// Does the value belong to the key?
inline bool belongs(Bytes key, Bytes value) { return std::memcmp(key.data(), value.data(), 8) == 0; }

}  // namespace understudy::bench
