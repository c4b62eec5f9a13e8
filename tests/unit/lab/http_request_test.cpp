// SPDX-License-Identifier: Apache-2.0
#include "http_request.hpp"

#include <gtest/gtest.h>

namespace lab {
namespace {

TEST(HttpRequest, ReadsADownload) {
  const auto got = parse_request("GET /download?id=role-2.v4&bytes=10&rate=20 HTTP/1.1\r\nHost: lab\r\n\r\n");
  ASSERT_TRUE(got);
  EXPECT_FALSE(got->is_upload);
  EXPECT_EQ(got->id, "role-2.v4");
  EXPECT_EQ(got->bytes, 10U);
  EXPECT_EQ(got->rate, 20U);
}

TEST(HttpRequest, ReadsAnUploadWithAChunkedBody) {
  const auto got = parse_request("PUT /upload?id=x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->is_upload);
}

TEST(HttpRequest, RefusesARangeSinceATransferIsWholeOrBroken) {
  EXPECT_FALSE(parse_request("GET /download?id=x HTTP/1.1\r\nRange: bytes=5-\r\n\r\n"));
}

TEST(HttpRequest, RefusesWhatItDoesNotUnderstand) {
  for (const auto* head :
       {"", "GET", "GET /download HTTP/1.1\r\n\r\n", "GET /download? HTTP/1.1\r\n\r\n",
        "GET /download?id= HTTP/1.1\r\n\r\n", "GET /download?id=../x HTTP/1.1\r\n\r\n",
        "GET /download?id=.x HTTP/1.1\r\n\r\n", "GET /other?id=x HTTP/1.1\r\n\r\n", "GET /upload?id=x HTTP/1.1\r\n\r\n",
        "PUT /download?id=x HTTP/1.1\r\n\r\n", "PUT /upload?id=x HTTP/1.1\r\n\r\n",
        "GET /download?id=x&bytes=1x HTTP/1.1\r\n\r\n", "GET /download?id=x&other=1 HTTP/1.1\r\n\r\n",
        "GET /download?id=x HTTP/1.0\r\n\r\n", "GET /download?id=x&bytes=99999999999999999999 HTTP/1.1\r\n\r\n"}) {
    EXPECT_FALSE(parse_request(head)) << head;
  }
}

}  // namespace
}  // namespace lab
