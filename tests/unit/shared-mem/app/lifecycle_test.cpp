// SPDX-License-Identifier: Apache-2.0
// An application's side, against an agent that is nothing but a socket and lines.
/// Covers: shared-mem/src/app/store_fits.cpp
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>

#include "descriptor.hpp"
#include "messages.hpp"
#include "understudy/app/commit_mirrored.hpp"
#include "understudy/app/lifecycle.hpp"

namespace understudy::app {
namespace {

using namespace std::chrono_literals;

bool readable(int fd, std::chrono::milliseconds deadline) {
  pollfd polled{fd, POLLIN, 0};
  return ::poll(&polled, 1, static_cast<int>(deadline.count())) > 0;
}

class RawAgent {
 public:
  explicit RawAgent(std::string path) : path_(std::move(path)) { listen(); }

  void listen() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    ::unlink(path_.c_str());
    listener_ = Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(::listen(listener_.get(), 4), 0);
  }
  void die() {
    peer_.reset();
    listener_.reset();
    lines_.clear();
  }
  bool accept() {
    if (!readable(listener_.get(), 5s)) { return false; }
    peer_ = Descriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    lines_.clear();
    return static_cast<bool>(peer_);
  }
  void say(const std::string& bytes) {
    ASSERT_EQ(::send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  void say(OrderKind kind, std::uint64_t term, std::uint64_t number) { say(encode(Order{kind, Term{term}, number})); }

  /// The next status, with the application's dispatch run meanwhile.
  std::optional<StatusLine> hear(Lifecycle& lifecycle) {
    const auto give_up = std::chrono::steady_clock::now() + 5s;
    while (std::chrono::steady_clock::now() < give_up) {
      if (const auto line = lines_.next()) {
        const auto status = decode_status(*line);
        if (!status) { return std::nullopt; }
        return status.value();
      }
      if (readable(lifecycle.fd(), 0ms)) { lifecycle.dispatch(); }
      if (!readable(peer_.get(), 5ms)) { continue; }
      char bytes[512];
      const auto size = ::recv(peer_.get(), bytes, sizeof(bytes), 0);
      if (size <= 0) { return std::nullopt; }
      if (!lines_.append({bytes, static_cast<std::size_t>(size)})) { return std::nullopt; }
    }
    return std::nullopt;
  }

 private:
  std::string path_;
  Descriptor listener_;
  Descriptor peer_;
  LineBuffer lines_;
};

class LifecycleClient : public testing::Test {
 protected:
  LifecycleClient() {
    char name[] = "/tmp/understudy-lifecycle-XXXXXX";
    directory_ = ::mkdtemp(name);
    for (const auto* variable : {"UNDERSTUDY_AGENT", "UNDERSTUDY_REGION", "UNDERSTUDY_REGION_BYTES",
                                 "UNDERSTUDY_REGION_OFFSET", "UNDERSTUDY_STORE"}) {
      ::unsetenv(variable);
    }
  }
  ~LifecycleClient() override { std::filesystem::remove_all(directory_); }

  void with_agent() {
    ::setenv("UNDERSTUDY_AGENT", (directory_ + "/agent.sock").c_str(), 1);
    ::setenv("UNDERSTUDY_REGION", (directory_ + "/region").c_str(), 1);
    ::setenv("UNDERSTUDY_REGION_BYTES", "1048576", 1);
    ::setenv("UNDERSTUDY_STORE", "things", 1);
  }
  Lifecycle open() {
    auto opened = Lifecycle::from_environment(embedded_);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(opened).value();
  }
  static void dispatch_until(Lifecycle& lifecycle, const std::function<bool()>& done) {
    const auto give_up = std::chrono::steady_clock::now() + 5s;
    while (!done() && std::chrono::steady_clock::now() < give_up) {
      if (readable(lifecycle.fd(), 10ms)) { lifecycle.dispatch(); }
    }
    ASSERT_TRUE(done());
  }

  std::string directory_;
  Embedded embedded_{"", {"things", {{"numbers", 8, 8, 64}}, 64 * 1024}, 0};
};

TEST_F(LifecycleClient, StandsByUntilItsAgentActivatesIt) {
  with_agent();
  RawAgent agent(directory_ + "/agent.sock");
  auto lifecycle = open();
  Term activated;
  lifecycle.set_callbacks({[&](Term term) {
                             activated = term;
                             lifecycle.active(term);
                           },
                           {},
                           {},
                           {}});
  ASSERT_TRUE(agent.accept());
  auto status = agent.hear(lifecycle);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->duty, Duty::StandingBy);
  EXPECT_FALSE(status->ready);
  lifecycle.ready();
  status = agent.hear(lifecycle);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ready);
  EXPECT_EQ(activated, Term{});

