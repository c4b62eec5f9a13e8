// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <signal.h>
#include <sys/wait.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <random>
#include <thread>

#include "replication_bench.hpp"
#include "understudy/link/replication_frame.hpp"

namespace understudy::link::replication {
namespace {

using boost::asio::ip::tcp;

TEST(Replication, MirrorsWhatWasThereBeforeAndWhatComesAfter) {
  Pair pair;
  auto net = pair.active.writer(1);
  auto sessions = pair.active.writer(1, "sessions");
  for (std::uint64_t i = 0; i < 100; ++i) { put(net, i, i); }
  put(net, 5, 55, 1);
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  for (std::uint64_t i = 50; i < 150; ++i) { put(net, i, i + 1000); }
  for (std::uint64_t i = 0; i < 20; ++i) { erase(net, i); }
  put(sessions, 1, 2);
  pair.expect_same();
  EXPECT_EQ(pair.net_status().journal_resumes, 1u);
  EXPECT_EQ(pair.net_status().full_snapshots + pair.net_status().delta_snapshots, 0u);
}

TEST(Replication, AnIdleActiveWithoutAnyStateIsProtectedToo) {
  Pair pair;
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
}

TEST(Replication, WorksOverIPv6) {
  Pair pair;
  pair.address = "::1";
  auto net = pair.active.writer(1);
  put(net, 1, 1);
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
}

TEST(Replication, ATransactionIsMirroredWhole) {
  Pair pair;
  auto net = pair.active.writer(1);
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  ASSERT_TRUE(net.begin().ok());
  for (std::uint64_t i = 0; i < 60; ++i) { put(net, i, 7); }
  ASSERT_TRUE(net.commit().ok());
  pair.expect_same();
}

TEST(Replication, AMirrorThatComesAfterTheRingWasLappedGetsASnapshot) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 3000; ++i) { put(net, i, i); }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  EXPECT_EQ(pair.net_status().laps, 1u);
  EXPECT_EQ(pair.net_status().delta_snapshots, 1u);
}

TEST(Replication, ARestartedMirrorGoesOnFromWhereItStood) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 100; ++i) { put(net, i, i); }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  pair.receiver.reset();
  ASSERT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::NoMirror; }));
  EXPECT_FALSE(pair.active.store().mirrored().protected_by_mirror);
  for (std::uint64_t i = 50; i < 200; ++i) { put(net, i, i + 1); }
  erase(net, 3);
  pair.start_receiver();
  pair.expect_same();
  EXPECT_EQ(pair.net_status().journal_resumes, 2u);
  EXPECT_EQ(pair.net_status().full_snapshots + pair.net_status().delta_snapshots, 0u);
}

TEST(Replication, ARestartedSenderFindsItsMirrorAgain) {
  Pair pair;
  auto net = pair.active.writer(1);
  put(net, 1, 1);
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  pair.sender.reset();
  EXPECT_FALSE(pair.active.store().mirrored().protected_by_mirror);
  ASSERT_TRUE(pair.run_until([&] { return pair.receiver->status().phase == ReceiverPhase::Lost; }));
  EXPECT_TRUE(pair.receiver->status().ready) << "what a takeover needs is still there";
  put(net, 2, 2);
  pair.start_sender();
  pair.expect_same();
}

TEST(Replication, ADeltaSnapshotBringsOnlyWhatChanged) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 4000; ++i) { put(net, i, i); }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  pair.receiver.reset();
  pair.sender.reset();
  for (std::uint64_t round = 0; round < 50; ++round) {
    for (std::uint64_t i = 0; i < 50; ++i) { put(net, i, i + round); }
  }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  EXPECT_EQ(pair.net_status().delta_snapshots, 1u);
  EXPECT_LT(pair.sender->status().bytes_sent, 50 * 40 + 4000u) << "50 records of 40 bytes, not 4000";
}

