// SPDX-License-Identifier: Apache-2.0
/// Covers: net-state/src/addresses.cpp, net-state/src/interfaces.cpp, net-state/src/namespace.cpp
#include <algorithm>

#include "lab.hpp"
#include "understudy/net/port_map.hpp"

namespace understudy::net::test {
namespace {

class LinksTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    where_.emplace("links");
    sut_.emplace(where_->links());
  }
  std::optional<TestNamespace> where_;
  std::optional<Links> sut_;
};

TEST_F(LinksTest, ABridgeHasPortsComingAndGoing) {
  ASSERT_OK(sut_->create_bridge("br0"));
  ASSERT_OK(sut_->create_veth("a", "b"));
  EXPECT_EQ(sut_->state("br0").value().kind, "bridge");
  ASSERT_OK(sut_->set_master("a", "br0"));
  EXPECT_EQ(sut_->state("a").value().master_index, sut_->index_of("br0").value());
  ASSERT_OK(sut_->clear_master("a"));
  EXPECT_EQ(sut_->state("a").value().master_index, 0);
}

TEST_F(LinksTest, ABridgingNamespaceKeepsBridgedFramesOutOfIpFilters) {
  ASSERT_OK(sut_->create_bridge("br0"));
  where_->in([] {
    for (const char* kind : {"iptables", "ip6tables", "arptables"}) {
      const auto value = get_sysctl(std::string("net.bridge.bridge-nf-call-") + kind);
      if (value.ok() || value.error().code != Errc::NotFound) { EXPECT_EQ(value.value(), "0") << kind; }
    }
  });
}

TEST_F(LinksTest, MacUpAndCarrierAreReadBack) {
  ASSERT_OK(sut_->create_veth("a", "b"));
  ASSERT_OK(sut_->set_mac("a", mac("02:e0:00:00:00:07")));
  ASSERT_OK(sut_->set_up("a", true));
  ASSERT_OK(sut_->set_up("b", true));
  EXPECT_EQ(sut_->state("a").value().mac, mac("02:e0:00:00:00:07"));
  EXPECT_TRUE(sut_->state("a").value().up);
  EXPECT_TRUE(eventually([&] { return sut_->state("a").value().carrier; }));
  ASSERT_OK(sut_->set_up("a", false));
  EXPECT_FALSE(sut_->state("a").value().up);
}