  agent.say(OrderKind::Activate, 5, 1);
  status = agent.hear(lifecycle);
  ASSERT_TRUE(status);
  EXPECT_EQ(activated, Term{5});
  EXPECT_EQ(status->duty, Duty::Active);
  EXPECT_EQ(status->term, Term{5});
  EXPECT_EQ(status->order, 1U);
}

TEST_F(LifecycleClient, RefusesATermBelowTheOneItHad) {
  with_agent();
  RawAgent agent(directory_ + "/agent.sock");
  auto lifecycle = open();
  int activations = 0;
  lifecycle.set_callbacks({[&](Term term) {
                             ++activations;
                             lifecycle.active(term);
                           },
                           {},
                           {},
                           {}});
  ASSERT_TRUE(agent.accept());
  ASSERT_TRUE(agent.hear(lifecycle));
  agent.say(OrderKind::Activate, 5, 1);
  ASSERT_TRUE(agent.hear(lifecycle));
  agent.say(OrderKind::Activate, 4, 2);
  auto status = agent.hear(lifecycle);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->refused);
  EXPECT_EQ(status->term, Term{5});
  EXPECT_EQ(status->reason, "term 4 is below 5");
  EXPECT_EQ(activations, 1);

  agent.say(OrderKind::Activate, 5, 3);  // again: it says that it is, and does nothing
  status = agent.hear(lifecycle);
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->refused);
  EXPECT_EQ(status->order, 3U);
  EXPECT_EQ(activations, 1);
}

TEST_F(LifecycleClient, QuiescesAndIsActivatedAgainUnderTheSameTermWhenAMovementIsRolledBack) {
  with_agent();
  RawAgent agent(directory_ + "/agent.sock");
  auto lifecycle = open();
  bool asked = false;
  lifecycle.set_callbacks({[&](Term term) { lifecycle.active(term); }, [&] { asked = true; }, {}, {}});
  ASSERT_TRUE(agent.accept());
  ASSERT_TRUE(agent.hear(lifecycle));
  agent.say(OrderKind::Quiesce, 0, 1);
  auto status = agent.hear(lifecycle);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->refused) << "who stands by cannot quiesce";
  agent.say(OrderKind::Activate, 2, 2);
  ASSERT_TRUE(agent.hear(lifecycle));
  agent.say(OrderKind::Quiesce, 0, 3);
  dispatch_until(lifecycle, [&] { return asked; });
  EXPECT_EQ(lifecycle.duty(), Duty::Quiescing);
  lifecycle.quiesced();
  status = agent.hear(lifecycle);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->duty, Duty::Quiescing);
  EXPECT_TRUE(status->quiesced);
  agent.say(OrderKind::Activate, 2, 4);
  status = agent.hear(lifecycle);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->duty, Duty::Active);
  EXPECT_FALSE(status->quiesced);
}

TEST_F(LifecycleClient, ServesOnWhileItsAgentIsAwayAndTellsTheNextOneEverything) {
  with_agent();
  RawAgent agent(directory_ + "/agent.sock");
  auto lifecycle = open();
  lifecycle.set_callbacks({[&](Term term) { lifecycle.active(term); }, {}, {}, {}});
  ASSERT_TRUE(agent.accept());
  ASSERT_TRUE(agent.hear(lifecycle));
  agent.say(OrderKind::Activate, 9, 77);
  ASSERT_TRUE(agent.hear(lifecycle));
  agent.die();
  dispatch_until(lifecycle, [&] { return !lifecycle.connected(); });
  EXPECT_EQ(lifecycle.duty(), Duty::Active);
  agent.listen();
  dispatch_until(lifecycle, [&] { return lifecycle.connected(); });
  ASSERT_TRUE(agent.accept());
  const auto status = agent.hear(lifecycle);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->duty, Duty::Active);
  EXPECT_EQ(status->term, Term{9});
  EXPECT_EQ(status->order, 0U) << "the new agent counts its orders anew";
}

