// SPDX-License-Identifier: Apache-2.0
/// Requests for a lease's grant, and grants, over the stream that replicates (rule 5).
#include <gtest/gtest.h>

#include "replication_puppet.hpp"

namespace understudy::link::replication {
namespace {

TEST(ReplicationGrant, IsAskedForAndComesBackWithTheNonceOfItsRequest) {
  Pair pair;
  auto net = pair.active.writer(4);
  pair.start_sender(4);
  pair.start_receiver(4);
  ASSERT_TRUE(pair.synced());
  for (std::uint64_t nonce = 1; nonce <= 20; ++nonce) {
    put(net, nonce, nonce);
    pair.sender->ask_grant(nonce << 40);
    ASSERT_TRUE(pair.run_until([&] { return pair.granted.size() == nonce; }));
    EXPECT_EQ(pair.granted.back(), nonce << 40);
    EXPECT_EQ(pair.asked.back().first, Term{4});
  }
  pair.expect_same();
  EXPECT_EQ(pair.sender->status().phase, SenderPhase::Synced) << "requests are acknowledged like any other frame";
}

TEST(ReplicationGrant, NobodyGrantsByItself) {
  Pair pair;
  pair.grants = false;
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  pair.sender->ask_grant(7);
  ASSERT_TRUE(pair.run_until([&] { return !pair.asked.empty(); }));
  pair.receiver->grant(Term{2}, 7);  // of a term that this mirror does not follow
  pair.sender->ask_grant(8);
  ASSERT_TRUE(pair.run_until([&] { return pair.asked.size() == 2; }));
  pair.receiver->grant(Term{1}, 8);
  ASSERT_TRUE(pair.run_until([&] { return !pair.granted.empty(); }));
  EXPECT_EQ(pair.granted, std::vector<std::uint64_t>{8});
}

TEST(ReplicationGrant, WithoutAMirrorNothingIsAskedLater) {
  Pair pair;
  pair.start_sender();
  pair.sender->ask_grant(7);
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  pair.sender->ask_grant(8);
  ASSERT_TRUE(pair.run_until([&] { return !pair.granted.empty(); }));
  EXPECT_EQ(pair.granted, std::vector<std::uint64_t>{8}) << "a request that was never sent is not answered";
}

TEST(ReplicationGrant, AMirrorThatWasDrainedGrantsNothing) {
  Pair pair;
  pair.start_sender();
  pair.start_receiver();
  ASSERT_TRUE(pair.synced());
  bool drained = false;
  pair.receiver->drain(1ms, 1s, [&](const DrainReport&) { drained = true; });
  ASSERT_TRUE(pair.run_until([&] { return drained; }));
  pair.receiver->grant(Term{1}, 7);
  pair.run_until([] { return false; }, 50ms);
  EXPECT_TRUE(pair.granted.empty());
}

TEST(ReplicationGrant, OneThatIsDamagedEndsTheConnectionAndTheSenderServesOn) {
  Pair pair;
  pair.start_sender();
  Puppet mirror(1);
  mirror.connect(pair.port);
  mirror.say_hello(pair.active);
  ASSERT_TRUE(pair.run_until([&] { return mirror.got(FrameType::Resume); }));
  mirror.send(FrameType::Grant, std::vector<std::byte>(9));
  ASSERT_TRUE(pair.run_until([&] {
    return pair.sender_detail.find("damaged GrantRequest or Grant") != std::string::npos;
  })) << pair.sender_detail;
  EXPECT_TRUE(pair.granted.empty());
  pair.start_receiver();
  EXPECT_TRUE(pair.synced());
}

TEST(ReplicationGrant, AMirrorMustNotAskAndAnActiveMustNotGrant) {
  Pair pair;
  pair.start_sender();
  Puppet mirror(1);
  mirror.connect(pair.port);
  mirror.say_hello(pair.active);
  ASSERT_TRUE(pair.run_until([&] { return mirror.got(FrameType::Resume); }));
  mirror.send(FrameType::GrantRequest, encode_payload(GrantNonce{7}));
  EXPECT_TRUE(pair.run_until([&] { return pair.sender_detail.find("only an active sends") != std::string::npos; }))
      << pair.sender_detail;
}

TEST(ReplicationGrant, APeerOfAnOlderProtocolIsRefusedByItsVersion) {
  auto bytes = Puppet(1).bytes_of_frame(FrameType::Hello, encode_payload(Hello{role, {}}));
  bytes[4] = std::byte{3};
  FrameDecoder decoder;
  const auto room = decoder.prepare();
  std::copy(bytes.begin(), bytes.end(), room.begin());
  decoder.commit(bytes.size());
  const auto refused = decoder.next();
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("version 3, and this side speaks 4 to 5"), std::string::npos)
      << refused.error().message;
}

}  // namespace
}  // namespace understudy::link::replication
