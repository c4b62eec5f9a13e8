// SPDX-License-Identifier: Apache-2.0
// The event log on the state store's own disk, while that disk takes nothing.
#include "edge/event_log.hpp"

#include <gtest/gtest.h>

#include "edge/state_store.hpp"
#include "support/run_until.hpp"

namespace understudy::control {
namespace {

/// A store whose disk is full as long as it is told to be.
class FullDisk final : public StateStore {
 public:
  [[nodiscard]] const std::string& state_id() const override { return id_; }
  Result<std::vector<Ownership>> ownerships() override { return std::vector<Ownership>{}; }
  Status compare_and_set(Term, Term, const Ownership&) override { return {}; }
  Status keep(const std::string&, const std::string&) override { return {}; }
  Result<std::map<std::string, std::string>> kept(const std::string&) override {
    return std::map<std::string, std::string>{};
  }
  Result<std::set<RoleId>> protected_roles() override { return std::set<RoleId>{}; }
  Status set_protected(const RoleId&, bool) override { return {}; }
  Result<std::uint64_t> last_event_id() override { return std::uint64_t{40}; }
  Status append(const std::vector<link::EventRecord>& events) override {
    ++tries;
    if (full) { return failure("database or disk is full"); }
    written.insert(written.end(), events.begin(), events.end());
    return {};
  }
  Result<std::vector<link::EventRecord>> events_after(std::uint64_t, std::size_t) override { return written; }

  bool full = true;
  int tries = 0;
  std::vector<link::EventRecord> written;

 private:
  std::string id_ = "s";
};

class EventLogTest : public testing::Test, protected test::Loop {
 protected:
  void SetUp() override { ASSERT_TRUE(sut_.use(disk_).ok()); }
  void add(const std::string& text) {
    link::EventRecord event;
    event.text = text;
    sut_.add(event);
  }
  [[nodiscard]] std::vector<std::string> written() const {
    std::vector<std::string> texts;
    for (const auto& event : disk_.written) { texts.push_back(std::to_string(event.id) + " " + event.text); }
    return texts;
  }
  FullDisk disk_;
  int told_ = 0;
  EventLog sut_{io_, [this] { ++told_; }};
};

using Texts = std::vector<std::string>;

TEST_F(EventLogTest, WhatAFullDiskRefusesIsWrittenWhenItHasRoom) {
  add("power off blade-2, by alice");
  ASSERT_TRUE(run_until([&] { return disk_.tries > 0; }));
  EXPECT_TRUE(sut_.failing());
  EXPECT_EQ(told_, 0);
  add("taken over");
  ASSERT_TRUE(run_until([&] { return disk_.tries > 2; })) << "it tries again by itself";
  disk_.full = false;
  ASSERT_TRUE(run_until([&] { return !disk_.written.empty(); }));
  EXPECT_EQ(written(), (Texts{"41 power off blade-2, by alice", "42 taken over"}));
  EXPECT_FALSE(sut_.failing());
  EXPECT_EQ(told_, 1);
  add("protected");
  sut_.flush();
  EXPECT_EQ(written().back(), "43 protected") << "numbers go on";
}

TEST_F(EventLogTest, OfMoreThanCanBeKeptTheNewestAre) {
  for (int number = 0; number < 5000; ++number) { add(std::to_string(number)); }
  sut_.flush();
  disk_.full = false;
  add("last");
  sut_.flush();
  ASSERT_EQ(disk_.written.size(), 2000U);
  EXPECT_EQ(written().back(), "2040 last");
}

}  // namespace
}  // namespace understudy::control
