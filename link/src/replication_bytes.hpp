// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Little-endian numbers and short strings: written without fear, read with bounds.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace understudy::link::replication {

class ByteWriter {
 public:
  template <class Number>
  void number(Number value) {
    static_assert(std::is_unsigned_v<Number>);
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
      bytes_.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
    }
  }
  void text(const std::string& text) {
    number(static_cast<std::uint16_t>(text.size()));
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

/// Reading past the end yields zeros and makes ok() false for good.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}
  template <class Number>
  Number number() {
    static_assert(std::is_unsigned_v<Number>);
    const auto from = take(sizeof(Number));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < from.size(); ++i) { value |= std::to_integer<std::uint64_t>(from[i]) << (8 * i); }
    return static_cast<Number>(value);
  }
  std::string text(std::size_t bytes_max) {
    const auto size = number<std::uint16_t>();
    if (size > bytes_max) { ok_ = false; }
    const auto from = ok_ ? take(size) : std::span<const std::byte>{};
    return {reinterpret_cast<const char*>(from.data()), from.size()};
  }
  /// Empty when there are not so many.
  std::span<const std::byte> take(std::size_t size) {
    if (!ok_ || size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  /// Everything fitted and nothing is left over.
  [[nodiscard]] bool at_end() const { return ok_ && rest_.empty(); }
  [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }

 private:
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

}  // namespace understudy::link::replication
