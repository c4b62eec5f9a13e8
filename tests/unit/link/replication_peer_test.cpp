// SPDX-License-Identifier: Apache-2.0
/// Peers that lie, break the protocol, fall silent or are strangers.
/// Covers: link/src/replication_receiver_core.cpp, link/src/replication_options.cpp
#include <gtest/gtest.h>

#include <random>

#include "replication_puppet.hpp"

namespace understudy::link::replication {
namespace {

using boost::asio::ip::tcp;

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
    mirror.send(FrameType::Ack, encode_payload(stuck));
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
