// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a transfer sends, and how fast: pure.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lab {

/// Deterministic bytes that do not compress and never repeat within a transfer: a lost, doubled or swapped segment
/// changes the hash. The same name gives the same bytes.
class ByteStream {
 public:
  explicit ByteStream(std::string_view name) {
    for (const char letter : name) state_ = (state_ ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
    if (state_ == 0) state_ = 1;
  }

  void fill(std::span<char> bytes) {
    for (auto& byte : bytes) {
      if (held_ == 0) {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        word_ = state_ * 0x2545F4914F6CDD1DULL;
        held_ = 8;
      }
      byte = static_cast<char>(word_ & 0xff);
      word_ >>= 8;
      --held_;
    }
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL, word_ = 0;
  int held_ = 0;
};

/// Spreads bytes evenly over time. After a stall it catches up with one bounded burst, so that the rate stays near
/// what was asked for and a takeover is not followed by a flood.
class Pacer {
 public:
  Pacer(std::uint64_t bytes_per_second, std::int64_t start_ns) : rate_(bytes_per_second), origin_ns_(start_ns) {}

  /// How many bytes may be sent at `now_ns`; they count as sent.
  std::size_t take(std::int64_t now_ns) {
    const std::int64_t elapsed_ns = std::max<std::int64_t>(now_ns - origin_ns_, 0);
    const auto earned = static_cast<std::uint64_t>(static_cast<double>(elapsed_ns) * 1e-9 * static_cast<double>(rate_));
    if (earned <= sent_) return 0;
    const std::uint64_t due = std::min(earned - sent_, burst_bytes);
    sent_ = earned;  // what lies beyond the burst is given up
    return static_cast<std::size_t>(due);
  }

  static constexpr std::uint64_t burst_bytes = 256 * 1024;

 private:
  std::uint64_t rate_, sent_ = 0;
  std::int64_t origin_ns_;
};

/// When a sender is done: a fixed amount, or at least `minimum` and told to stop.
struct Amount {
  std::uint64_t fixed = 0;  ///< 0: open-ended
  std::uint64_t minimum = 0;

  [[nodiscard]] bool is_done(std::uint64_t sent, bool told_to_stop) const {
    return fixed > 0 ? sent >= fixed : told_to_stop && sent >= minimum;
  }
  [[nodiscard]] std::size_t within(std::size_t wanted, std::uint64_t sent) const {
    return fixed > 0 ? static_cast<std::size_t>(std::min<std::uint64_t>(wanted, fixed - std::min(fixed, sent)))
                     : wanted;
  }
};

}  // namespace lab
