// SPDX-License-Identifier: Apache-2.0
/// The map and its requests, in one process. Covers: examples/arena-map/map.cpp, examples/arena-map/map_service.cpp
#include "map.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "map_service.hpp"

namespace arena_map {
namespace {

namespace us = understudy;

class ArenaMapTest : public testing::Test {
 protected:
  void SetUp() override {
    const us::shm::RegionSchema schema{{store_schema(256 << 10)}};
    const auto size = us::shm::Region::size_needed(schema);
    ASSERT_TRUE(size) << size.error().message;
    ASSERT_TRUE(us::shm::Region::create(path_, size.value(), schema));
    attach();
  }
  void TearDown() override {
    sut_.reset();
    ::unlink(path_.c_str());
  }
  /// As a process that begins: after a crash, on another place.
  void attach() {
    sut_.reset();
    auto store = us::shm::Region::open(path_, us::shm::Access::ReadWrite).value().store("map").value();
    auto map = Map::attach(store.become_writer(us::Term{++term_}).value());
    ASSERT_TRUE(map) << map.error().message;
    sut_ = std::move(map).value();
  }
  std::string ask(const std::string& line) { return answer(*sut_, line); }

  std::string path_ = "/dev/shm/understudy-arena-map-test-" + std::to_string(::getpid());
  std::uint64_t term_ = 0;
  std::unique_ptr<Map> sut_;
};

TEST_F(ArenaMapTest, WhatIsCheckpointedSurvivesAndNothingElse) {
  EXPECT_EQ(ask("PUT a one"), "OK");
  EXPECT_EQ(ask("PUT b two words"), "OK");
  ASSERT_TRUE(sut_->checkpoint());
  EXPECT_EQ(ask("PUT a three"), "OK");
  EXPECT_EQ(ask("DEL b"), "OK");
  EXPECT_EQ(ask("GET a"), "VALUE three");
  attach();
  EXPECT_EQ(ask("GET a"), "VALUE one");
  EXPECT_EQ(ask("GET b"), "VALUE two words");
  EXPECT_EQ(ask("COUNT"), "COUNT 2 2");
}

TEST_F(ArenaMapTest, ADetachedMapIsFoundAsItWasLeft) {
  EXPECT_EQ(ask("FILL 500 x"), "OK");
  ASSERT_TRUE(sut_->detach());
  attach();
  EXPECT_EQ(ask("COUNT"), "COUNT 500 500");
  EXPECT_EQ(ask("SAME"), "SAME x");
  EXPECT_EQ(ask("PUT k7 y"), "OK");
  EXPECT_EQ(ask("SAME"), "DIFFERENT");
}

TEST_F(ArenaMapTest, AFullArenaRefusesAndKeepsWhatItHas) {
  EXPECT_EQ(ask("FILL 100 x"), "OK");
  ASSERT_TRUE(sut_->checkpoint());
  EXPECT_EQ(ask("FILL 100000 y"), "ERR the arena is full");
  attach();
  EXPECT_EQ(ask("SAME"), "SAME x");
  EXPECT_EQ(ask("COUNT"), "COUNT 100 100");
}

TEST_F(ArenaMapTest, RequestsThatCannotBeAreAnsweredAndChangeNothing) {
  for (const std::string line : {"", "PUT", "PUT  x", "HELLO", "FILL", "FILL x y", "FILL -1 y", "FILL 10000000 y"}) {
    EXPECT_EQ(ask(line).substr(0, 4), "ERR ") << line;
  }
  EXPECT_EQ(ask("PUT k " + std::string(max_text_bytes + 1, 'v')).substr(0, 4), "ERR ");
  EXPECT_EQ(ask("PUT " + std::string(max_text_bytes, 'k') + " " + std::string(max_text_bytes, 'v')), "OK");
  EXPECT_EQ(ask("GET " + std::string(max_text_bytes, 'k')), "VALUE " + std::string(max_text_bytes, 'v'));
  EXPECT_EQ(ask("GET " + std::string(max_text_bytes + 1, 'k')), "NONE");
  EXPECT_EQ(ask("DEL " + std::string(max_text_bytes + 1, 'k')), "NONE");
  EXPECT_EQ(ask("DEL nobody"), "NONE");
  EXPECT_EQ(ask("SAME"), "SAME " + std::string(max_text_bytes, 'v'));
  EXPECT_EQ(ask("COUNT"), "COUNT 1 1");
}

}  // namespace
}  // namespace arena_map
