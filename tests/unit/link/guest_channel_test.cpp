// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/guest_channel.hpp"

#include <gtest/gtest.h>

#include "support/sample_mirror.hpp"

namespace understudy::link::guest {
namespace {

std::string without_newline(std::string line) {
  EXPECT_EQ(line.find('\n'), line.size() - 1) << "one message is one line";
  line.pop_back();
  return line;
}

TEST(GuestChannel, EveryOrderSurvivesItsLine) {
  const std::vector<GuestOrder> orders{EchoOrder{},
                                       Certify{},
                                       Certify{tls::Credentials{"a\nca", "a\ncertificate", "a\nkey"}},
                                       Configure{test::sample_mirror(), "bfd \"key\""},
                                       Activate{Term{9}, 1500},
                                       Announce{},
                                       Quiesce{},
                                       Quiesce{~0ULL},
                                       Resume{},
                                       Shutdown{}};
  for (const auto& order : orders) {
    const auto read = parse_order(without_newline(to_line(order)));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read.value(), order);
  }
}

TEST(GuestChannel, EveryEventSurvivesItsLine) {
  const std::vector<GuestEvent> events{
      Hello{"nonce", "first", "0.1", "4f1c", Activity::Serving, Term{~0ULL}, "ivshmem BAR /sys/x/resource2", 1.5, 1.25},
      Echoed{~0ULL, 7, "no memory"},
      State{GuestPhase::Syncing, "half \"way\"\n", {}},
      State{GuestPhase::Connected, "", Term{7}},
      PeerSeen{Vote::Down},
      Ready{Term{9}, {{"drain", 1.5}, {"install", 0.25}}},
      ActivateFailed{"no"},
      Announced{},
      Quiesced{{{"net", Sequence{~0ULL}}, {"sessions", Sequence{3}}}, 2.5, {"ext", "int"}},
      Alarm{"slow"},
      Alarm{"the application ended", "application"}};
  for (const auto& event : events) {
    const auto read = parse_event(without_newline(to_line(event)));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read.value(), event);
  }
}

TEST(GuestChannel, AnAlarmOfAnOlderGuestAgentHasNoTopic) {
  const auto read = parse_event(R"({"event":"alarm","text":"slow"})");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read.value(), GuestEvent{Alarm{"slow"}});
}

/// It is logged, and told to operators.
TEST(GuestChannel, WhatAGuestSaysIsPlainText) {
  const std::string foreign = R"("\u001b[2Jgone\nnew\u009b")";
  const std::string plain = "?[2Jgone\nnew??";
  const auto read = [&](const std::string& members) { return parse_event("{" + members + "}"); };
  EXPECT_EQ(read(R"("event":"alarm","text":)" + foreign + R"(,"topic":)" + foreign).value(),
            GuestEvent(Alarm{plain, plain}));
  EXPECT_EQ(read(R"("event":"activate-failed","detail":)" + foreign).value(), GuestEvent(ActivateFailed{plain}));
  EXPECT_EQ(read(R"("event":"quiesce-failed","detail":)" + foreign).value(), GuestEvent(QuiesceFailed{plain}));
  EXPECT_EQ(read(R"("event":"state","phase":"failed","detail":)" + foreign).value(),
            GuestEvent(State{GuestPhase::Failed, plain, Term{}}));
  const auto echoed = read(R"("event":"echoed","heard":1,"said":2,"problem":)" + foreign);
  EXPECT_EQ(std::get<Echoed>(echoed.value()).problem, plain);
  for (const std::string members : {R"("event":)", R"("event":"vote","vote":)"}) {
    const auto refused = read(members + foreign);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find(plain), std::string::npos) << refused.error().message;
  }
}

TEST(GuestChannel, HostileLinesAreRefusedWithAReason) {
  const std::string deep(100000, '[');
  for (const std::string& line :
       {std::string("no json"), std::string("[1]"), std::string("{}"), std::string(R"({"event":"boom"})"),
        std::string(R"({"event":"hello"})"), std::string(R"({"event":"echoed","heard":-1,"said":0,"problem":""})"),
        std::string(R"({"event":"echoed","heard":"1","said":0,"problem":""})"),
        std::string(R"({"event":"ready","term":-1,"phases":{}})"),
        std::string(R"({"event":"ready","term":1e300,"phases":{}})"), std::string(R"({"event":"vote","vote":"maybe"})"),
        std::string(R"({"event":"quiesced","sequences":{"net":-4},"ms":1})"),
        std::string(
            R"({"event":"quiesced","sequences":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1},"ms":1})"),
        std::string("{\"event\":\"al\0rm\"}", 17), deep}) {
    const auto read = parse_event(line);
    ASSERT_FALSE(read) << line.substr(0, 80);
    EXPECT_FALSE(read.error().message.empty());
  }
}

std::vector<std::string> lines_of(LineReader& reader, std::string_view bytes) {
  std::vector<std::string> lines;
  reader.feed(bytes, [&](std::string_view line) { lines.emplace_back(line); });
  return lines;
}

TEST(LineReaderTest, LinesAreTheSameHoweverTheBytesArrive) {
  const std::string bytes = "one\n\ntwo\nthree\nrest";
  const std::vector<std::string> expected{"one", "two", "three"};
  for (std::size_t size = 1; size <= bytes.size(); ++size) {
    LineReader sut;
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      for (auto& line : lines_of(sut, std::string_view(bytes).substr(at, size))) { lines.push_back(line); }
    }
    EXPECT_EQ(lines, expected) << size;
  }
}

TEST(LineReaderTest, AnOverlongLineIsSkippedAndTheNextOneRead) {
  LineReader sut(8);
  EXPECT_EQ(lines_of(sut, "12345678\n"), (std::vector<std::string>{"12345678"}));
  EXPECT_TRUE(lines_of(sut, "123456789").empty());
  EXPECT_TRUE(lines_of(sut, std::string(1000, 'x')).empty());
  EXPECT_EQ(lines_of(sut, "x\ngood\n"), (std::vector<std::string>{"good"}));
  EXPECT_EQ(sut.skipped_count(), 1U);
}

TEST(LineReaderTest, ResetForgetsAnUnfinishedLine) {
  LineReader sut;
  EXPECT_TRUE(lines_of(sut, "half of").empty());
  sut.reset();
  EXPECT_EQ(lines_of(sut, "whole\n"), (std::vector<std::string>{"whole"}));
}

}  // namespace
}  // namespace understudy::link::guest
