// SPDX-License-Identifier: Apache-2.0
/// One namespace with two ports; records written by hand.
/// Covers: net-state/src/flow_writer.cpp
#include "understudy/net/installer.hpp"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/rtnetlink.h>

#include "store_fixture.hpp"

namespace understudy::net::test {
namespace {

class InstallerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    where_.emplace("place");
    store_.emplace("installer");
    auto links = where_->links();
    ASSERT_OK(links.create_veth("ext0", "x"));
    ASSERT_OK(links.create_veth("int0", "y"));
    for (const char* name : {"ext0", "int0"}) { ASSERT_OK(links.set_quiet(name)); }
    for (const char* name : {"ext0", "int0", "x", "y"}) { ASSERT_OK(links.set_up(name, true)); }
    ASSERT_OK(links.add_address("ext0", prefix("10.23.4.121/24")));
    ASSERT_OK(links.add_address("ext0", prefix("fd00:23:4::121/64")));
    sut_.emplace(open({}));
  }
  Installer open(const InstallerOptions& options) {
    return where_->in([&] { return Installer::open(ports(), options).value(); });
  }
  PortMap ports() {
    return where_->in([] { return PortMap::resolve({{"ext", "ext0"}, {"int", "int0"}}).value(); });
  }
  static FlowKey key(std::uint16_t port, std::uint8_t protocol = IPPROTO_TCP) {
    FlowKey key;
    key.source = ip("10.50.1.2").bytes;
    key.destination = ip("10.23.4.1").bytes;
    key.source_port = htons(port);
    key.destination_port = htons(80);
    key.family = 4;
    key.protocol = protocol;
    return key;
  }
  static FlowValue value(std::uint16_t translated_port, std::uint8_t state = TCP_CONNTRACK_ESTABLISHED) {
    FlowValue value;
    value.reply_source = ip("10.23.4.1").bytes;
    value.reply_destination = ip("10.23.4.121").bytes;
    value.reply_source_port = htons(80);
    value.reply_destination_port = htons(translated_port);
    value.status = IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED | IPS_SRC_NAT | IPS_SRC_NAT_DONE;
    value.timeout_seconds = 60;
    value.tcp_state = state;
    return value;
  }
  std::optional<FlowValue> in_kernel(const FlowKey& of) {
    const auto picture = picture_of(*where_);
    const auto found = picture.flows.find(KernelPicture::text(of));
    return found == picture.flows.end() ? std::nullopt : std::optional(found->second);
  }
  void apply_put(Installer& sut, const FlowKey& of, const FlowValue& as) {
    const shm::JournalEntry entry{Sequence{1}, FlowTable, shm::JournalEntry::Op::Put, shm::as_bytes_of(of),
                                  shm::as_bytes_of(as)};
    ASSERT_OK(sut.apply(entry));
  }
  void apply_erase(Installer& sut, const FlowKey& of) {
    const shm::JournalEntry entry{Sequence{1}, FlowTable, shm::JournalEntry::Op::Erase, shm::as_bytes_of(of), {}};
    ASSERT_OK(sut.apply(entry));
  }
  void expect_in_kernel(const FlowKey& of, const FlowValue& as) {
    const auto found = in_kernel(of);
    ASSERT_TRUE(found);
    EXPECT_TRUE(same_in_kernel(*found, as));
    EXPECT_NE(found->status & IPS_SRC_NAT, 0U) << "the kernel must translate, not only look like it";
  }

  std::optional<TestNamespace> where_;
  std::optional<NetStore> store_;
  std::optional<Installer> sut_;
};

TEST_F(InstallerTest, ATranslatedFlowAppearsAsTheKernelShowedItAtItsSource) {
  apply_put(*sut_, key(4000), value(61000));
  ASSERT_OK(sut_->flush());
  EXPECT_EQ(sut_->report().refused, 0U) << sut_->report().first_refusal;
  expect_in_kernel(key(4000), value(61000));
}

TEST_F(InstallerTest, AChangedFlowIsUpdatedAndANewTranslationReplacesTheEntry) {
  apply_put(*sut_, key(4000), value(61000, TCP_CONNTRACK_SYN_RECV));
  ASSERT_OK(sut_->flush());
  apply_put(*sut_, key(4000), value(61000, TCP_CONNTRACK_ESTABLISHED));
  ASSERT_OK(sut_->flush());
  expect_in_kernel(key(4000), value(61000));
  apply_put(*sut_, key(4000), value(62000));
  ASSERT_OK(sut_->flush());
  expect_in_kernel(key(4000), value(62000));
  EXPECT_EQ(picture_of(*where_).flows.size(), 1U);
  EXPECT_EQ(sut_->report().refused, 0U) << sut_->report().first_refusal;
}