TEST(Replication, DeletionsDuringAMirrorsAbsenceAreNotLost) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 1000; ++i) { put(net, i, i); }
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  pair.receiver.reset();
  for (std::uint64_t i = 0; i < 500; ++i) { erase(net, i * 2); }
  for (std::uint64_t i = 0; i < 3000; ++i) { put(net, 10'000 + i % 10, i); }  // the ring forgets the deletions
  pair.start_receiver();
  pair.expect_same();
  EXPECT_GE(pair.net_status().full_snapshots, 1u);
}

TEST(Replication, SequencesThatTwoOwnersWroteAreNotMixed) {
  Pair pair;
  {
    auto net = pair.active.writer(1);
    for (std::uint64_t i = 1; i <= 100; ++i) { put(net, i, i); }
    pair.start_sender(1);
    pair.start_receiver(1);
    pair.expect_same();
    pair.receiver.reset();
    pair.sender.reset();
    for (std::uint64_t i = 101; i <= 150; ++i) { put(net, i, 1); }  // never mirrored
  }
  auto taken_over = pair.mirror.writer(2);
  for (std::uint64_t i = 201; i <= 260; ++i) { put(taken_over, i, 2); }  // the same sequences, other changes

  // The first active comes back as the mirror of the one that took over.
  Pair back;
  back.start_sender(2, &pair.mirror);
  back.hot.held = [&](const std::string& store) { return content_of(pair.active.store(store)); };
  back.start_receiver(2, &pair.active);
  ASSERT_TRUE(back.synced());
  ASSERT_TRUE(back.run_until([&] { return pair.active.store().committed() == pair.mirror.store().committed(); }));
  EXPECT_EQ(content_of(pair.active.store()), content_of(pair.mirror.store()));
  EXPECT_EQ(back.net_status().full_snapshots, 1u);
  const auto history = pair.active.store().history();
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history.back().term, Term{2});
  EXPECT_EQ(history.back().first, Sequence{101});
}

TEST(Replication, TheMirrorKnowsANewTermBeforeItsFirstEntry) {
  Pair pair;
  {
    auto net = pair.active.writer(1);
    put(net, 1, 1);
  }
  auto net = pair.active.writer(2);
  pair.start_sender(2);
  pair.start_receiver(2);
  pair.expect_same();
  put(net, 2, 2);  // only now does the history have term 2
  pair.expect_same();
  const auto history = pair.mirror.store().history();
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history.back().term, Term{2});
  EXPECT_EQ(history.back().first, Sequence{2});
  pair.receiver.reset();
  put(net, 3, 3);
  pair.start_receiver(2);
  pair.expect_same();
  EXPECT_EQ(pair.net_status().full_snapshots, 0u);
}

TEST(Replication, ASenderOrAMirrorOfAnotherTermIsRefused) {
  for (const std::uint64_t mirror_term : {1u, 3u}) {
    Pair pair;
    auto net = pair.active.writer(2);
    put(net, 1, 1);
    pair.start_sender(2);
    pair.start_receiver(mirror_term);
    ASSERT_TRUE(pair.run_until([&] { return pair.receiver->status().phase == ReceiverPhase::Lost; }));
    EXPECT_NE(pair.receiver_detail.find("term"), std::string::npos) << pair.receiver_detail;
    EXPECT_EQ(pair.mirror.store().committed(), Sequence{0});
    EXPECT_EQ(pair.sender->status().phase, SenderPhase::NoMirror);
    const auto lower =
        pair.receiver->configure({IpAddress::parse("127.0.0.1").value(), pair.port, Term{mirror_term - 1}});
    EXPECT_EQ(lower.error().code, Errc::Refused);
    if (mirror_term < 2) {  // told of the newer term, it follows
      ASSERT_TRUE(pair.receiver->configure({IpAddress::parse("127.0.0.1").value(), pair.port, Term{2}}).ok());
      pair.expect_same();
    }
  }
}

TEST(Replication, AMirrorOfAnotherRoleOrSchemaIsRefused) {
  Pair pair;
  pair.start_sender();
  ReceiverOptions other;
  other.role = RoleId{"role-2"};
  std::string detail;
  ReceiverCallbacks callbacks;
  callbacks.on_phase = [&](ReceiverPhase, const std::string& why) { detail = why; };
  {
    ReplicationReceiver receiver(pair.io, other, pair.mirror.open(), callbacks);
    ASSERT_TRUE(receiver.configure({IpAddress::parse("127.0.0.1").value(), pair.port, Term{1}}).ok());
    EXPECT_TRUE(pair.run_until([&] { return receiver.status().phase == ReceiverPhase::Lost; }));
  }
  TestRegion smaller(two_stores(100));
  detail.clear();
  other.role = role;
  ReplicationReceiver receiver(pair.io, other, smaller.open(), callbacks);
  ASSERT_TRUE(receiver.configure({IpAddress::parse("127.0.0.1").value(), pair.port, Term{1}}).ok());
  EXPECT_TRUE(pair.run_until([&] { return receiver.status().phase == ReceiverPhase::Lost; }));
  EXPECT_NE(detail.find("other stores or tables"), std::string::npos) << detail;
}