TEST_F(LinksTest, AQuietInterfaceHasNoAddressesButThoseGiven) {
  ASSERT_OK(sut_->create_veth("a", "b"));
  ASSERT_OK(sut_->set_quiet("a"));
  ASSERT_OK(sut_->set_up("a", true));
  ASSERT_OK(sut_->set_up("b", true));
  for (const char* text : {"10.50.1.1/24", "fd00:50:1::1/64", "fe80::1/64"}) {
    ASSERT_OK(sut_->add_address("a", prefix(text)));
    ASSERT_OK(sut_->add_address("a", prefix(text)));  // there already: success
  }
  auto addresses = sut_->addresses("a").value();
  std::sort(addresses.begin(), addresses.end());
  EXPECT_EQ(addresses, (std::vector{prefix("10.50.1.1/24"), prefix("fd00:50:1::1/64"), prefix("fe80::1/64")}));
  // Usable at once: a tentative address could not be bound.
  where_->in([&] {
    const Socket socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    ASSERT_EQ(::inet_pton(AF_INET6, "fd00:50:1::1", &address.sin6_addr), 1);
    EXPECT_EQ(::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  });
  ASSERT_OK(sut_->delete_address("a", prefix("fe80::1/64")));
  EXPECT_EQ(sut_->delete_address("a", prefix("fe80::1/64")).error().code, Errc::NotFound);
  EXPECT_EQ(sut_->addresses("a").value().size(), 2U);
}

TEST_F(LinksTest, AQuietInterfaceAsksForNothingAndBelievesNoRouter) {
  ASSERT_OK(sut_->create_veth("a", "b"));
  ASSERT_OK(sut_->set_quiet("a"));
  where_->in([] {
    for (const char* knob : {"accept_ra", "accept_dad", "dad_transmits", "router_solicitations"}) {
      EXPECT_EQ(get_sysctl(std::string("net.ipv6.conf.a.") + knob).value(), "0") << knob;
    }
  });
}

TEST_F(LinksTest, AnIpv6AddressIsUsableAtOnceWhereverItIsPut) {
  ASSERT_OK(sut_->create_veth("a", "b"));
  for (const char* name : {"a", "b"}) { ASSERT_OK(sut_->set_up(name, true)); }
  ASSERT_OK(sut_->add_address("a", prefix("fd00:50:1::1/64")));
  where_->in([&] {
    ASSERT_NE(get_sysctl("net.ipv6.conf.a.accept_dad").value(), "0") << "the kernel would look for duplicates";
    const Socket socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    ASSERT_EQ(::inet_pton(AF_INET6, "fd00:50:1::1", &address.sin6_addr), 1);
    EXPECT_EQ(::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
        << std::strerror(errno);
  });
}

TEST_F(LinksTest, ALinkMovesToAnotherNamespace) {
  const TestNamespace other("other");
  ASSERT_OK(sut_->create_veth("a", "b"));
  ASSERT_OK(sut_->move_to_namespace("b", other.path()));
  EXPECT_EQ(sut_->state("b").error().code, Errc::NotFound);
  auto there = other.links();
  ASSERT_OK(there.rename("b", "ext0"));
  EXPECT_EQ(there.state("ext0").value().kind, "veth");
}

TEST_F(LinksTest, ATapStaysWithoutItsMaker) {
  ASSERT_OK(sut_->create_tap("tap0", 0U));
  EXPECT_EQ(sut_->state("tap0").value().kind, "tun");
  EXPECT_EQ(sut_->create_tap("tap0").error().code, Errc::Refused);
  ASSERT_OK(sut_->delete_link("tap0"));
  EXPECT_EQ(sut_->state("tap0").error().code, Errc::NotFound);
}

TEST_F(LinksTest, WhatExistsIsRefusedAndWhatDoesNotIsNotFound) {
  ASSERT_OK(sut_->create_bridge("br0"));
  EXPECT_EQ(sut_->create_bridge("br0").error().code, Errc::Refused);
  EXPECT_EQ(sut_->delete_link("nope").error().code, Errc::NotFound);
  EXPECT_EQ(sut_->set_up("nope", true).error().code, Errc::NotFound);
  EXPECT_EQ(sut_->set_master("br0", "nope").error().code, Errc::NotFound);
  EXPECT_EQ(sut_->create_bridge("a-name-that-is-too-long").error().code, Errc::BadInput);
}

TEST_F(LinksTest, RoutesAreSetReplacedAndDeletedInBothFamilies) {
  ASSERT_OK(sut_->create_veth("a", "b"));
  ASSERT_OK(sut_->set_quiet("a"));
  ASSERT_OK(sut_->set_up("a", true));
  ASSERT_OK(sut_->set_up("b", true));
  ASSERT_OK(sut_->add_address("a", prefix("10.1.0.1/24")));
  ASSERT_OK(sut_->add_address("a", prefix("fd01::1/64")));
  ASSERT_TRUE(eventually([&] { return sut_->set_route(prefix("0.0.0.0/0"), ip("10.1.0.2")).ok(); }));
  ASSERT_OK(sut_->set_route(prefix("0.0.0.0/0"), ip("10.1.0.3")));
  ASSERT_OK(sut_->set_route(prefix("fd02::/64"), ip("fd01::2")));
  ASSERT_OK(sut_->set_route(prefix("::/0"), ip("fe80::1"), "a"));
  ASSERT_OK(sut_->delete_route(prefix("0.0.0.0/0")));
  EXPECT_EQ(sut_->delete_route(prefix("0.0.0.0/0")).error().code, Errc::NotFound);  // replaced, so there was one
  ASSERT_OK(sut_->delete_route(prefix("fd02::/64")));
  EXPECT_EQ(sut_->set_route(prefix("fd02::/64"), ip("10.1.0.2")).error().code, Errc::BadInput);
}

TEST_F(LinksTest, APortMapNamesTheInterfaceThatIsMissing) {
  ASSERT_OK(sut_->create_veth("ext0", "b"));
  where_->in([&] {
    const auto map = PortMap::resolve({{"ext", "ext0"}});
    ASSERT_OK(map);
    const auto name = make_port_name("ext").value();
    EXPECT_EQ(map.value().ifindex_of(name), sut_->index_of("ext0").value());
    EXPECT_EQ(map.value().port_of(sut_->index_of("ext0").value()), name);
    EXPECT_EQ(PortMap::resolve({{"int", "int0"}}).error().code, Errc::NotFound);
  });
}

TEST(LinkLocalAddress, IsTheKernelsOwn) {
  UNDERSTUDY_NEEDS_ROOT();
  const TestNamespace where("where");
  auto links = where.links();
  ASSERT_OK(links.create_veth("a", "b"));
  ASSERT_OK(links.set_mac("a", mac("02:e0:00:00:00:01")));
  ASSERT_OK(links.set_up("a", true));
  ASSERT_OK(links.set_up("b", true));
  EXPECT_EQ(link_local_of(mac("02:e0:00:00:00:01")).to_string(), "fe80::e0:ff:fe00:1/64");
  EXPECT_TRUE(eventually([&] {
    const auto addresses = links.addresses("a").value();
    return std::find(addresses.begin(), addresses.end(), link_local_of(mac("02:e0:00:00:00:01"))) != addresses.end();
  }));
}

TEST(Namespaces, AThreadComesBackFromAScopeAndNestsThem) {
  UNDERSTUDY_NEEDS_ROOT();
  const TestNamespace one("one");
  const TestNamespace two("two");
  auto links_one = one.links();
  auto links_two = two.links();
  ASSERT_OK(links_one.create_veth("only-in-one", "x"));
  ASSERT_OK(links_two.create_veth("only-in-two", "x"));
  one.in([&] {
    EXPECT_NE(::if_nametoindex("only-in-one"), 0U);
    two.in([&] { EXPECT_NE(::if_nametoindex("only-in-two"), 0U); });
    EXPECT_NE(::if_nametoindex("only-in-one"), 0U);
  });
  EXPECT_EQ(::if_nametoindex("only-in-one"), 0U);
}

TEST(Namespaces, SysctlsBelongToTheScope) {
  UNDERSTUDY_NEEDS_ROOT();
  const TestNamespace one("one");
  const TestNamespace two("two");
  one.in([] { ASSERT_OK(set_sysctl("net.ipv4.ip_forward", "1")); });
  two.in([] { EXPECT_EQ(get_sysctl("net.ipv4.ip_forward").value(), "0"); });
  one.in([] { EXPECT_EQ(get_sysctl("net.ipv4.ip_forward").value(), "1"); });
  EXPECT_EQ(set_sysctl("net.no.such.thing", "1").error().code, Errc::NotFound);
  EXPECT_EQ(set_sysctl("../../etc/passwd", "1").error().code, Errc::BadInput);
}

TEST(Namespaces, OneThatExistsIsRefusedAndStays) {
  UNDERSTUDY_NEEDS_ROOT();
  const TestNamespace one("one");
  EXPECT_EQ(create_namespace(one.path()).error().code, Errc::Refused);
  EXPECT_TRUE(NamespaceScope::enter(one.path()).ok());
  EXPECT_EQ(delete_namespace(one.path() + "-none").error().code, Errc::NotFound);
}

}  // namespace
}  // namespace understudy::net::test