TEST_F(InstallerTest, AYoungerConnectionOnOldPortsReplacesTheAssuredOne) {
  apply_put(*sut_, key(4000), value(61000));
  ASSERT_OK(sut_->flush());
  auto younger = value(61000, TCP_CONNTRACK_SYN_RECV);
  younger.status = IPS_SEEN_REPLY | IPS_CONFIRMED;
  apply_put(*sut_, key(4000), younger);
  ASSERT_OK(sut_->flush());
  expect_in_kernel(key(4000), younger);
  EXPECT_EQ(sut_->report().refused, 0U) << sut_->report().first_refusal;
}

TEST_F(InstallerTest, ChangesOfOneFlowKeepTheirOrderInABatch) {
  apply_put(*sut_, key(4000), value(61000));
  ASSERT_OK(sut_->flush());
  apply_put(*sut_, key(4000), value(61000, TCP_CONNTRACK_FIN_WAIT));
  apply_erase(*sut_, key(4000));
  apply_put(*sut_, key(4000), value(62000));
  ASSERT_OK(sut_->flush());
  expect_in_kernel(key(4000), value(62000));
}

TEST_F(InstallerTest, ChangesOfOneFlowThatWaitTogetherCostTheKernelOneRequest) {
  for (const auto state : {TCP_CONNTRACK_SYN_SENT, TCP_CONNTRACK_SYN_RECV, TCP_CONNTRACK_ESTABLISHED}) {
    apply_put(*sut_, key(4000), value(61000, state));
  }
  apply_put(*sut_, key(4001), value(61001));
  apply_erase(*sut_, key(4001));
  ASSERT_OK(sut_->flush());
  EXPECT_EQ(sut_->report().installed, 1U);
  expect_in_kernel(key(4000), value(61000, TCP_CONNTRACK_ESTABLISHED));
  EXPECT_FALSE(in_kernel(key(4001)));
  EXPECT_EQ(sut_->report().refused, 0U) << sut_->report().first_refusal;
}

TEST_F(InstallerTest, ErasingWhatIsNotThereIsNoRefusal) {
  apply_erase(*sut_, key(4000));
  apply_put(*sut_, key(4001), value(61001));
  apply_erase(*sut_, key(4001));
  ASSERT_OK(sut_->flush());
  EXPECT_EQ(sut_->report().refused, 0U);
  EXPECT_TRUE(picture_of(*where_).flows.empty());
}

TEST_F(InstallerTest, ATranslatedTupleThatAnotherFlowHoldsIsRefusedByName) {
  apply_put(*sut_, key(4000), value(61000));
  apply_put(*sut_, key(4001), value(61000));
  ASSERT_OK(sut_->flush());
  EXPECT_EQ(sut_->report().refused, 1U);
  EXPECT_NE(sut_->report().first_refusal.find("tcp 10.50.1.2:4001 -> 10.23.4.1:80"), std::string::npos)
      << sut_->report().first_refusal;
  expect_in_kernel(key(4000), value(61000));
}

TEST_F(InstallerTest, FollowedFlowsAreHeldAndSettledToTheirRemainingTime) {
  auto udp = value(61000, 0);
  udp.timeout_seconds = 100;
  const auto udp_key = key(4000, IPPROTO_UDP);
  store_->put(FlowTable, udp_key, udp);
  ASSERT_OK(sut_->install_all(store_->store()));
  ASSERT_TRUE(in_kernel(udp_key));
  EXPECT_GT(in_kernel(udp_key)->timeout_seconds, 3600U);
  ASSERT_OK(sut_->settle(store_->store()));
  EXPECT_LE(in_kernel(udp_key)->timeout_seconds, 100U);
  EXPECT_GT(in_kernel(udp_key)->timeout_seconds, 0U);
  EXPECT_EQ(sut_->report().refused, 0U) << sut_->report().first_refusal;
}