TEST(Replication, AnInterruptedSnapshotStartsOver) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 0; i < 4000; ++i) { put(net, i, i); }
  {
    auto half = pair.mirror.writer(1);
    ASSERT_TRUE(half.begin_sync(true).ok());
    ASSERT_TRUE(half.apply_snapshot_record(0, bytes_of(77'777, 8), bytes_of(1, 24), Sequence{5}).ok());
  }  // its receiver died here
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  EXPECT_EQ(pair.net_status().full_snapshots, 1u);
}

/// Writes as fast as it can until told to stop: puts, overwrites and deletions over a small key range.
/// Puts, overwrites and deletions over a small key range in bursts, until told to stop: laps the ring in some 40 ms,
/// which an instrumented build can still follow.
class Load {
 public:
  Load(shm::StoreWriter writer, unsigned seed)
      : writer_(std::move(writer)), thread_([this, seed] {
          std::mt19937 random(seed);
          while (!stop_) {
            for (int i = 0; i < 30; ++i) {
              const auto key = random() % 1500;
              if (random() % 3 == 0) {
                erase(writer_, key);
              } else {
                put(writer_, key, random());
              }
            }
            std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 1000));
          }
        }) {}
  ~Load() { stop(); }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) { thread_.join(); }
  }

 private:
  shm::StoreWriter writer_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

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
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 120));  // how far it falls behind
        pair.start_receiver();
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 120));  // the thread of both stands still
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
  put(net, 1, 1);
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  const auto lap = [&] {
    for (std::uint64_t i = 0; i < 2500; ++i) { put(net, i % 100, i); }
  };
  const auto reported = [&] {
    return pair.sender->status().phase == SenderPhase::NoMirror &&
           pair.sender_detail.find("resynced") != std::string::npos;
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

TEST(Replication, DrainReadsToTheEndOfTheStreamAndFreesTheStores) {
  Pair pair;
  auto net = pair.active.writer(1);
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  EXPECT_EQ(pair.mirror.store().become_writer(Term{2}).error().code, Errc::Refused) << "the receiver is the writer";

  for (std::uint64_t i = 0; i < 500; ++i) { put(net, i, i); }
  std::optional<bool> all;
  std::optional<DrainReport> report;
  pair.sender->finish(10s, [&](bool complete) { all = complete; });
  pair.receiver->drain(5s, 20s, [&](const DrainReport& drained) { report = drained; });
  ASSERT_TRUE(pair.run_until([&] { return all && report; }));
  EXPECT_TRUE(*all);
  EXPECT_TRUE(report->end_of_stream);
  EXPECT_TRUE(report->ready);
  EXPECT_EQ(report->dropped_bytes, 0u);
  EXPECT_EQ(report->stores[0].applied, net.committed());
  EXPECT_EQ(content_of(pair.mirror.store()), content_of(pair.active.store()));

  pair.receiver->release_writers();
  auto taken_over = pair.mirror.store().become_writer(Term{2});
  ASSERT_TRUE(taken_over.ok()) << taken_over.error().message;
  put(*taken_over, 1000, 1);
}

TEST(Replication, DrainOfASilentActiveEndsByQuiet) {
  Pair pair;
  auto net = pair.active.writer(1);
  put(net, 1, 1);
  pair.start_sender();
  pair.start_receiver();
  pair.expect_same();
  std::optional<DrainReport> report;
  pair.receiver->drain(1ms, 10s, [&](const DrainReport& drained) { report = drained; });
  EXPECT_FALSE(report) << "never from inside the call";
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_FALSE(report->end_of_stream || report->by_deadline);
  EXPECT_TRUE(report->ready);
  put(net, 2, 2);
  pair.run_until([] { return false; }, 50ms);
  EXPECT_EQ(pair.mirror.store().committed(), Sequence{1}) << "after a drain nothing is applied any more";
}

TEST(Replication, DrainOfAnActiveThatGoesOnTalkingEndsByItsDeadline) {
  Pair pair;
  pair.sender_options.heartbeat = 5ms;
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  std::optional<DrainReport> report;
  pair.receiver->drain(1s, 100ms, [&](const DrainReport& drained) { report = drained; });
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_TRUE(report->by_deadline);
}

TEST(Replication, DrainWithoutAConnectionEndsAtOnce) {
  Pair pair;
  pair.port = 9;  // nobody is there
  pair.start_receiver();
  std::optional<DrainReport> report;
  pair.receiver->drain(10s, 20s, [&](const DrainReport& drained) { report = drained; });
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_FALSE(report->ready);
}

/// The other end in the test's hand: frames one by one, bytes as they are.
class Puppet {
 public:
  explicit Puppet(std::uint64_t term) : term_(term) {}
  void listen() {
    acceptor_.open(tcp::v4());
    acceptor_.bind(tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), 0));
    acceptor_.listen();
    acceptor_.async_accept(socket_, [this](const boost::system::error_code& error) { connected_ = !error; });
  }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void connect(std::uint16_t port) {
    socket_.connect(tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), port));
    connected_ = true;
  }
  bool wait_connected() {
    io_.run_for(10s);
    return connected_;
  }
  void send(const std::vector<std::byte>& bytes) { boost::asio::write(socket_, boost::asio::buffer(bytes)); }
  void send(FrameType type, std::vector<std::byte> payload, Sequence first = {}) {
    send(bytes_of_frame(type, std::move(payload), first));
  }
  [[nodiscard]] std::vector<std::byte> bytes_of_frame(FrameType type, std::vector<std::byte> payload,
                                                      Sequence first = {}) const {
    auto frame = encode({type, 0, Term{term_}, digest_of(role), first}, std::move(payload));
    frame.header.insert(frame.header.end(), frame.payload.begin(), frame.payload.end());
    return frame.header;
  }
  void say_hello(const TestRegion& region, Sequence committed = {}) {
    Hello hello{role, {}};
    for (const auto* name : {"net", "sessions"}) {
      hello.stores.push_back({name, digest_of(region.store(name).schema()), committed, false, {}});
    }
    send(FrameType::Hello, encode_payload(hello));
  }
  /// Reads what is there; true once so many frames of `type` have come.
  bool got(FrameType type, std::ptrdiff_t times = 1) {
    while (socket_.available() > 0) {
      const auto room = decoder_.prepare();
      decoder_.commit(socket_.read_some(boost::asio::buffer(room.data(), room.size())));
      for (;;) {
        const auto frame = decoder_.next();
        if (!frame || !frame.value()) { break; }
        seen_.push_back(frame.value()->header.type);
      }
    }
    return std::count(seen_.begin(), seen_.end(), type) >= times;
  }

 private:
  const std::uint64_t term_;
  boost::asio::io_context io_;
  tcp::acceptor acceptor_{io_};
  tcp::socket socket_{io_};
  bool connected_ = false;
  FrameDecoder decoder_;
  std::vector<FrameType> seen_;
};

