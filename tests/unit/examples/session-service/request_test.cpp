// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "request.hpp"

namespace session_service {
namespace {

TEST(SessionRequest, EveryCommandIsRead) {
  const auto login = parse("5EED 1 LOGIN alice\n").request;
  ASSERT_TRUE(login);
  EXPECT_EQ(login->client, 0x5eedU);
  EXPECT_EQ(login->number, 1U);
  EXPECT_EQ(login->command, Command::Login);
  EXPECT_EQ(login->user, "alice");
  const auto store = parse("5eed 2 STORE 00000000000000ff 00fF\r\n").request;
  ASSERT_TRUE(store);
  EXPECT_EQ(store->session, 0xffU);
  EXPECT_EQ(store->blob, (std::vector<std::byte>{std::byte{0}, std::byte{255}}));
  const auto empty = parse("5eed 2 STORE 00000000000000ff -").request;
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->blob.empty());
  EXPECT_EQ(parse("1 2 COUNT 0123456789abcdef").request->command, Command::Count);
  EXPECT_EQ(parse("1 2 READ 0123456789abcdef").request->command, Command::Read);
  EXPECT_EQ(parse("1 2 FETCH 0123456789abcdef").request->command, Command::Fetch);
  EXPECT_EQ(parse("1 2 LOGOUT 0123456789abcdef").request->command, Command::Logout);
  EXPECT_EQ(parse("1 9223372036854775807 STATUS").request->command, Command::Status);
}

TEST(SessionRequest, ALineThatIsNoneOfThemIsABadRequest) {
  for (const auto* line : {"",
                           "\n",
                           "x",
                           "1 2",
                           "1  STATUS",
                           "-1 1 STATUS",
                           "1 0 STATUS",
                           "1 -1 STATUS",
                           "1 9223372036854775808 STATUS",
                           "11111111111111111 1 STATUS",
                           "1 1x STATUS",
                           "1 1 DANCE",
                           "1 1 status",
                           "1 1 STATUS now",
                           "1 1 LOGIN",
                           "1 1 LOGIN ",
                           "1 1 LOGIN a b",
                           "1 1 LOGIN \xc3\xa4",
                           "1 1 LOGIN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                           "1 1 COUNT 12",
                           "1 1 COUNT 0123456789abcdeg",
                           "1 1 STORE 0123456789abcdef",
                           "1 1 STORE 0123456789abcdef ",
                           "1 1 STORE 0123456789abcdef 0",
                           "1 1 STORE 0123456789abcdef 0g",
                           "1 1 STORE 0123456789abcdef 00 00"}) {
    const auto parsed = parse(line);
    EXPECT_FALSE(parsed.request) << line;
    EXPECT_NE(parsed.refusal.find(" ERR bad-request "), std::string::npos) << line << ": " << parsed.refusal;
    EXPECT_EQ(parsed.refusal.find('\n'), std::string::npos);
  }
  EXPECT_EQ(parse("1 1 DANCE").refusal.substr(0, 8), "1 1 ERR ");
  EXPECT_EQ(parse(std::string(max_line_bytes + 1, 'x')).refusal.substr(0, 8), "- 0 ERR ");
}

TEST(SessionRequest, AReplyIsNeverAnsweredSoThatTwoServicesDoNotTalkForEver) {
  for (const auto* line :
       {"1 1 OK 7", "1 1 OK", "1 1 EXPOSED 7", "- 0 ERR bad-request write ...", "1 1 ERR full no room"}) {
    const auto parsed = parse(line);
    EXPECT_FALSE(parsed.request);
    EXPECT_TRUE(parsed.refusal.empty()) << parsed.refusal;
  }
}

TEST(SessionRequest, RepliesAreWrittenAsTheProtocolSays) {
  Request request;
  request.client = 0x5eed;
  request.number = 3;
  EXPECT_EQ(ok(request, "1 2"), "5eed 3 OK 1 2");
  EXPECT_EQ(ok(request, ""), "5eed 3 OK");
  EXPECT_EQ(exposed(ok(request, "1 OK")), "5eed 3 EXPOSED 1 OK");
  EXPECT_EQ(exposed(error(request, "full", "no room")), error(request, "full", "no room"));
  EXPECT_EQ(error(request, "full", "no room"), "5eed 3 ERR full no room");
  EXPECT_EQ(session_text(0xff), "00000000000000ff");
  EXPECT_EQ(hex(std::vector<std::byte>{}), "-");
  EXPECT_EQ(hex({std::byte{0x0a}, std::byte{0xf0}}), "0af0");
}

}  // namespace
}  // namespace session_service
