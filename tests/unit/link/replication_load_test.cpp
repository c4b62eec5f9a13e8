// SPDX-License-Identifier: Apache-2.0
/// A writer that never stops: resyncs of every kind under it, and the mirror killed meanwhile.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "replication_bench.hpp"
#include "support/eventually.hpp"

namespace understudy::link::replication {
namespace {

/// Puts, overwrites and deletions over a small key range in bursts, until told to stop: laps the ring in some 40 ms,
/// which an instrumented build can still follow.
class Load {
 public:
  Load(shm::StoreWriter writer, unsigned seed)
      : writer_(std::move(writer)), thread_([this, seed](const std::stop_token& stop) {
          std::mt19937 random(seed);
          std::mutex mutex;
          std::condition_variable_any pace;
          std::unique_lock lock(mutex);
          while (!stop.stop_requested()) {
            for (int i = 0; i < 30; ++i) {
              const auto key = random() % 1500;
              if (random() % 3 == 0) {
                erase(writer_, key);
              } else {
                put(writer_, key, random());
              }
            }
            pace.wait_for(lock, stop, std::chrono::microseconds(500 + random() % 1000), [] { return false; });
          }
        }) {}
  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) { thread_.join(); }
  }

 private:
  shm::StoreWriter writer_;
  std::jthread thread_;
};

/// While the thread of both ends stands still, the writer runs so many changes ahead: nothing, or more than the ring.
bool run_ahead(const shm::Store& store, std::uint64_t changes) {
  const auto from = store.committed().value;
  return test::eventually([&] { return store.committed().value >= from + changes; });
}

TEST(Replication, UnderLoadEveryKindOfResyncEndsInTheSameState) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    Pair pair;
    pair.sender_options.lap_tries_max = 1000;
    {
      auto net = pair.active.writer(1);
      for (std::uint64_t i = 0; i < 2500; ++i) { put(net, i, i); }
    }
    Load load(pair.active.writer(1), seed);
    pair.start_sender();
    pair.start_receiver();
    ASSERT_TRUE(pair.synced());
    std::mt19937 random(seed);
    for (int i = 0; i < 5; ++i) {
      if (random() % 2 == 0) {
        pair.receiver.reset();
        ASSERT_TRUE(run_ahead(pair.active.store(), random() % 3000));
        pair.start_receiver();
      } else {
        ASSERT_TRUE(run_ahead(pair.active.store(), random() % 3000));
      }
      ASSERT_TRUE(pair.synced());
    }
    load.stop();
    pair.expect_same();
  }
}

TEST(Replication, AMirrorKilledInTheMiddleResumesOrStartsOverAndIsWholeAgain) {
  for (unsigned seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    Pair pair;
    {
      auto net = pair.active.writer(1);
      for (std::uint64_t i = 0; i < 2500; ++i) { put(net, i, i); }
    }
    pair.sender_options.lap_tries_max = 1000;
    pair.start_sender();
    const pid_t child = fork();
    if (child == 0) {  // a mirror of its own; nothing of the parent's is used but the numbers
      boost::asio::io_context io;
      ReceiverOptions options;
      options.role = role;
      ReplicationReceiver receiver(io, options, pair.mirror.open(), {});
      if (!receiver.configure({IpAddress::parse("127.0.0.1").value(), pair.port, Term{1}}).ok()) { _exit(1); }
      io.run();
      _exit(2);
    }
    Load load(pair.active.writer(1), seed);
    std::mt19937 random(seed);
    ASSERT_TRUE(pair.run_until([&] { return pair.sender->status().phase != SenderPhase::NoMirror; }));
    const auto more = std::chrono::steady_clock::now() + std::chrono::milliseconds(random() % 60);
    pair.run_until([&] { return std::chrono::steady_clock::now() > more; });
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the mirror ended by itself with " << status;
    pair.start_receiver();
    ASSERT_TRUE(pair.synced());
    load.stop();
    pair.run_until([&] { return pair.mirror.store().committed() == pair.active.store().committed(); });
    EXPECT_EQ(content_of(pair.mirror.store()), content_of(pair.active.store()));
  }
}

TEST(Replication, AWriterThatOutrunsTheMirrorForGoodIsReported) {
  Pair pair;
  auto net = pair.active.writer(1);
  net.never_wait();  // it is the sender's own thread
  put(net, 1, 1);
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  const auto lap = [&] {
    for (std::uint64_t i = 0; i < 2500; ++i) { put(net, i % 100, i); }
  };
  const auto reported = [&] {
    return pair.sender->status().phase == SenderPhase::NoMirror &&
           pair.sender_detail.find("10 times in a row") != std::string::npos;
  };
  for (int i = 0; i < 20'000 && !reported(); ++i) {
    lap();
    pair.io.restart();
    pair.io.poll_one();
  }
  EXPECT_TRUE(reported()) << pair.sender_detail;
  EXPECT_FALSE(pair.active.store().mirrored().protected_by_mirror);
  pair.expect_same();  // once it is calm, the mirror comes back
}

}  // namespace
}  // namespace understudy::link::replication
