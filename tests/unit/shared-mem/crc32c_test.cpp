// SPDX-License-Identifier: Apache-2.0
#include "understudy/shm/crc32c.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

namespace understudy::shm {
namespace {

struct Published {
  std::string what;
  std::vector<std::uint8_t> bytes;
  std::uint32_t crc;
};

/// RFC 3720, appendix B.4. It prints the checksum's bytes in the order of the wire, the least significant first.
std::vector<Published> published_vectors() {
  std::vector<std::uint8_t> rising(32);
  std::iota(rising.begin(), rising.end(), std::uint8_t{0});
  std::vector<std::uint8_t> falling(rising.rbegin(), rising.rend());
  return {{"32 bytes of zeros", std::vector<std::uint8_t>(32, 0), 0x8a9136aa},
          {"32 bytes of ones", std::vector<std::uint8_t>(32, 0xff), 0x62a8ab43},
          {"32 bytes rising", rising, 0x46dd794e},
          {"32 bytes falling", falling, 0x113fdb5c},
          {"an iSCSI SCSI Read (10) command",
           {0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
            0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0,    0},
           0xd9963a56}};
}

std::span<const std::byte> bytes_of(const std::vector<std::uint8_t>& bytes) { return std::as_bytes(std::span(bytes)); }

TEST(Crc32c, GivesThePublishedChecksums) {
  for (const auto& [what, bytes, crc] : published_vectors()) {
    EXPECT_EQ(crc32c(bytes_of(bytes)), crc) << what;
    EXPECT_EQ(crc32c_by_table(bytes_of(bytes)), crc) << what << ", by table";
  }
}

TEST(Crc32c, GivesTheCheckValueOfItsCatalogue) {
  const std::string check = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(check))), 0xe3069283U);
  EXPECT_EQ(crc32c_by_table(std::as_bytes(std::span(check))), 0xe3069283U);
}

TEST(Crc32c, OfNothingIsWhatWasThereBefore) {
  EXPECT_EQ(crc32c({}), 0U);
  EXPECT_EQ(crc32c({}, 0x8a9136aa), 0x8a9136aaU);
  EXPECT_EQ(crc32c_by_table({}, 0x8a9136aa), 0x8a9136aaU);
}

TEST(Crc32c, PartsAddUpWhereverTheBytesAreCut) {
  for (const auto& [what, bytes, crc] : published_vectors()) {
    const auto all = bytes_of(bytes);
    for (std::size_t cut = 0; cut <= all.size(); ++cut) {
      EXPECT_EQ(crc32c(all.subspan(cut), crc32c(all.first(cut))), crc) << what << " at " << cut;
      EXPECT_EQ(crc32c_by_table(all.subspan(cut), crc32c_by_table(all.first(cut))), crc) << what << " at " << cut;
    }
  }
}

TEST(Crc32c, WithAndWithoutTheInstructionAgreeAtEverySizeAndAlignment) {
  std::vector<std::uint8_t> bytes(708);
  for (std::size_t i = 0; i < bytes.size(); ++i) { bytes[i] = static_cast<std::uint8_t>(i * 37); }
  const auto all = bytes_of(bytes);
  for (std::size_t from = 0; from < 8; ++from) {
    for (std::size_t size = 0; size <= 700; ++size) {
      EXPECT_EQ(crc32c(all.subspan(from, size)), crc32c_by_table(all.subspan(from, size))) << from << " " << size;
    }
  }
}

/// Long input is worked on at three places at once.
TEST(Crc32c, LongInputGivesTheSame) {
  std::vector<std::uint8_t> bytes(20'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) { bytes[i] = static_cast<std::uint8_t>(i * i + i / 251); }
  const auto all = bytes_of(bytes);
  for (std::size_t size = 1'500; size < bytes.size() - 8; size += size < 3'200 ? 1 : 997) {
    EXPECT_EQ(crc32c(all.subspan(size % 8, size), 77), crc32c_by_table(all.subspan(size % 8, size), 77)) << size;
  }
}

TEST(Crc32c, OfAnEntryTakesItsOwnChecksumForZero) {
  for (const std::size_t size : {16U, 24U, 56U, 200U, 208U, 400U, 1'552U, 1'560U, 65'568U}) {
    std::vector<std::uint8_t> bytes(size);
    for (std::size_t i = 0; i < size; ++i) { bytes[i] = static_cast<std::uint8_t>(i * 31 + 1); }
    const auto found = crc32c_of_entry(bytes_of(bytes));
    for (std::size_t i = 8; i < 12; ++i) { bytes[i] = 0; }
    EXPECT_EQ(found, crc32c_by_table(bytes_of(bytes))) << size;
  }
}

TEST(Crc32c, EveryFlippedBitIsSeen) {
  const auto good = published_vectors().back();
  for (std::size_t bit = 0; bit < good.bytes.size() * 8; ++bit) {
    auto bytes = good.bytes;
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_NE(crc32c(bytes_of(bytes)), good.crc) << bit;
  }
}

}  // namespace
}  // namespace understudy::shm