TEST(Replication, APartialFrameIsDroppedByTheDrain) {
  Pair pair;
  auto net = pair.active.writer(1);
  put(net, 1, 1);
  Puppet active(1);
  active.listen();
  pair.port = active.port();
  pair.start_receiver();
  ASSERT_TRUE(pair.run_until([&] { return active.wait_connected(); }));
  active.send(FrameType::Resume, encode_payload(Resume{Sequence{1}}), Sequence{1});
  shm::JournalReader reader(pair.active.store(), Sequence{0});
  const auto entries = reader.read(4096).value().bytes;
  active.send(FrameType::Journal, entries, Sequence{1});
  auto torn = active.bytes_of_frame(FrameType::Journal, entries, Sequence{2});
  torn.resize(torn.size() - 5);
  active.send(torn);
  ASSERT_TRUE(pair.run_until([&] { return pair.mirror.store().committed() == Sequence{1}; }));
  std::optional<DrainReport> report;
  pair.receiver->drain(5ms, 10s, [&](const DrainReport& drained) { report = drained; });
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_EQ(report->dropped_bytes, torn.size());
  EXPECT_EQ(report->stores[0].applied, Sequence{1});
}

TEST(Replication, ALateThreadDoesNotTakeItsOwnSleepForQuiet) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 1; i <= 3; ++i) { put(net, i, i); }
  Puppet active(1);
  active.listen();
  pair.port = active.port();
  pair.start_receiver();
  ASSERT_TRUE(pair.run_until([&] { return active.wait_connected(); }));
  active.send(FrameType::Resume, encode_payload(Resume{Sequence{3}}), Sequence{1});
  ASSERT_TRUE(pair.run_until([&] { return pair.receiver->status().phase == ReceiverPhase::Syncing; }));
  std::optional<DrainReport> report;
  pair.receiver->drain(5ms, 10s, [&](const DrainReport& drained) { report = drained; });
  shm::JournalReader reader(pair.active.store(), Sequence{0});
  active.send(FrameType::Journal, reader.read(4096).value().bytes, Sequence{1});
  std::this_thread::sleep_for(30ms);  // the one thread is busy while bytes come and the timer runs out
  ASSERT_TRUE(pair.run_until([&] { return report.has_value(); }));
  EXPECT_EQ(report->stores[0].applied, Sequence{3});
  EXPECT_FALSE(report->ready) << "the other store was never resumed";
}