TEST_F(InstallerTest, ThousandsOfFlowsOfAStoreAreInstalledAndCompareEqual) {
  constexpr std::uint16_t count = 5000;
  for (std::uint16_t i = 0; i < count; ++i) {
    store_->put(FlowTable, key(static_cast<std::uint16_t>(10000 + i)), value(static_cast<std::uint16_t>(20000 + i)));
  }
  ASSERT_OK(sut_->install_all(store_->store()));
  EXPECT_EQ(sut_->report().installed, count);
  EXPECT_EQ(sut_->report().refused, 0U) << sut_->report().first_refusal;
  auto difference = sut_->compare(store_->store());
  ASSERT_OK(difference);
  EXPECT_EQ(difference.value().same, count);
  EXPECT_EQ(difference.value().missing + difference.value().different + difference.value().surplus, 0U)
      << difference.value().first;

  ASSERT_OK(sut_->install_all(store_->store()));  // again: replaced in place
  EXPECT_EQ(sut_->report().refused, 0U) << sut_->report().first_refusal;
  EXPECT_EQ(sut_->compare(store_->store()).value().same, count);

  ASSERT_OK(store_->writer().erase(FlowTable, shm::as_bytes_of(key(10000))));
  store_->put(FlowTable, key(10001), value(20001, TCP_CONNTRACK_LAST_ACK));
  store_->put(FlowTable, key(999), value(999));
  difference = sut_->compare(store_->store());
  EXPECT_EQ(difference.value().surplus, 1U);
  EXPECT_EQ(difference.value().different, 1U);
  EXPECT_EQ(difference.value().missing, 1U);
}

TEST_F(InstallerTest, RoutesAndNeighborsOfBothFamiliesCompareEqual) {
  const auto add_route = [&](const char* destination, std::uint8_t length, const char* gateway, std::uint8_t scope) {
    RouteKey route;
    route.destination = ip(destination).bytes;
    route.family = ip(destination).family;
    route.prefix_length = length;
    route.table = RT_TABLE_MAIN;
    route.priority = route.family == 6 ? 1024 : 0;
    RouteValue out;
    out.gateway = ip(gateway).bytes;
    out.port = make_port_name("ext").value();
    out.type = RTN_UNICAST;
    out.scope = scope;
    out.protocol = RTPROT_STATIC;
    store_->put(RouteTable, route, out);
    return route;
  };
  add_route("10.99.0.0", 16, "10.23.5.1", RT_SCOPE_UNIVERSE);  // its gateway is reachable by the next one only
  add_route("10.23.5.0", 24, "0.0.0.0", RT_SCOPE_LINK);
  const auto v6 = add_route("fd00:99::", 64, "fd00:23:4::1", RT_SCOPE_UNIVERSE);
  for (const char* address : {"10.23.4.1", "fd00:23:4::1"}) {
    NeighborKey neighbor;
    neighbor.address = ip(address).bytes;
    neighbor.family = ip(address).family;
    neighbor.port = make_port_name("ext").value();
    NeighborValue at;
    at.mac = {2, 0, 0, 0, 0, 9};
    at.state = NUD_REACHABLE;
    store_->put(NeighborTable, neighbor, at);
  }
  ASSERT_OK(sut_->install_all(store_->store()));
  EXPECT_EQ(sut_->report().refused, 0U) << sut_->report().first_refusal;
  auto difference = sut_->compare(store_->store()).value();
  EXPECT_EQ(difference.same, 5U);
  EXPECT_EQ(difference.missing + difference.different, 0U) << difference.first;

  const shm::JournalEntry gone{Sequence{9}, RouteTable, shm::JournalEntry::Op::Erase, shm::as_bytes_of(v6), {}};
  ASSERT_OK(sut_->apply(gone));
  ASSERT_OK(sut_->apply(gone));  // gone already
  difference = sut_->compare(store_->store()).value();
  EXPECT_EQ(difference.missing, 1U);
  EXPECT_NE(difference.first.find("route fd00:99::/64 is missing"), std::string::npos) << difference.first;
}

TEST_F(InstallerTest, Misuse_HostileRecordsAreRefusedAndTheRestIsInstalled) {
  auto hostile = value(61000);
  hostile.tcp_state = 99;
  apply_put(*sut_, key(4000), hostile);
  const std::byte few[3]{};
  ASSERT_OK(sut_->apply({Sequence{1}, FlowTable, shm::JournalEntry::Op::Put, few, few}));
  ASSERT_OK(sut_->apply({Sequence{1}, 77, shm::JournalEntry::Op::Put, few, few}));
  NeighborKey unknown_port;
  unknown_port.family = 4;
  unknown_port.port.fill('z');
  const NeighborValue at;
  ASSERT_OK(sut_->apply(
      {Sequence{1}, NeighborTable, shm::JournalEntry::Op::Put, shm::as_bytes_of(unknown_port), shm::as_bytes_of(at)}));
  apply_put(*sut_, key(4001), value(61001));
  ASSERT_OK(sut_->flush());
  EXPECT_EQ(sut_->report().refused, 4U);
  expect_in_kernel(key(4001), value(61001));
}

}  // namespace
}  // namespace understudy::net::test
