// SPDX-License-Identifier: Apache-2.0
/// Authentication, restarts and privileges of real services on the loopback.
/// Covers: link/src/bfd_service.cpp
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "bfd_node.hpp"
#include "bfd_sequence_file.hpp"
#include "support/eventually.hpp"
#include "support/without_capabilities.hpp"

namespace understudy::link::bfd {
namespace {

using test::eventually;

PeerOptions with(BfdAuthentication type, const std::string& key, std::uint8_t key_id = 1) {
  PeerOptions options;
  options.authentication = {type, key_id, key};
  return options;
}
const PeerOptions meticulous = with(BfdAuthentication::MeticulousSha1, "group-key");

std::uint64_t replayed(const Node& node, const char* peer) {
  return node.service->status(address(peer))
      ->counters.discarded[static_cast<std::size_t>(Discard::AuthenticationReplayed)];
}

TEST(BfdServiceAuthentication, TwoWithTheSameKeyComeUpAndTheStatusTellsHow) {
  Node a("127.23.1.1"), b("127.23.1.2");
  ASSERT_TRUE(a.service->add_peer(address("127.23.1.2"), meticulous).ok());
  ASSERT_TRUE(b.service->add_peer(address("127.23.1.1"), meticulous).ok());
  EXPECT_TRUE(a.wait_for(SessionState::Up));
  EXPECT_TRUE(b.wait_for(SessionState::Up));
  EXPECT_EQ(a.service->status(address("127.23.1.2"))->authentication, "meticulous-sha1 key 1");
  EXPECT_TRUE(a.refusals.empty());
}

TEST(BfdServiceAuthentication, AnotherKeyIsToldOnceWithoutTheKeyAndNobodyComesUp) {
  Node a("127.23.1.3"), b("127.23.1.4");
  ASSERT_TRUE(a.service->add_peer(address("127.23.1.4"), meticulous).ok());
  ASSERT_TRUE(b.service->add_peer(address("127.23.1.3"), with(BfdAuthentication::MeticulousSha1, "other-key")).ok());
  const auto refused = [&] {
    return a.service->status(address("127.23.1.4"))
        ->counters.discarded[static_cast<std::size_t>(Discard::AuthenticationFailed)];
  };
  ASSERT_TRUE(eventually([&] { return refused() >= 2; }));
  const std::lock_guard lock(a.mutex);
  EXPECT_EQ(a.refusals, std::vector{Discard::AuthenticationFailed});
  EXPECT_TRUE(a.events.empty());
  const auto text = a.service->describe_refusal(address("127.23.1.4"), Discard::AuthenticationFailed);
  EXPECT_EQ(text,
            "BFD packets of 127.23.1.4 are refused: authentication with another key; this side uses meticulous-sha1 "
            "key 1. Compare [bfd] and the key files of both ends");
}

TEST(BfdServiceAuthentication, AKeyThatIsNoneIsRefusedBeforeAnythingIsSent) {
  Node a("127.23.1.5");
  const auto peer = address("127.23.1.6");
  EXPECT_EQ(a.service->add_peer(peer, with(BfdAuthentication::MeticulousSha1, "")).error().code, Errc::BadInput);
  EXPECT_EQ(a.service->add_peer(peer, with(BfdAuthentication::Simple, std::string(17, 'k'))).error().code,
            Errc::BadInput);
  EXPECT_FALSE(a.service->status(peer).has_value());
}

/// The peer of a daemon that comes back takes its first packet; numbers that jumped ahead (the control) it does not.
TEST(BfdServiceAuthentication, ARestartedDaemonsNumbersGoOnWhereItsPeerExpectsThem) {
  BfdService::Options options;
  options.sequence_file = testing::TempDir() + "bfd_service_" + std::to_string(getpid()) + ".bfd";
  const auto a_address = address("127.23.1.7");
  for (const std::uint32_t jump : {0u, 1000u}) {
    Node a("127.23.1.7");
    ASSERT_TRUE(a.service->add_peer(address("127.23.1.8"), meticulous).ok());
    auto b = std::make_unique<Node>("127.23.1.8", options);
    ASSERT_TRUE(b->service->add_peer(a_address, meticulous).ok());
    ASSERT_TRUE(a.wait_for(SessionState::Up) && b->wait_for(SessionState::Up));
    b.reset();
    ASSERT_TRUE(a.wait_for(SessionState::Down));
    *SequenceFile::open(options.sequence_file, this_boot(), 0)->slot_of(a_address) += jump;
    Node again("127.23.1.8", options);
    ASSERT_TRUE(again.service->add_peer(a_address, meticulous).ok());
    EXPECT_TRUE(a.wait_for(SessionState::Up)) << "the jump is taken after twice the detection time";
    EXPECT_EQ(replayed(a, "127.23.1.8") > 0, jump > 0);
  }
  std::filesystem::remove(options.sequence_file);
}

/// In a process that may neither run in real time nor lock memory.
TEST(BfdServiceAuthentication, WithoutPrivilegesItRunsAllTheSame) {
  const auto said = test::said_without_capabilities([]() -> std::string {
    const rlimit nothing{0, 0};
    setrlimit(RLIMIT_MEMLOCK, &nothing);
    setrlimit(RLIMIT_RTPRIO, &nothing);
    Node a("127.23.1.9"), b("127.23.1.10");
    if (!a.service->add_peer(address("127.23.1.10"), meticulous)) { return "not added"; }
    if (!b.service->add_peer(address("127.23.1.9"), meticulous)) { return "not added"; }
    return a.wait_for(SessionState::Up) && b.wait_for(SessionState::Up) ? "up" : "not up";
  });
  EXPECT_EQ(said, "up");
}

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The thread of that name of this process; 0: none yet.
int task_named(const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    if (first_line(entry.path() / "comm") == name) { return std::stoi(entry.path().filename()); }
  }
  return 0;
}

long locked_kib() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmLck:")) { return std::stol(line.substr(6)); }
  }
  return 0;
}

/// What this very process may do, the service's thread does.
TEST(BfdServiceAuthentication, TheThreadRunsInRealTimeAndWithLockedMemoryWherePermitted) {
  const sched_param real_time{50}, ordinary{0};
  const bool may_run_in_real_time = sched_setscheduler(0, SCHED_FIFO, &real_time) == 0;
  ASSERT_EQ(sched_setscheduler(0, SCHED_OTHER, &ordinary), 0);
  const bool may_lock = mlockall(MCL_CURRENT | MCL_ONFAULT) == 0 && locked_kib() > 0;  // no-ops under a sanitizer
  ASSERT_EQ(munlockall(), 0);

  Node a("127.23.1.11");
  ASSERT_TRUE(eventually([] { return task_named("bfd") != 0; }));
  const int policy = may_run_in_real_time ? SCHED_FIFO : SCHED_OTHER;
  EXPECT_TRUE(eventually([&] { return sched_getscheduler(task_named("bfd")) == policy; })) << policy;
  EXPECT_TRUE(eventually([&] { return (locked_kib() > 0) == may_lock; })) << may_lock;
}

}  // namespace
}  // namespace understudy::link::bfd
