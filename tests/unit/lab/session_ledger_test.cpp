// SPDX-License-Identifier: Apache-2.0
#include "session_ledger.hpp"

#include <gtest/gtest.h>

namespace lab {
namespace {

TEST(SessionReply, ReadsResults) {
  const auto got = read_reply("5eed 12 OK 83a1f0c2d4e5b697\n");
  EXPECT_TRUE(got.is_valid && got.is_ok);
  EXPECT_EQ(got.client, "5eed");
  EXPECT_EQ(got.number, 12U);
  EXPECT_EQ(got.words, std::vector<std::string>{"83a1f0c2d4e5b697"});
}

TEST(SessionReply, ReadsErrors) {
  const auto got = read_reply("5eed 12 ERR no-session there is none\r\n");
  EXPECT_TRUE(got.is_valid);
  EXPECT_FALSE(got.is_ok);
  EXPECT_EQ(got.words.at(0), "no-session");
}

TEST(SessionReply, OkWithoutResultsIsAReply) { EXPECT_TRUE(read_reply("5eed 12 OK").is_valid); }

TEST(SessionReply, RefusesOtherLines) {
  for (const auto* line :
       {"", " ", "5eed", "5eed 1", "5eed x OK", "5eed 1x OK", "5eed 1 NO", "5eed 1 ERR", "5eed -1 OK"})
    EXPECT_FALSE(read_reply(line).is_valid) << line;
}

TEST(SessionLedger, KeepsWhatWasAcknowledged) {
  SessionLedger sut;
  sut.made("s", {5});
  sut.counted("s", 1, {});
  sut.counted("s", 2, {});
  sut.stored("s", "00ff", {});
  sut.found("s", 2, "00ff");
  EXPECT_EQ(sut.kept(), 1U);
  EXPECT_EQ(sut.went_back() + sut.lost() + sut.counted_twice(), 0U);
}

TEST(SessionLedger, ACounterBelowWhatWasAcknowledgedWentBack) {
  SessionLedger sut;
  sut.counted("s", 1, {});
  sut.counted("s", 2, {});
  sut.counted("s", 2, {});
  EXPECT_EQ(sut.went_back(), 1U);
  sut.found("s", 1, "-");
  EXPECT_EQ(sut.went_back(), 2U);
  EXPECT_EQ(sut.kept(), 0U);
}

TEST(SessionLedger, ACounterAheadWasCountedTwice) {
  SessionLedger sut;
  sut.counted("s", 2, {});
  EXPECT_EQ(sut.counted_twice(), 1U);
  EXPECT_EQ(sut.went_back(), 0U);
}

TEST(SessionLedger, OtherBytesWentBack) {
  SessionLedger sut;
  sut.made("s", {1});
  sut.stored("s", "00", {});
  sut.found("s", 0, "-");
  EXPECT_EQ(sut.went_back(), 1U);
}

TEST(SessionLedger, AMissingSessionIsLostOnce) {
  SessionLedger sut;
  sut.made("s", {1});
  sut.missing("s");
  sut.missing("s");
  EXPECT_EQ(sut.lost(), 1U);
}

TEST(SessionReply, ExposedIsDoneButNotMirrored) {
  const auto got = read_reply("5eed 12 EXPOSED 7");
  EXPECT_TRUE(got.is_valid && got.is_ok);
  EXPECT_FALSE(got.is_mirrored);
  EXPECT_TRUE(read_reply("5eed 12 OK 7").is_mirrored);
}

TEST(SessionLedger, WhatNoMirrorHeldMayBeUndoneAndIsToldApart) {
  SessionLedger sut;
  sut.made("s", {1});
  sut.counted("s", 1, {2});
  sut.counted("s", 2, {3, false});
  sut.counted("s", 2, {9});
  EXPECT_EQ(sut.went_back(), 0U);
  EXPECT_EQ(sut.undone(), (std::map<std::string, std::int64_t>{{"s", 3}}));
  sut.counted("s", 2, {10});
  EXPECT_EQ(sut.went_back(), 1U) << "the mirror held that one";
}

TEST(SessionLedger, AMirroredReplyCoversWhatWasToldBeforeIt) {
  SessionLedger sut;
  sut.made("s", {1, false});
  sut.stored("s", "00", {2, false});
  sut.counted("s", 1, {3});
  sut.missing("s");
  EXPECT_EQ(sut.lost(), 1U);
  sut.found("s", 1, "-");
  EXPECT_EQ(sut.went_back(), 1U);
}

TEST(SessionLedger, AMissingSessionThatNoMirrorHeldIsUndone) {
  SessionLedger sut;
  sut.made("s", {4, false});
  sut.missing("s");
  EXPECT_EQ(sut.lost(), 0U);
  EXPECT_EQ(sut.undone(), (std::map<std::string, std::int64_t>{{"s", 4}}));
}

}  // namespace
}  // namespace lab