TEST(Replication, AnActiveOfAnotherTermIsNotListenedTo) {
  for (const std::uint64_t term : {1u, 3u}) {
    Pair pair;
    auto net = pair.active.writer(1);
    put(net, 1, 1);
    Puppet active(term);
    active.listen();
    pair.port = active.port();
    pair.start_receiver(2);
    ASSERT_TRUE(pair.run_until([&] { return active.wait_connected(); }));
    active.send(FrameType::Resume, encode_payload(Resume{Sequence{1}}), Sequence{1});
    ASSERT_TRUE(pair.run_until([&] { return pair.receiver->status().phase == ReceiverPhase::Lost; }));
    EXPECT_NE(pair.receiver_detail.find("term"), std::string::npos) << pair.receiver_detail;
    EXPECT_EQ(pair.mirror.store().term(), Term{2}) << "a term is never adopted from a peer";
  }
}

TEST(Replication, AMirrorOfAnotherTermIsToldWhyItIsRefused) {
  for (const std::uint64_t term : {1u, 3u}) {
    Pair pair;
    pair.start_sender(2);
    Puppet mirror(term);
    mirror.connect(pair.port);
    mirror.say_hello(pair.active);
    EXPECT_TRUE(pair.run_until([&] { return mirror.got(FrameType::Refused); }));
    EXPECT_FALSE(mirror.got(FrameType::Resume));
    EXPECT_TRUE(pair.sender_phases.empty());
  }
}

TEST(Replication, AnAcknowledgementFromBeforeAResyncDoesNotCount) {
  Pair pair;
  auto net = pair.active.writer(1);
  for (std::uint64_t i = 1; i <= 10; ++i) { put(net, i, i); }
  pair.start_sender();
  Puppet mirror(1);
  mirror.connect(pair.port);
  mirror.say_hello(pair.active, Sequence{100});  // of another history
  ASSERT_TRUE(pair.run_until([&] { return mirror.got(FrameType::SnapshotEnd, 2); }));
  ASSERT_TRUE(pair.run_until([&] { return pair.net_status().sent == Sequence{10}; }));
  mirror.send(FrameType::Ack,
              encode_payload(Progress{1, {{{}, Sequence{100}, false, 0}, {{}, Sequence{100}, false, 0}}}));
  mirror.send(FrameType::Ack, encode_payload(Progress{2, {{{}, Sequence{10}, false, 1}, {{}, {}, true, 1}}}));
  ASSERT_TRUE(pair.run_until([&] { return pair.net_status().acknowledged == Sequence{10}; }));
  EXPECT_EQ(std::count(pair.sender_phases.begin(), pair.sender_phases.end(), SenderPhase::Synced), 0);
  mirror.send(FrameType::Ack, encode_payload(Progress{2, {{{}, Sequence{10}, false, 1}, {{}, {}, false, 1}}}));
  EXPECT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::Synced; }));
}

TEST(Replication, AnActiveThatBreaksTheProtocolIsDroppedAndTheRegionStaysGood) {
  const std::vector<std::pair<FrameType, std::vector<std::byte>>> wrong{
      {FrameType::Journal, {}},
      {FrameType::SnapshotEnd, encode_payload(SnapshotEnd{})},
      {FrameType::SnapshotBegin, encode_payload(SnapshotBegin{false, {}})},
      {FrameType::Resume, encode_payload(Resume{})},  // goes on from a sequence that is not held
      {FrameType::Hello, {}},
      {FrameType::History, encode_payload(std::vector<shm::TermStart>{})},
  };
  for (const auto& [type, payload] : wrong) {
    SCOPED_TRACE(static_cast<int>(type));
    Pair pair;
    Puppet active(1);
    active.listen();
    pair.port = active.port();
    pair.start_receiver();
    ASSERT_TRUE(pair.run_until([&] { return active.wait_connected(); }));
    active.send(type, payload, Sequence{99});
    EXPECT_TRUE(pair.run_until([&] { return pair.receiver->status().phase == ReceiverPhase::Lost; }));
    EXPECT_EQ(pair.mirror.store().committed(), Sequence{0});
    EXPECT_FALSE(pair.receiver->status().ready);
  }
}

