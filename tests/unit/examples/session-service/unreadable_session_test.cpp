// SPDX-License-Identifier: Apache-2.0
/// A session whose record never holds still, as a guest may make it, is there all the same.
/// Covers: examples/session-service/sessions.cpp
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "sessions.hpp"
#include "unit/shared-mem/raw_region.hpp"
#include "words.hpp"

namespace session_service {
namespace {

namespace shm = understudy::shm;

class AnUnreadableSession : public testing::Test {
 protected:
  AnUnreadableSession() {
    char name[] = "/tmp/understudy-unreadable-XXXXXX";
    directory_ = ::mkdtemp(name);
    const shm::RegionSchema schema{{store_schema("sessions", {3, 20})}};
    const auto size = shm::Region::size_needed(schema).value();
    const auto region = shm::Region::create(directory_ + "/region", size, schema).value();
    sessions_.emplace(Sessions::attach(region.store("sessions").value(), understudy::Term{1}).value());
    raw_.emplace(directory_ + "/region", size);
  }
  ~AnUnreadableSession() override { std::filesystem::remove_all(directory_); }

  std::string ask(const std::string& line) { return sessions_->perform(*parse(line).request).reply; }
  /// The slot's head word.
  std::uint64_t* head_of(std::uint64_t session) {
    const auto& table = raw_->header().stores[0].tables[0];
    const auto words = shm::layout::slot_words(table.key_bytes, table.value_bytes);
    for (std::uint64_t slot = 0; slot < table.slot_count; ++slot) {
      auto* const head = raw_->word(table.slots_offset) + slot * words;
      if (head[1] == session) { return head; }
    }
    return nullptr;
  }
  /// Meanwhile a change of the record seems to be under way, and something is committed at each look at it.
  std::string ask_while_unreadable(std::uint64_t session, const std::string& line) {
    auto* const head = head_of(session);
    auto* const committed = &raw_->control()->commit.committed;
    const auto head_before = *head;
    const auto committed_before = *committed;
    *head = shm::layout::head_of(std::uint64_t{1} << 40, shm::layout::kind_live, shm::layout::kind_live, *head & 1);
    shm::points::on_load = [&](const std::uint64_t*) { ++*committed; };
    const auto reply = ask(line);
    shm::points::on_load = nullptr;
    *head = head_before;
    *committed = committed_before;
    return reply;
  }

  std::string directory_;
  std::optional<Sessions> sessions_;
  std::optional<shm::RawRegion> raw_;
};

TEST_F(AnUnreadableSession, IsNotLoggedInAnewNorTakenForLoggedOut) {
  const auto logged_in = ask("a 1 LOGIN user");
  const auto id = logged_in.substr(logged_in.rfind(' ') + 1);
  ASSERT_EQ(ask("a 2 COUNT " + id), "a 2 OK 1");
  const auto session = parse("a 3 COUNT " + id).request->session;
  ASSERT_NE(head_of(session), nullptr);
  for (const auto& line : {std::string("a 1 LOGIN user"), "a 3 COUNT " + id, "a 3 LOGOUT " + id}) {
    const auto reply = ask_while_unreadable(session, line);
    EXPECT_NE(reply.find(" failed "), std::string::npos) << line << ": " << reply;
  }
  EXPECT_EQ(ask("a 3 COUNT " + id), "a 3 OK 2");
}

}  // namespace
}  // namespace session_service
