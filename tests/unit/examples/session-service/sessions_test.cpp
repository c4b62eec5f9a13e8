// SPDX-License-Identifier: Apache-2.0
// The sessions in a real region, without sockets.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "sessions.hpp"

namespace session_service {
namespace {

namespace shm = understudy::shm;
using understudy::Term;

class SessionsTest : public testing::Test {
 protected:
  SessionsTest() {
    char name[] = "/tmp/understudy-sessions-XXXXXX";
    directory_ = ::mkdtemp(name);
    const shm::RegionSchema schema{{store_schema("sessions", {3, 20})}};
    const auto size = shm::Region::size_needed(schema);
    EXPECT_TRUE(size && shm::Region::create(path(), size.value(), schema));
    attach(Term{1});
  }
  ~SessionsTest() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path() const { return directory_ + "/region"; }
  void attach(Term term) {
    sessions_.reset();
    const auto region = shm::Region::open(path(), shm::Access::ReadWrite);
    ASSERT_TRUE(region);
    auto sessions = Sessions::attach(region.value().store("sessions").value(), term);
    ASSERT_TRUE(sessions) << sessions.error().message;
    sessions_.emplace(std::move(sessions).value());
  }
  std::string ask(const std::string& line) {
    const auto parsed = parse(line);
    if (!parsed.request) { return parsed.refusal; }
    const auto outcome = sessions_->perform(*parsed.request);
    EXPECT_FALSE(outcome.no_longer_writer);
    return outcome.reply;
  }
  std::string log_in(const std::string& client_and_number) {
    const auto reply = ask(client_and_number + " LOGIN user");
    EXPECT_NE(reply.find(" OK "), std::string::npos) << reply;
    return reply.substr(reply.rfind(' ') + 1);
  }

  std::string directory_;
  std::optional<Sessions> sessions_;
};

TEST_F(SessionsTest, CountsUpAndReadsBack) {
  const auto id = log_in("a 1");
  EXPECT_EQ(ask("a 2 COUNT " + id), "a 2 OK 1");
  EXPECT_EQ(ask("a 3 COUNT " + id), "a 3 OK 2");
  EXPECT_EQ(ask("a 4 READ " + id), "a 4 OK 2 0 user");
  EXPECT_EQ(ask("a 5 STATUS"), "a 5 OK 1 1 3");
}

TEST_F(SessionsTest, ARepeatedChangeIsDoneOnceAndGetsTheSameReply) {
  const auto id = log_in("a 1");
  EXPECT_EQ(log_in("a 1"), id);
  EXPECT_EQ(ask("a 2 COUNT " + id), "a 2 OK 1");
  EXPECT_EQ(ask("a 2 COUNT " + id), "a 2 OK 1");
  EXPECT_EQ(ask("a 3 STORE " + id + " 0102"), "a 3 OK 2");
  EXPECT_EQ(ask("a 3 STORE " + id + " 0102"), "a 3 OK 2");
  EXPECT_EQ(ask("a 2 COUNT " + id).substr(0, 19), "a 2 ERR old-request");
  EXPECT_EQ(ask("a 3 COUNT " + id).substr(0, 19), "a 3 ERR bad-request");
  EXPECT_EQ(ask("a 4 LOGOUT " + id), "a 4 OK");
  EXPECT_EQ(ask("a 4 LOGOUT " + id), "a 4 OK");
}

TEST_F(SessionsTest, ARepeatedChangeIsKnownToTheNextWriterToo) {
  const auto id = log_in("a 1");
  EXPECT_EQ(ask("a 2 COUNT " + id), "a 2 OK 1");
  attach(Term{2});
  EXPECT_EQ(ask("a 2 COUNT " + id), "a 2 OK 1");
  EXPECT_EQ(log_in("a 1"), id);
  EXPECT_EQ(ask("a 3 COUNT " + id), "a 3 OK 2");
  EXPECT_EQ(ask("a 4 STATUS"), "a 4 OK 2 1 3");
}

TEST_F(SessionsTest, BlobsOfEverySizeComeBackAndLeaveNoChunksBehind) {
  const auto id = log_in("a 1");
  int number = 2;
  for (const std::size_t size : {0U, 1U, 255U, 256U, 257U, 4095U, 4096U, 300U, 0U, 4096U}) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) { bytes += hex({static_cast<std::byte>((i * 7 + size) & 255)}); }
    if (bytes.empty()) { bytes = "-"; }
    const auto prefix = "a " + std::to_string(number++);
    EXPECT_EQ(ask(prefix + " STORE " + id + " " + bytes), prefix + " OK " + std::to_string(size));
    EXPECT_EQ(ask(prefix + " FETCH " + id), prefix + " OK " + bytes);
    EXPECT_EQ(sessions_->store().count(1), (size + chunk_bytes - 1) / chunk_bytes);
  }
  EXPECT_EQ(ask("a 99 LOGOUT " + id), "a 99 OK");
  EXPECT_EQ(sessions_->store().count(0), 0U);
  EXPECT_EQ(sessions_->store().count(1), 0U);
}

