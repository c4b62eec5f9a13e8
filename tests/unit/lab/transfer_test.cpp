// SPDX-License-Identifier: Apache-2.0
/// Both halves of a transfer over a pair of connected sockets.
#include "transfer.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "chunked.hpp"
#include "sha256.hpp"
#include "sockets.hpp"

namespace lab {
namespace {

class TransferTest : public testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    sender = Descriptor(ends[0]);
    receiver = Descriptor(ends[1]);
    set_timeouts(sender.get(), 20);
    set_timeouts(receiver.get(), 20);
  }
  ~TransferTest() override { std::remove(stop_file.c_str()); }
  static std::string hash_of(const std::string& name, std::size_t bytes) {
    std::string body(bytes, '\0');
    ByteStream(name).fill(body);
    Sha256 hash;
    hash.add(body);
    return hash.finish();
  }
  /// What the receiver throws when the sender says this and ends.
  std::string complaint(const std::string& said) {
    send_all(sender.get(), said);
    sender.close();
    Transfer transfer;
    try {
      receive_body(receiver.get(), "", transfer);
    } catch (const std::runtime_error& error) { return error.what(); }
    return "no complaint";
  }
  Descriptor sender, receiver;
  std::string stop_file = testing::TempDir() + "lab_transfer_stop_" + std::to_string(getpid());
};

TEST_F(TransferTest, BothHalvesTellTheSameBytesAndHash) {
  Transfer sent, received;
  sent.id = "role-1-ipv4-download";
  SendPlan plan;
  plan.amount.fixed = 300'000;
  plan.bytes_per_second = 100'000'000;
  std::thread other([&] { send_body(sender.get(), plan, sent); });
  receive_body(receiver.get(), "", received);
  other.join();
  EXPECT_EQ(sent.bytes, 300'000U);
  EXPECT_EQ(received.bytes, 300'000U);
  EXPECT_EQ(sent.sha256, hash_of(sent.id, 300'000));
  EXPECT_EQ(received.sha256, sent.sha256);
}

TEST_F(TransferTest, AnOpenEndedOneEndsWhenItIsToldToAndHasItsMinimum) {
  std::ofstream(stop_file) << "";
  Transfer sent, received;
  SendPlan plan;
  plan.amount.minimum = 50'000;
  plan.bytes_per_second = 10'000'000;
  plan.stop_file = stop_file;
  std::thread other([&] { send_body(sender.get(), plan, sent); });
  receive_body(receiver.get(), "", received);
  other.join();
  EXPECT_GE(received.bytes, 50'000U);
  EXPECT_EQ(received.sha256, sent.sha256);
}

TEST_F(TransferTest, BytesThatCameWithTheHeadBelongToTheBody) {
  send_all(sender.get(), "lo\r\n" + std::string(last_chunk));
  Transfer received;
  receive_body(receiver.get(), "5\r\nhel", received);
  EXPECT_EQ(received.bytes, 5U);
  Sha256 hash;
  hash.add("hello");
  EXPECT_EQ(received.sha256, hash.finish());
}

TEST_F(TransferTest, AnEmptyBodyIsWhole) {
  Transfer received;
  receive_body(receiver.get(), last_chunk, received);
  EXPECT_EQ(received.bytes, 0U);
  EXPECT_EQ(received.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_F(TransferTest, ABodyThatEndsEarlyIsBrokenAndHasNoHash) {
  EXPECT_EQ(complaint("5\r\nhel"), "the connection ended inside the body");
}

TEST_F(TransferTest, ABodyWithoutItsLastChunkIsBrokenToo) {
  EXPECT_EQ(complaint("5\r\nhello\r\n"), "the connection ended inside the body");
}

TEST_F(TransferTest, WhatIsNotChunkedIsRefused) {
  EXPECT_EQ(complaint("hello, this is no chunk"), "the body is not chunked as it should be");
}

TEST_F(TransferTest, AHeadEndsAtItsEmptyLineAndTheRestIsKept) {
  std::thread other([&] {
    for (const auto* piece : {"GET /download HTTP/1.1\r\nHost: x\r", "\n\r", "\n5\r\nhello"}) {
      send_all(sender.get(), piece);
    }
  });
  std::string rest;
  EXPECT_EQ(receive_head(receiver.get(), rest), "GET /download HTTP/1.1\r\nHost: x\r\n\r\n");
  other.join();
  while (rest.size() < 8) {
    char buffer[16];
    rest += receive(receiver.get(), buffer, sizeof buffer);
  }
  EXPECT_EQ(rest, "5\r\nhello");
}

TEST_F(TransferTest, AHeadWithoutAnEndIsGivenUp) {
  std::string rest;
  std::thread other([&] {
    send_all(sender.get(), std::string(20'000, 'x'));
    sender.close();
  });
  try {
    (void)receive_head(receiver.get(), rest);
    ADD_FAILURE() << "taken for a head";
  } catch (const std::runtime_error& error) { EXPECT_STREQ(error.what(), "the head is longer than 8192 bytes"); }
  other.join();
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Descriptor reader(ends[0]);
  {
    const Descriptor writer(ends[1]);
    send_all(writer.get(), "GET / HT");
  }
  EXPECT_THROW((void)receive_head(reader.get(), rest), std::runtime_error) << "it ends inside the head";
}

TEST_F(TransferTest, TheResultSaysNullForNoError) {
  Transfer transfer;
  transfer.id = "x";
  transfer.longest_stall_ns = 1'500'000;
  EXPECT_TRUE(transfer.to_json().at("error").is_null());
  EXPECT_DOUBLE_EQ(transfer.to_json().at("longest_stall_ms").as_double(), 1.5);
  transfer.error = "connection reset";
  EXPECT_EQ(transfer.to_json().at("error").as_string(), "connection reset");
}

}  // namespace
}  // namespace lab