TEST_F(LifecycleClient, LeavesAnAgentThatSpeaksNonsenseAndConnectsAgain) {
  with_agent();
  RawAgent agent(directory_ + "/agent.sock");
  auto lifecycle = open();
  ASSERT_TRUE(agent.accept());
  ASSERT_TRUE(agent.hear(lifecycle));
  for (const auto& nonsense : {std::string("hello\n"), std::string(2 * max_line_bytes, 'x')}) {
    agent.say(nonsense);
    dispatch_until(lifecycle, [&] { return !lifecycle.connected(); });
    dispatch_until(lifecycle, [&] { return lifecycle.connected(); });
    ASSERT_TRUE(agent.accept());
    ASSERT_TRUE(agent.hear(lifecycle));
    EXPECT_EQ(lifecycle.duty(), Duty::StandingBy);
  }
}

TEST_F(LifecycleClient, StartsBeforeItsAgentDoes) {
  with_agent();
  auto lifecycle = open();
  EXPECT_FALSE(lifecycle.connected());
  RawAgent agent(directory_ + "/agent.sock");
  dispatch_until(lifecycle, [&] { return lifecycle.connected(); });
}

TEST_F(LifecycleClient, SaysWhichVariableIsWrong) {
  with_agent();
  ::setenv("UNDERSTUDY_REGION_BYTES", "16 MiB", 1);
  auto opened = Lifecycle::from_environment(embedded_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::BadInput);
  EXPECT_NE(opened.error().message.find("UNDERSTUDY_REGION_BYTES"), std::string::npos);
  ::unsetenv("UNDERSTUDY_REGION");
  opened = Lifecycle::from_environment(embedded_);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("UNDERSTUDY_REGION is not set"), std::string::npos);
}

TEST_F(LifecycleClient, OpensTheRegionThatLiesBehindAnInfoBlock) {
  with_agent();
  ASSERT_TRUE(shm::Region::create(directory_ + "/region", 1 << 20, {{embedded_.store}}, shm::nvdimm_info_bytes));
  ::setenv("UNDERSTUDY_STORE", embedded_.store.name.c_str(), 1);
  EXPECT_FALSE(open().open_store(shm::Access::ReadOnly)) << "there is no region at the file's begin";
  ::setenv("UNDERSTUDY_REGION_OFFSET", "2097152", 1);
  const auto store = open().open_store(shm::Access::ReadOnly);
  EXPECT_TRUE(store) << store.error().message;
  ::setenv("UNDERSTUDY_REGION_OFFSET", "2 MiB", 1);
  EXPECT_EQ(Lifecycle::from_environment(embedded_).error().code, Errc::BadInput);
}

TEST_F(LifecycleClient, WithAnAgentOtherTablesThanItsOwnAreNoStoreOfIts) {
  with_agent();
  const auto opened_in = [&](const shm::StoreSchema& store) {
    const shm::RegionSchema schema{{store}};
    EXPECT_TRUE(shm::Region::create(directory_ + "/region", 1 << 20, schema));
    const auto opened = open().open_store(shm::Access::ReadOnly);
    return opened ? std::string() : std::to_string(static_cast<int>(opened.error().code)) + opened.error().message;
  };
  const auto other = std::to_string(static_cast<int>(Errc::Damaged)) + "the store \"things\" of " + directory_ +
                     "/region is of another schema than this program's: ";
  const auto& own = embedded_.store;
  const auto with = [&](const shm::TableSchema& table) {
    return shm::StoreSchema{own.name, {table}, own.journal_bytes};
  };
  EXPECT_EQ(opened_in(own), "");
  EXPECT_EQ(opened_in({own.name, {{"numbers", 8, 8, 100, shm::TableKind::Hashed, 200}}, 128 * 1024}), "")
      << "how much fits is the group's to choose";
  EXPECT_EQ(opened_in(with({"numbers", 8, 1024, 64}))
                .find(other + "number 0 is a hashed table \"numbers\" with keys of 8 "
                              "and values of 1024 bytes, and this program was built for a "
                              "hashed table \"numbers\" with keys of 8 and values of 8"),
            0U);
  EXPECT_EQ(opened_in(with({"numbers", 16, 8, 64})).find(other), 0U);
  EXPECT_EQ(opened_in(with({"others", 8, 8, 64})).find(other), 0U);
  EXPECT_EQ(opened_in(with({"numbers", 8, 8, 64, shm::TableKind::Dense})).find(other), 0U);
  EXPECT_EQ(opened_in({own.name, {own.tables[0], {"more", 8, 8, 64}}, 64 * 1024}).find(other + "it has 2 tables"), 0U);
  embedded_.store.tables.clear();
  EXPECT_EQ(opened_in(with({"numbers", 8, 1024, 64})), "") << "it asked for no comparison";
}