TEST_F(SessionsTest, ABlobThatIsTooBigChangesNothing) {
  const auto id = log_in("a 1");
  EXPECT_EQ(ask("a 2 STORE " + id + " 0102"), "a 2 OK 2");
  EXPECT_EQ(ask("a 3 STORE " + id + " " + std::string(2 * 4097, '0')).substr(0, 15), "a 3 ERR too-big");
  EXPECT_EQ(ask("a 4 FETCH " + id), "a 4 OK 0102");
}

TEST_F(SessionsTest, AFullTableIsSaidSoAndChangesNothing) {
  const auto first = log_in("a 1");
  const auto second = log_in("b 1");
  log_in("c 1");
  EXPECT_EQ(ask("d 1 LOGIN user").substr(0, 12), "d 1 ERR full");
  EXPECT_EQ(log_in("a 1"), first) << "a repeated login needs no room";
  const std::string whole(2 * 4096, '0');
  EXPECT_EQ(ask("a 2 STORE " + first + " " + whole), "a 2 OK 4096");
  EXPECT_EQ(ask("b 2 STORE " + second + " " + whole).substr(0, 12), "b 2 ERR full") << "16 of 20 chunks are used";
  EXPECT_EQ(ask("b 3 READ " + second), "b 3 OK 0 0 user");
  EXPECT_EQ(ask("a 3 STORE " + first + " " + whole), "a 3 OK 4096") << "in place of what it had";
  EXPECT_EQ(ask("a 4 LOGOUT " + first), "a 4 OK");
  EXPECT_EQ(ask("b 4 STORE " + second + " " + whole), "b 4 OK 4096");
  log_in("d 1");
}

TEST_F(SessionsTest, ASessionIsItsClientsAlone) {
  const auto id = log_in("a 1");
  for (const auto* command : {"COUNT", "READ", "FETCH", "LOGOUT"}) {
    EXPECT_EQ(ask(std::string("b 2 ") + command + " " + id).substr(0, 20), "b 2 ERR other-client");
  }
  EXPECT_EQ(ask("a 2 COUNT 0000000000000001").substr(0, 18), "a 2 ERR no-session");
}

TEST_F(SessionsTest, AReplyWaitsForEverythingThatItTells) {
  const auto id = log_in("a 1");
  const auto count = sessions_->perform(*parse("a 2 COUNT " + id).request);
  EXPECT_EQ(count.tells_up_to, sessions_->store().committed());
  const auto read = sessions_->perform(*parse("a 3 READ " + id).request);
  EXPECT_EQ(read.tells_up_to, count.tells_up_to) << "a read tells the count, so it waits for it";
  const auto again = sessions_->perform(*parse("a 2 COUNT " + id).request);
  EXPECT_EQ(again.tells_up_to, count.tells_up_to) << "so does the reply to a retry";
}

TEST_F(SessionsTest, AStoreWithOtherTablesIsRefused) {
  const shm::RegionSchema other{{{"sessions", {{"sessions", 8, 8, 16}}, 64 * 1024}}};
  const auto region = shm::Region::create(directory_ + "/other", shm::Region::size_needed(other).value(), other);
  ASSERT_TRUE(region);
  const auto sessions = Sessions::attach(region.value().store("sessions").value(), Term{1});
  ASSERT_FALSE(sessions);
  EXPECT_EQ(sessions.error().code, understudy::Errc::BadInput);
}

}  // namespace
}  // namespace session_service
