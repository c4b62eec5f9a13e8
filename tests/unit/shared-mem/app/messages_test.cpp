// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "messages.hpp"

namespace understudy::app {
namespace {

TEST(LifecycleMessages, AnOrderArrivesAsItWasSent) {
  for (const auto kind : {OrderKind::StandBy, OrderKind::Activate, OrderKind::Quiesce, OrderKind::Stop}) {
    auto line = encode(Order{kind, Term{~std::uint64_t{0}}, 7});
    ASSERT_EQ(line.back(), '\n');
    line.pop_back();
    const auto order = decode_order(line);
    ASSERT_TRUE(order) << line;
    EXPECT_EQ(order.value().kind, kind);
    EXPECT_EQ(order.value().term, Term{~std::uint64_t{0}});
    EXPECT_EQ(order.value().number, 7U);
  }
}

TEST(LifecycleMessages, AStatusArrivesAsItWasSent) {
  for (const auto duty : {Duty::StandingBy, Duty::Active, Duty::Quiescing, Duty::Stopping}) {
    auto line = encode(StatusLine{duty, Term{3}, true, true, false, 9, true, "a \"quoted\" reason"});
    line.pop_back();
    const auto status = decode_status(line);
    ASSERT_TRUE(status) << line;
    EXPECT_EQ(status.value().duty, duty);
    EXPECT_EQ(status.value().term, Term{3});
    EXPECT_TRUE(status.value().ready);
    EXPECT_TRUE(status.value().needs_quiescing);
    EXPECT_FALSE(status.value().quiesced);
    EXPECT_EQ(status.value().order, 9U);
    EXPECT_TRUE(status.value().refused);
    EXPECT_EQ(status.value().reason, "a \"quoted\" reason");
  }
}

TEST(LifecycleMessages, AnApplicationsWordAboutItsBladeArrivesAndOlderLibrariesSayNone) {
  StatusLine said;
  said.unfit = "the card is at\n96 degrees";
  auto line = encode(said);
  line.pop_back();
  EXPECT_EQ(decode_status(line).value().unfit, "the card is at?96 degrees");
  const auto at = line.find(R"(,"unfit")");
  ASSERT_NE(at, std::string::npos) << line;
  const auto older = decode_status(line.substr(0, at) + "}");
  ASSERT_TRUE(older) << line.substr(0, at);
  EXPECT_EQ(older.value().unfit, "");
}

/// It goes on to a person's terminal.
TEST(LifecycleMessages, WhatAnApplicationSaysItselfArrivesAsPlainTextWhateverItsBytes) {
  const std::string line = R"({"duty":"active","term":1,"ready":true,"quiesced":false,"order":1,"refused":true,)"
                           R"("reason":"\u001b[2Jgone\nno\u009b8m","unfit":"\u001b[2J"})";
  const auto status = decode_status(line);
  ASSERT_TRUE(status) << line;
  EXPECT_EQ(status->reason, "?[2Jgone?no??8m");
  EXPECT_EQ(status->unfit, "?[2J");
  const auto longer = line.substr(0, line.find("gone")) + std::string(900, 'x') + R"("})";
  ASSERT_TRUE(decode_status(longer)) << longer;
  EXPECT_EQ(decode_status(longer)->reason.size(), 512U) << "as many as a library of ours sends";
}

TEST(LifecycleMessages, AReasonOfAnyLengthAndAnyBytesFitsIntoALine) {
  const auto line = encode(StatusLine{Duty::Active, Term{1}, true, false, false, 0, false, std::string(100'000, '\n')});
  EXPECT_LE(line.size(), max_line_bytes);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_TRUE(decode_status(line.substr(0, line.size() - 1)));
}

TEST(LifecycleMessages, LinesThatCannotBeAreRefused) {
  for (const auto* line :
       {"", "{", "[]", "7", "\"x\"", "{}", R"({"order":"activate"})", R"({"order":"dance","term":1,"number":1})",
        R"({"order":"activate","term":-1,"number":1})", R"({"order":"activate","term":1.5,"number":1})",
        R"({"order":1,"term":1,"number":1})", R"({"order":"activate","term":18446744073709551616,"number":1})",
        "[[[[[[[[[[[[", "\xff\xfe"}) {
    EXPECT_FALSE(decode_order(line)) << line;
    EXPECT_FALSE(decode_status(line)) << line;
  }
  EXPECT_FALSE(decode_order(std::string(max_line_bytes + 1, ' ')));
}

TEST(LifecycleMessages, BytesAreCutIntoLinesWhereverTheyWereSplit) {
  LineBuffer buffer;
  ASSERT_TRUE(buffer.append("fir"));
  EXPECT_FALSE(buffer.next());
  ASSERT_TRUE(buffer.append("st\nsecond\nth"));
  EXPECT_EQ(buffer.next(), "first");
  EXPECT_EQ(buffer.next(), "second");
  EXPECT_FALSE(buffer.next());
}

TEST(LifecycleMessages, ALineWithoutEndIsNotCollectedForEver) {
  LineBuffer buffer;
  EXPECT_TRUE(buffer.append(std::string(max_line_bytes, 'x')));
  EXPECT_FALSE(buffer.append("x"));
}

}  // namespace
}  // namespace understudy::app
