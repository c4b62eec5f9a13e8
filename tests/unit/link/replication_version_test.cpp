// SPDX-License-Identifier: Apache-2.0
/// A group whose blades are updated one after the other: who understands whom, and what the others are told.
/// Covers: link/src/replication_refusal.cpp, link/src/replication_frame.cpp, link/src/replication_connection.cpp
#include <gtest/gtest.h>

#include "replication_bench.hpp"
#include "replication_bytes.hpp"
#include "replication_puppet.hpp"

namespace understudy::link::replication {
namespace {

/// Frames of one version, with another number each.
struct OtherVersion : Pair {
  OtherVersion() {
    sender_options.mirror_blade = BladeId{"blade-4"};
    sender_options.on_refused = [this](const std::string& what) { told.push_back(what); };
    start_sender();
  }
  [[nodiscard]] std::vector<std::byte> frame(FrameType type, std::uint8_t version,
                                             std::vector<std::byte> payload) const {
    auto encoded = encode({type, 0, Term{1}, digest_of(role), {}, version}, std::move(payload));
    encoded.header.insert(encoded.header.end(), encoded.payload.begin(), encoded.payload.end());
    return encoded.header;
  }
  /// What comes back until the connection ends, or so many bytes.
  std::vector<std::byte> answer(std::uint8_t version, const std::vector<std::byte>& payload, std::size_t bytes_max) {
    boost::asio::io_context own;
    boost::asio::ip::tcp::socket socket(own);
    socket.connect(boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), port));
    boost::asio::write(socket, boost::asio::buffer(frame(FrameType::Hello, version, payload)));
    socket.non_blocking(true);
    std::vector<std::byte> got;
    EXPECT_TRUE(run_until([&] {
      std::array<std::byte, 4096> room;
      boost::system::error_code error;
      const auto size = socket.read_some(boost::asio::buffer(room), error);
      got.insert(got.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(size));
      return got.size() >= bytes_max || (error && error != boost::asio::error::would_block);
    }));
    return got;
  }
  std::vector<std::string> told;
};

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// As version 4 had it: no sizes of journals.
std::vector<std::byte> hello_of_version_4(const TestRegion& region) {
  ByteWriter writer;
  writer.text(role.value);
  writer.number(std::uint16_t{2});
  for (const auto* name : {"net", "sessions"}) {
    writer.text(name);
    writer.number(digest_of(region.store(name).schema()));
    writer.number(std::uint64_t{0});
    writer.number(std::uint8_t{0});
    writer.number(std::uint16_t{0});
  }
  return writer.take();
}

TEST(ReplicationVersion, AMirrorOfTheOlderOneIsFollowedInItsOwnVersion) {
  OtherVersion pair;
  const auto got = pair.answer(4, hello_of_version_4(pair.active), 3 * header_bytes);
  ASSERT_GT(got.size(), header_bytes);
  EXPECT_EQ(got[4], std::byte{4});
  EXPECT_EQ(got[5], static_cast<std::byte>(FrameType::Resume)) << pair.sender_detail;
  EXPECT_EQ(pair.told.size(), 0U);
}

TEST(ReplicationVersion, OneThatNobodyUnderstandsIsToldOnceWithBothVersionsAndWhomToUpdate) {
  for (const auto& [version, whom] :
       {std::pair<std::uint8_t, const char*>{3, "blade-4"}, {6, "the blade that serves it"}}) {
    OtherVersion pair;
    for (int times = 0; times < 3; ++times) {
      const auto got = pair.answer(version, std::vector<std::byte>(100), 4096);
      ASSERT_GT(got.size(), header_bytes);
      EXPECT_EQ(got[4], static_cast<std::byte>(version)) << "in words that it understands";
      EXPECT_EQ(got[5], static_cast<std::byte>(FrameType::Refused));
      for (const auto& words : {"version " + std::to_string(version), std::string("4 to 5"), std::string(whom)}) {
        EXPECT_NE(text_of(got).find(words), std::string::npos) << words << " is not in: " << text_of(got);
      }
    }
    ASSERT_EQ(pair.told.size(), 1U);
    EXPECT_NE(pair.told[0].find(whom), std::string::npos) << pair.told[0];
    pair.start_receiver();
    EXPECT_TRUE(pair.synced()) << "and keeps nobody else out";
  }
}

}  // namespace
}  // namespace understudy::link::replication
