// SPDX-License-Identifier: Apache-2.0
#include "chunked.hpp"

#include <gtest/gtest.h>

namespace lab {
namespace {

struct Decoded {
  std::string body;
  bool good = true, complete = false;
};

Decoded decode(std::string_view bytes, std::size_t cut) {
  ChunkDecoder sut;
  Decoded result;
  while (!bytes.empty() && result.good) {
    const auto part = bytes.substr(0, cut);
    bytes.remove_prefix(part.size());
    result.good = sut.feed(part, [&](std::string_view data) { result.body += data; });
  }
  result.complete = sut.is_complete();
  return result;
}

TEST(ChunkDecoder, ReadsWhatTheEncoderWritesCutAnywhere) {
  std::string body(300, 'x');
  const std::string wire =
      chunk_header(5) + "hello\r\n" + chunk_header(body.size()) + body + "\r\n" + std::string(last_chunk);
  for (std::size_t cut = 1; cut <= wire.size(); ++cut) {
    const auto got = decode(wire, cut);
    EXPECT_TRUE(got.good && got.complete) << cut;
    EXPECT_EQ(got.body, "hello" + body) << cut;
  }
}

TEST(ChunkDecoder, IsNotCompleteBeforeTheLastByte) {
  const std::string wire = chunk_header(5) + "hello\r\n" + std::string(last_chunk);
  for (std::size_t length = 0; length < wire.size(); ++length)
    EXPECT_FALSE(decode(wire.substr(0, length), 3).complete) << length;
}

TEST(ChunkDecoder, RefusesWhatIsNoChunkedBody) {
  for (const auto* wire : {"\r\n", "g\r\n", "-1\r\n", "5\nhello", "5\r\nhelloXX", "fffffffff\r\n",
                           "5;name=1\r\nhello\r\n", "0\r\nTrailer: 1\r\n\r\n", "0\r\n\r\nmore"}) {
    EXPECT_FALSE(decode(wire, 1).good) << wire;
  }
}

}  // namespace
}  // namespace lab