TEST(Replication, ASilentMirrorEndsTheProtection) {
  Pair pair;
  pair.start_sender();
  Puppet mirror(1);
  mirror.connect(pair.port);
  mirror.say_hello(pair.active);
  ASSERT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::Syncing; }));
  // Resume of both stores and a heartbeat may have been sent: acknowledge what certainly was.
  mirror.send(FrameType::Ack, encode_payload(Progress{2, {{{}, {}, false, 1}, {{}, {}, false, 1}}}));
  ASSERT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::Synced; }));
  EXPECT_TRUE(pair.active.store().mirrored().protected_by_mirror);
  ASSERT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::NoMirror; }));
  EXPECT_FALSE(pair.active.store().mirrored().protected_by_mirror);
  EXPECT_NE(pair.sender_detail.find("nothing heard"), std::string::npos) << pair.sender_detail;
}

TEST(Replication, AMirrorThatLivesButAppliesNothingIsReported) {
  Pair pair;
  pair.start_sender();
  Puppet mirror(1);
  mirror.connect(pair.port);
  mirror.say_hello(pair.active);
  const Progress stuck{2, {{{}, {}, false, 1}, {{}, {}, false, 1}}};
  ASSERT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::Syncing; }));
  mirror.send(FrameType::Ack, encode_payload(stuck));
  ASSERT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::Synced; }));
  ASSERT_TRUE(pair.run_until([&] {
    mirror.send(FrameType::Heartbeat, encode_payload(stuck));
    return pair.sender->status().phase == SenderPhase::Stalled;
  }));
  EXPECT_FALSE(pair.active.store().mirrored().protected_by_mirror);
}

TEST(Replication, AMirrorCannotAcknowledgeWhatWasNeverSent) {
  Pair pair;
  pair.start_sender();
  Puppet mirror(1);
  mirror.connect(pair.port);
  mirror.say_hello(pair.active);
  ASSERT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::Syncing; }));
  mirror.send(FrameType::Ack, encode_payload(Progress{1'000'000, {{{}, {}, false, 1}, {{}, {}, false, 1}}}));
  EXPECT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::NoMirror; }));
}

TEST(Replication, AnyBytesFromStrangersLeaveTheSenderServing) {
  Pair pair;
  pair.start_sender();
  std::mt19937 random(6);
  for (int round = 0; round < 50; ++round) {
    boost::asio::io_context io;
    tcp::socket stranger(io);
    stranger.connect(tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), pair.port));
    std::vector<std::byte> bytes(random() % 2000);
    for (auto& byte : bytes) { byte = static_cast<std::byte>(random()); }
    boost::system::error_code ignored;
    boost::asio::write(stranger, boost::asio::buffer(bytes), ignored);
    pair.io.restart();
    pair.io.poll();
  }
  auto net = pair.active.writer(1);
  put(net, 1, 1);
  pair.start_receiver();
  pair.expect_same();
}

TEST(Replication, ASecondConnectionOfTheMirrorTakesOverFromAHalfDeadOne) {
  Pair pair;
  pair.start_sender();
  Puppet half_dead(1);
  half_dead.connect(pair.port);
  half_dead.say_hello(pair.active);
  ASSERT_TRUE(pair.run_until([&] { return pair.sender->status().phase == SenderPhase::Syncing; }));
  auto net = pair.active.writer(1);
  put(net, 1, 1);
  pair.start_receiver();
  pair.expect_same();
}

TEST(Replication, OnlyTheNamedMirrorMayConnect) {
  Pair pair;
  pair.sender_options.mirror = IpAddress::parse("127.0.0.2").value();
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.run_until([&] { return pair.receiver->status().phase == ReceiverPhase::Lost; }));
  EXPECT_EQ(pair.sender->status().phase, SenderPhase::NoMirror);
}

TEST(Replication, Misuse_AnAddressThatIsNotHereIsToldAtStart) {
  Pair pair;
  SenderOptions options;
  options.role = role;
  options.term = Term{1};
  options.address = IpAddress::parse("192.0.2.1").value();
  ReplicationSender sender(pair.io, options, pair.active.open(), [](SenderPhase, const std::string&) {});
  EXPECT_FALSE(sender.start().ok());
}

}  // namespace
}  // namespace understudy::link::replication