TEST_F(LifecycleClient, WithAnAgentAnArenaIsThereOrNot) {
  with_agent();
  const auto without = embedded_.store;
  auto pages = without;
  pages.tables.push_back(shm::arena_table(4));
  auto arena = pages;
  arena.arena_bytes = 4 * shm::arena_page_bytes;
  embedded_.store = arena;
  ASSERT_TRUE(shm::Region::create(directory_ + "/region", 1 << 20, {{pages}}));
  EXPECT_EQ(open().open_store(shm::Access::ReadOnly).error().code, Errc::Damaged);
  ASSERT_TRUE(shm::Region::create(directory_ + "/region", 1 << 20, {{arena}}));
  EXPECT_TRUE(open().open_store(shm::Access::ReadOnly));
}

TEST_F(LifecycleClient, AloneItMakesItsRegionAndIsActiveAtOnce) {
  embedded_.region_path = directory_ + "/own";
  const std::uint64_t key = 1;
  const std::uint64_t value = 42;
  {
    auto lifecycle = open();
    EXPECT_FALSE(lifecycle.has_agent());
    Term activated;
    lifecycle.set_callbacks({[&](Term term) {
                               activated = term;
                               lifecycle.active(term);
                             },
                             {},
                             {},
                             {}});
    dispatch_until(lifecycle, [&] { return lifecycle.duty() == Duty::Active; });
    EXPECT_EQ(activated, Term{1});
    const auto store = lifecycle.open_store(shm::Access::ReadWrite);
    ASSERT_TRUE(store) << store.error().message;
    auto writer = store.value().become_writer(activated);
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE(writer.value().put(0, shm::as_bytes_of(key), shm::as_bytes_of(value)));
  }
  const auto again = open();
  const auto store = again.open_store(shm::Access::ReadOnly);
  ASSERT_TRUE(store);
  std::uint64_t found = 0;
  ASSERT_TRUE(store.value().get(0, shm::as_bytes_of(key), std::as_writable_bytes(std::span(&found, 1))));
  EXPECT_EQ(found, value);
}

TEST_F(LifecycleClient, AloneItRefusesARegionWithOtherTablesAndLeavesItAsItIs) {
  embedded_.region_path = directory_ + "/own";
  static_cast<void>(open());
  embedded_.store.tables[0].value_bytes = 16;
  const auto opened = Lifecycle::from_environment(embedded_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::BadInput);
  embedded_.store.tables[0].value_bytes = 8;
  EXPECT_TRUE(Lifecycle::from_environment(embedded_));
}

TEST(CommitMirrored, AnswersWhenTheMirrorHasItOrNobodyHasToBeWaitedFor) {
  const Instant start{1s};
  const CommitMirrored change(Sequence{7}, start + 2s);
  using Answer = CommitMirrored::Answer;
  EXPECT_EQ(change.check({false, Sequence{6}}, start), Answer::Exposed);
  EXPECT_EQ(change.check({false, Sequence{7}}, start), Answer::Now) << "the mirror had it before it was lost";
  EXPECT_EQ(change.check({true, Sequence{6}}, start), Answer::Wait);
  EXPECT_EQ(change.check({true, Sequence{7}}, start), Answer::Now);
  EXPECT_EQ(change.check({true, Sequence{6}}, start + 2s), Answer::Expired);
  EXPECT_EQ(change.check({true, Sequence{8}}, start + 3s), Answer::Now) << "late, but true";
}

}  // namespace
}  // namespace understudy::app
