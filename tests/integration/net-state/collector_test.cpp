// SPDX-License-Identifier: Apache-2.0
/// Routes, neighbours and flows of a namespace become records, and cease to be.
#include "understudy/net/collector.hpp"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>

#include "store_fixture.hpp"
#include "understudy/net/announce.hpp"
#include "understudy/net/installer.hpp"

namespace understudy::net::test {
namespace {

class CollectorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    where_.emplace("place");
    peer_.emplace("peer");
    store_.emplace("collector");
    connect(*where_, "ext0", *peer_, "p0");
    connect(*where_, "mnt0", *peer_, "p1");
    auto links = where_->links();
    ASSERT_OK(links.add_address("ext0", prefix("10.23.4.121/24")));
    ASSERT_OK(links.add_address("ext0", prefix("fd00:23:4::121/64")));
    ASSERT_OK(links.add_address("mnt0", prefix("192.168.1.1/24")));
    sink_.emplace(store_->writer());
  }
  Collector open(CollectorOptions options = {}) {
    return where_->in([&] { return Collector::open(ports(), std::move(options)).value(); });
  }
  PortMap ports() {
    return where_->in([] { return PortMap::resolve({{"ext", "ext0"}}).value(); });
  }
  /// The only IPv4 route record there may be, by its gateway; "" when there is none.
  std::string route_gateway(const char* destination, std::uint8_t length) {
    RouteKey key;
    key.destination = ip(destination).bytes;
    key.family = ip(destination).family;
    key.prefix_length = length;
    key.table = RT_TABLE_MAIN;
    key.priority = key.family == 6 ? 1024 : 0;
    const auto value = store_->find<RouteKey, RouteValue>(RouteTable, key);
    return value ? IpAddress{key.family, value->gateway}.to_string() : "";
  }
  bool drains_until(Collector& sut, const std::function<bool()>& condition) {
    return eventually([&] {
      EXPECT_TRUE(sut.drain(*sink_).ok());
      return condition();
    });
  }
  Installer installer() {
    return where_->in([&] { return Installer::open(ports(), {}).value(); });
  }
  void make_flows(Installer& by, std::uint16_t first, std::uint16_t count, bool erase = false) {
    for (std::uint16_t i = 0; i < count; ++i) {
      FlowKey key;
      key.source = ip("10.50.1.2").bytes;
      key.destination = ip("10.23.4.1").bytes;
      key.source_port = htons(static_cast<std::uint16_t>(first + i));
      key.destination_port = htons(53);
      key.family = 4;
      key.protocol = IPPROTO_UDP;
      FlowValue value;
      value.reply_source = key.destination;
      value.reply_destination = key.source;
      value.reply_source_port = key.destination_port;
      value.reply_destination_port = key.source_port;
      value.status = IPS_SEEN_REPLY | IPS_CONFIRMED;
      const auto op = erase ? shm::JournalEntry::Op::Erase : shm::JournalEntry::Op::Put;
      ASSERT_OK(by.apply({Sequence{1}, FlowTable, op, shm::as_bytes_of(key), shm::as_bytes_of(value)}));
    }
    ASSERT_OK(by.flush());
  }
  std::optional<TestNamespace> where_, peer_;
  std::optional<NetStore> store_;
  std::optional<StoreSink> sink_;
};

TEST_F(CollectorTest, ConfiguredRoutesAreRecordedAndTheKernelsOwnAreNot) {
  auto sut = open();
  auto links = where_->links();
  ASSERT_OK(links.set_route(prefix("0.0.0.0/0"), ip("10.23.4.1")));  // before the dump
  ASSERT_OK(sut.dump(*sink_));
  EXPECT_EQ(route_gateway("0.0.0.0", 0), "10.23.4.1");
  ASSERT_OK(links.set_route(prefix("fd00:99::/64"), ip("fd00:23:4::1")));  // and after it
  ASSERT_OK(links.set_route(prefix("10.99.0.0/16"), ip("192.168.1.9")));   // not out of a port of the role
  ASSERT_TRUE(drains_until(sut, [&] { return route_gateway("fd00:99::", 64) == "fd00:23:4::1"; }));
  EXPECT_EQ(store_->store().count(RouteTable), 2U);
}

TEST_F(CollectorTest, AReplacedRouteIsChangedAndADeletedOneErased) {
  auto sut = open();
  auto links = where_->links();
  ASSERT_OK(links.set_route(prefix("0.0.0.0/0"), ip("10.23.4.1")));
  ASSERT_OK(sut.dump(*sink_));
  ASSERT_OK(links.set_route(prefix("0.0.0.0/0"), ip("10.23.4.2")));
  ASSERT_TRUE(drains_until(sut, [&] { return route_gateway("0.0.0.0", 0) == "10.23.4.2"; }));
  ASSERT_OK(links.delete_route(prefix("0.0.0.0/0")));
  ASSERT_TRUE(drains_until(sut, [&] { return route_gateway("0.0.0.0", 0).empty(); }));
}

