// SPDX-License-Identifier: Apache-2.0
#include "understudy/shm/crc32c.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace understudy::shm {
namespace {

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) { crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U); }
    tables[0][i] = crc;
  }
  for (std::uint32_t i = 0; i < 256; ++i) {
    for (std::size_t t = 1; t < 8; ++t) { tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff]; }
  }
  return tables;
}
constexpr Tables tables = make_tables();

#if defined(__x86_64__)
/// The instruction takes three cycles but begins one each cycle: long input is worked on at three places at once.
///
///   | lane 0 | lane 1 | lane 2 | lane 0 | ...      crc = shift(shift(crc 0) ^ crc 1) ^ crc 2
///
/// shift: what the zero bytes of a lane after it make of a crc. It is linear, so four tables of a byte each do it. What
/// is too short for long lanes goes in short ones.
constexpr std::size_t long_lane = 512;
constexpr std::size_t short_lane = 64;
using Shift = std::array<std::array<std::uint32_t, 256>, 4>;

constexpr Shift make_shift(std::size_t lane_bytes) {
  Shift shift{};
  for (std::size_t byte = 0; byte < 4; ++byte) {
    for (std::size_t bit = 0; bit < 8; ++bit) {
      std::uint32_t crc = std::uint32_t{1} << (8 * byte + bit);
      for (std::size_t i = 0; i < lane_bytes; ++i) { crc = (crc >> 8) ^ tables[0][crc & 0xff]; }
      for (std::size_t value = 0; value < 256; ++value) {
        if ((value >> bit & 1) != 0) { shift[byte][value] ^= crc; }
      }
    }
  }
  return shift;
}
template <std::size_t LaneBytes>
constexpr Shift shift_tables = make_shift(LaneBytes);

template <std::size_t LaneBytes>
std::uint32_t shifted(std::uint64_t crc) {
  constexpr const Shift& shift = shift_tables<LaneBytes>;
  return shift[0][crc & 0xff] ^ shift[1][crc >> 8 & 0xff] ^ shift[2][crc >> 16 & 0xff] ^ shift[3][crc >> 24 & 0xff];
}

std::uint64_t word_at(const std::byte* at) {
  std::uint64_t word;
  std::memcpy(&word, at, 8);
  return word;
}

/// `crc`: of what came before, not inverted.
template <std::size_t LaneBytes>
__attribute__((target("sse4.2"))) std::uint64_t add_lanes_of(std::uint64_t crc, const std::byte*& at,
                                                             std::size_t& left) {
  for (; left >= 3 * LaneBytes; left -= 3 * LaneBytes, at += 3 * LaneBytes) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < LaneBytes; i += 8) {
      crc = _mm_crc32_u64(crc, word_at(at + i));
      second = _mm_crc32_u64(second, word_at(at + LaneBytes + i));
      third = _mm_crc32_u64(third, word_at(at + 2 * LaneBytes + i));
    }
    crc = shifted<LaneBytes>(shifted<LaneBytes>(crc) ^ second) ^ third;
  }
  return crc;
}

__attribute__((target("sse4.2"))) std::uint64_t add_lanes(std::uint64_t crc, const std::byte*& at, std::size_t& left) {
  crc = add_lanes_of<long_lane>(crc, at, left);
  return add_lanes_of<short_lane>(crc, at, left);
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(std::span<const std::byte> bytes,
                                                                      std::uint32_t so_far) {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t crc = add_lanes(~so_far & 0xffffffffU, at, left);
  for (; left >= 8; left -= 8, at += 8) { crc = _mm_crc32_u64(crc, word_at(at)); }
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; left > 0; --left, ++at) { narrow = _mm_crc32_u8(narrow, std::to_integer<std::uint8_t>(*at)); }
  return ~narrow;
}

__attribute__((target("sse4.2"))) std::uint32_t entry_by_instruction(std::span<const std::byte> entry) {
  std::uint64_t crc = _mm_crc32_u64(0xffffffffU, word_at(entry.data()));
  crc = _mm_crc32_u64(crc, word_at(entry.data() + 8) & ~std::uint64_t{0xffffffffU});
  const std::byte* at = entry.data() + 16;
  std::size_t left = entry.size() - 16;
  if (left >= 3 * short_lane) { crc = add_lanes(crc, at, left); }
  for (; left >= 8; left -= 8, at += 8) { crc = _mm_crc32_u64(crc, word_at(at)); }
  return ~static_cast<std::uint32_t>(crc);
}
#endif

}  // namespace

#if defined(__x86_64__)
const bool crc32c_has_instruction = __builtin_cpu_supports("sse4.2") != 0;
#else
const bool crc32c_has_instruction = false;
#endif

std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t so_far) {
  std::uint32_t crc = ~so_far;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    word ^= crc;
    crc = 0;
    for (std::size_t byte = 0; byte < 8; ++byte) { crc ^= tables[7 - byte][(word >> (8 * byte)) & 0xff]; }
  }
  for (; left > 0; --left, ++at) { crc = (crc >> 8) ^ tables[0][(crc ^ std::to_integer<std::uint32_t>(*at)) & 0xff]; }
  return ~crc;
}

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t so_far) {
#if defined(__x86_64__)
  if (crc32c_has_instruction) { return crc32c_by_instruction(bytes, so_far); }
#endif
  return crc32c_by_table(bytes, so_far);
}

std::uint32_t crc32c_of_entry(std::span<const std::byte> entry) {
#if defined(__x86_64__)
  if (crc32c_has_instruction) { return entry_by_instruction(entry); }
#endif
  std::array<std::byte, 16> head{};
  std::memcpy(head.data(), entry.data(), 8);
  std::memcpy(head.data() + 12, entry.data() + 12, 4);
  return crc32c_by_table(entry.subspan(16), crc32c_by_table(head));
}

}  // namespace understudy::shm
