// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/store_sink.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "flows.hpp"
#include "understudy/shm/layout.hpp"
#include "unit/shared-mem/raw_region.hpp"

namespace understudy::net::test {
namespace {

class StoreSinkTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t flow_capacity = 64;
  StoreSinkTest() : path_("/dev/shm/understudy-sink-test-" + std::to_string(::getpid())) {
    const shm::RegionSchema schema{{net_store_schema(flow_capacity)}};
    region_.emplace(shm::Region::create(path_, shm::Region::size_needed(schema).value(), schema).value());
    store_.emplace(region_->store(net_store_name).value());
    writer_.emplace(store_->become_writer(Term{1}).value());
    sut_.emplace(*writer_);
  }
  ~StoreSinkTest() override { std::remove(path_.c_str()); }

  static FlowChange established() {
    FlowChange change;
    change.key = tcp_key();
    change.value = tcp_value();
    change.has_status = change.has_tcp = true;
    return change;
  }
  FlowValue held() {
    FlowValue value{};
    const auto found =
        store_->get(FlowTable, shm::as_bytes_of(tcp_key()), std::as_writable_bytes(std::span<FlowValue, 1>(&value, 1)));
    EXPECT_TRUE(found.ok());
    return value;
  }

  std::string path_;
  std::optional<shm::Region> region_;
  std::optional<shm::Store> store_;
  std::optional<shm::StoreWriter> writer_;
  std::optional<StoreSink> sut_;
};

TEST_F(StoreSinkTest, AChangeIsWrittenOnceAndRemainingTimeAloneIsNone) {
  auto change = established();
  sut_->flow(change);
  const Sequence after = store_->committed();
  EXPECT_GT(after.value, 0U);
  change.value.timeout_seconds = 1;
  change.value.tcp_flags_original |= IP_CT_TCP_FLAG_BE_LIBERAL;
  sut_->flow(change);
  EXPECT_EQ(store_->committed(), after);
  EXPECT_EQ(sut_->counters().unchanged, 1U);
  change.value.tcp_state = TCP_CONNTRACK_FIN_WAIT;
  sut_->flow(change);
  EXPECT_GT(store_->committed(), after);
}

TEST_F(StoreSinkTest, AnEventKeepsTheRecordedPartsThatItDoesNotCarry) {
  sut_->flow(established());
  auto change = established();
  change.has_tcp = false;
  change.value.tcp_state = 0;
  change.value.mark = 7;
  sut_->flow(change);
  EXPECT_EQ(held().tcp_state, TCP_CONNTRACK_ESTABLISHED);
  EXPECT_EQ(held().mark, 7U);
  EXPECT_EQ(held().tcp_wscale_original, 7);
}

TEST_F(StoreSinkTest, ATcpFlowOfUnknownStateIsRecordedOnlyWhenAssured) {
  auto change = established();
  change.has_tcp = false;
  change.value.status = IPS_SEEN_REPLY | IPS_CONFIRMED;
  sut_->flow(change);
  EXPECT_EQ(store_->count(FlowTable), 0U);
  change.value.status |= IPS_ASSURED;
  sut_->flow(change);
  EXPECT_EQ(held().tcp_state, TCP_CONNTRACK_ESTABLISHED);
}

TEST_F(StoreSinkTest, AfterADumpWhatWasNotToldIsErasedAndWhatWasIsNotWrittenAgain) {
  sut_->flow(established());
  auto other = established();
  other.key.source_port = htons(4001);
  sut_->flow(other);
  RouteKey route;
  route.family = 4;
  const RouteValue value;
  sut_->route(route, &value);

  sut_->begin_dump({.routes_and_neighbors = false, .flows = true});
  sut_->flow(established());
  const Sequence before_sweep = store_->committed();
  sut_->end_dump();
  EXPECT_EQ(store_->count(FlowTable), 1U);
  EXPECT_EQ(store_->count(RouteTable), 1U) << "outside of the dump's scope";
  EXPECT_EQ(store_->committed().value, before_sweep.value + 1);
  (void)held();

  sut_->begin_dump({});
  sut_->end_dump();
  EXPECT_EQ(store_->count(FlowTable), 0U);
  EXPECT_EQ(store_->count(RouteTable), 0U);
}

TEST_F(StoreSinkTest, ADumpIntoAFullTableStillErasesWhatWasNotTold) {
  std::uint16_t port = 0;
  const auto numbered = [](std::uint16_t number) {
    auto change = established();
    change.key.source_port = htons(number);
    return change;
  };
  while (sut_->counters().full == 0) { sut_->flow(numbered(++port)); }
  const auto held_before = store_->count(FlowTable);

  // Port 1 is gone, and the one that finds no room stands for it in the number of keys told.
  sut_->begin_dump({.routes_and_neighbors = false, .flows = true});
  for (std::uint16_t number = 2; number <= port; ++number) { sut_->flow(numbered(number)); }
  sut_->end_dump();
  EXPECT_EQ(store_->count(FlowTable), held_before - 1);
  FlowValue value{};
  EXPECT_FALSE(store_->get(FlowTable, shm::as_bytes_of(numbered(1).key),
                           std::as_writable_bytes(std::span<FlowValue, 1>(&value, 1))));
}

/// As a kernel may list it whose connections go on changing meanwhile.
TEST_F(StoreSinkTest, OfAFlowThatADumpTellsTwiceTheLastWordIsRecorded) {
  const auto in_state = [](std::uint8_t state) {
    auto change = established();
    change.value.tcp_state = state;
    return change;
  };
  sut_->flow(established());
  sut_->begin_dump({.routes_and_neighbors = false, .flows = true});
  sut_->flow(in_state(TCP_CONNTRACK_FIN_WAIT));
  sut_->flow(established());
  sut_->end_dump();
  EXPECT_EQ(held().tcp_state, TCP_CONNTRACK_ESTABLISHED);

  sut_->begin_dump({.routes_and_neighbors = false, .flows = true});
  sut_->flow(in_state(TCP_CONNTRACK_CLOSE));
  auto gone = established();
  gone.gone = true;
  sut_->flow(gone);
  sut_->flow(in_state(TCP_CONNTRACK_TIME_WAIT));
  sut_->end_dump();
  EXPECT_EQ(held().tcp_state, TCP_CONNTRACK_TIME_WAIT);
}

/// One that fails is followed by another, and what it told before is true all the same.
TEST_F(StoreSinkTest, WhatADumpHasToldThatDidNotEndIsRecorded) {
  sut_->begin_dump({.routes_and_neighbors = false, .flows = true});
  sut_->flow(established());
  sut_->begin_dump({.routes_and_neighbors = true, .flows = false});
  sut_->end_dump();
  EXPECT_EQ(held().tcp_state, TCP_CONNTRACK_ESTABLISHED);
}

TEST_F(StoreSinkTest, AFullTableIsCountedAndIsNoFailure) {
  for (std::uint16_t port = 1; port < 1000; ++port) {
    auto change = established();
    change.key.source_port = htons(port);
    sut_->flow(change);
  }
  EXPECT_GT(sut_->counters().full, 0U);
  EXPECT_GE(store_->count(FlowTable), flow_capacity);
  EXPECT_TRUE(sut_->health().ok());
}

/// A region of which a guest has written every byte: in a table without an Empty slot each search passes all of them,
/// a millisecond for each flow of the kernel while the agent's loop stands still.
TEST(StoreSinkOfForeignBytes, ADumpIsBrokenOffWithAnErrorInsteadOfSearchingAllSlotsForEachRecord) {
  const std::string path = "/dev/shm/understudy-sink-test-foreign-" + std::to_string(::getpid());
  const shm::RegionSchema schema{{net_store_schema(170'000)}};
  const auto region = shm::Region::create(path, shm::Region::size_needed(schema).value(), schema).value();
  const shm::RawRegion raw(path, shm::Region::size_needed(schema).value());
  std::remove(path.c_str());
  auto writer = region.store(net_store_name).value().become_writer(Term{1}).value();
  const auto flow = [](std::uint16_t port) {
    FlowChange change;
    change.key = tcp_key();
    change.key.source_port = port;
    change.value = tcp_value();
    change.has_status = change.has_tcp = true;
    return change;
  };
  constexpr std::uint16_t flows = 100;
  StoreSink honest(writer);
  honest.begin_dump({.routes_and_neighbors = false, .flows = true});
  for (std::uint16_t port = 1; port <= flows; ++port) { honest.flow(flow(port)); }
  honest.end_dump();
  EXPECT_TRUE(honest.health().ok()) << honest.health().error().message;
  ASSERT_EQ(honest.counters().written, flows);

  const auto& table = raw.header().stores[0].tables[FlowTable];
  const std::uint64_t slot_words = shm::layout::slot_words(sizeof(FlowKey), sizeof(FlowValue));
  for (std::uint64_t n = 0; n < table.slot_count; ++n) {
    std::uint64_t* const slot = raw.word(table.slots_offset) + n * slot_words;
    *slot = shm::layout::head_of(1, shm::layout::kind_free,
                                 n % 2 == 0 ? shm::layout::kind_erased : shm::layout::kind_live, 0);
    slot[1] = n;
  }
  StoreSink sut(writer);
  sut.begin_dump({.routes_and_neighbors = false, .flows = true});
  for (std::uint16_t port = 1; port <= flows; ++port) { sut.flow(flow(port)); }
  sut.end_dump();
  EXPECT_FALSE(sut.health().ok());
  EXPECT_EQ(sut.counters().written, 0U);
  EXPECT_EQ(sut.counters().erased, 0U);
  sut.flow(flow(flows + 1));
  EXPECT_EQ(sut.counters().written, 0U) << "who is told to stop is not asked again";

  StoreSink told_of_nothing(writer);  // so that all of it is to be erased
  told_of_nothing.begin_dump({.routes_and_neighbors = false, .flows = true});
  told_of_nothing.end_dump();
  EXPECT_FALSE(told_of_nothing.health().ok());
  EXPECT_EQ(told_of_nothing.counters().erased, 0U);
}

}  // namespace
}  // namespace understudy::net::test