TEST_F(CollectorTest, Ipv4RoutesThatTheKernelDropsWithoutAWordWithTheirPortAreErased) {
  auto sut = open();
  ASSERT_OK(where_->links().set_route(prefix("0.0.0.0/0"), ip("10.23.4.1")));
  ASSERT_OK(sut.dump(*sink_));
  ASSERT_EQ(route_gateway("0.0.0.0", 0), "10.23.4.1");
  ASSERT_OK(where_->links().set_up("ext0", false));
  EXPECT_TRUE(drains_until(sut, [&] { return route_gateway("0.0.0.0", 0).empty(); }));
}

TEST_F(CollectorTest, ANeighborThatAnnouncesItselfIsRecordedWithItsMac) {
  auto sut = open();
  ASSERT_OK(sut.dump(*sink_));
  where_->in([] { ASSERT_OK(set_sysctl("net.ipv4.conf.ext0.arp_accept", "1")); });
  NeighborKey key;
  key.address = ip("10.23.4.1").bytes;
  key.port = make_port_name("ext").value();
  key.family = 4;
  for (const char* text : {"02:00:00:00:00:07", "02:00:00:00:00:08"}) {
    ASSERT_TRUE(drains_until(sut, [&] {
      peer_->in([&] { EXPECT_TRUE(announce("p0", mac(text), {ip("10.23.4.1")}).ok()); });
      const auto value = store_->find<NeighborKey, NeighborValue>(NeighborTable, key);
      return value && value->mac == mac(text).bytes;
    })) << text;
  }
  ASSERT_OK(where_->links().set_up("ext0", false));  // flushes neighbours
  EXPECT_TRUE(drains_until(sut, [&] { return !store_->find<NeighborKey, NeighborValue>(NeighborTable, key); }));
}

TEST_F(CollectorTest, RunsDryOfAllThatTheKernelHasQueuedAlsoWhenItWasTooMuch) {
  CollectorOptions small;
  small.event_buffer_bytes = 4096;  // less than the first flows' events
  for (const bool overruns : {false, true}) {
    auto sut = open(overruns ? small : CollectorOptions{});
    ASSERT_OK(sut.dump(*sink_));
    auto by = installer();
    make_flows(by, overruns ? 3000 : 1000, 500);
    ASSERT_OK(sut.run_dry(*sink_));
    EXPECT_EQ(store_->store().count(FlowTable), overruns ? 1000U : 500U);
    EXPECT_EQ(sut.counters().overruns > 0, overruns);
    ASSERT_OK(sut.run_dry(*sink_));  // nothing is queued
  }
}

TEST_F(CollectorTest, FlowsComeAndGoByEvents) {
  auto sut = open();
  ASSERT_OK(sut.dump(*sink_));
  auto by = installer();
  make_flows(by, 1000, 300);
  ASSERT_TRUE(drains_until(sut, [&] { return store_->store().count(FlowTable) == 300; }));
  make_flows(by, 1000, 100, true);
  ASSERT_TRUE(drains_until(sut, [&] { return store_->store().count(FlowTable) == 200; }));
  EXPECT_EQ(sut.counters().overruns, 0U);
}

TEST_F(CollectorTest, ExcludedPrefixesAreNotRecorded) {
  CollectorOptions options;
  options.flows.excluded.push_back(prefix("10.50.1.0/24"));
  auto sut = open(options);
  auto by = installer();
  make_flows(by, 1000, 10);
  ASSERT_OK(sut.dump(*sink_));
  ASSERT_OK(sut.drain(*sink_));
  EXPECT_EQ(store_->store().count(FlowTable), 0U);
}

TEST_F(CollectorTest, AfterAnOverrunTheRecordsAreWhatTheKernelHas) {
  CollectorOptions options;
  options.event_buffer_bytes = 16 * 1024;  // a few events
  auto sut = open(options);
  auto by = installer();
  make_flows(by, 1000, 500);
  ASSERT_OK(sut.dump(*sink_));
  ASSERT_EQ(store_->store().count(FlowTable), 500U);
  make_flows(by, 1000, 400, true);  // most of these events are lost
  make_flows(by, 5000, 2000);
  ASSERT_TRUE(drains_until(sut, [&] { return store_->store().count(FlowTable) == 2100; }));
  EXPECT_GE(sut.counters().overruns, 1U);
  EXPECT_EQ(by.compare(store_->store()).value().missing, 0U);
}

TEST_F(CollectorTest, DrainingWithNothingToReadReturnsAtOnce) {
  auto sut = open();
  KernelPicture picture;
  ASSERT_OK(sut.dump(picture));
  ASSERT_OK(sut.drain(picture));
  const auto more = sut.drain(picture);
  ASSERT_OK(more);
  EXPECT_FALSE(more.value());
}

}  // namespace
}  // namespace understudy::net::test
