// SPDX-License-Identifier: Apache-2.0
/// Two gateways with the same MACs and addresses, of which the switch admits one:
///
///     client int0 ── int ──┬── gw1 ──┬── ext ── ext0 server        gw1 serves, its kernel state is collected,
///                          └── gw2 ──┘                             installed in gw2, then the switch turns over
///
/// IPv4 is translated with fully random ports, so a flow that was not installed cannot survive by luck. IPv6 is routed.
/// Covers: net-state/src/grace.cpp
#include <linux/if_ether.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>

#include "store_fixture.hpp"
#include "understudy/net/announce.hpp"
#include "understudy/net/gate.hpp"
#include "understudy/net/grace.hpp"
#include "understudy/net/installer.hpp"
#include "understudy/net/nft.hpp"

namespace understudy::net::test {
namespace {

constexpr const char* role_ruleset = R"(
table ip role_nat {
  chain pre { type nat hook prerouting priority dstnat; iifname "ext0" tcp dport 8080 dnat to 10.50.1.2:80; }
  chain post { type nat hook postrouting priority srcnat; oifname "ext0" snat to 10.23.4.121 fully-random; }
}
table inet role_filter {
  chain forward { type filter hook forward priority 0; ct state established,related accept; }
}
)";

struct Endpoint {
  sockaddr_storage bytes{};
  socklen_t length = 0;
  Endpoint(const char* address, std::uint16_t port) {
    const IpAddress at = ip(address);
    if (at.is_v4()) {
      auto* v4 = reinterpret_cast<sockaddr_in*>(&bytes);
      v4->sin_family = AF_INET;
      v4->sin_port = htons(port);
      std::memcpy(&v4->sin_addr, at.bytes.data(), 4);
      length = sizeof(sockaddr_in);
    } else {
      auto* v6 = reinterpret_cast<sockaddr_in6*>(&bytes);
      v6->sin6_family = AF_INET6;
      v6->sin6_port = htons(port);
      std::memcpy(&v6->sin6_addr, at.bytes.data(), 16);
      length = sizeof(sockaddr_in6);
    }
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
  [[nodiscard]] int family() const { return bytes.ss_family; }
};

/// An established connection.
struct Connection {
  Socket client, server;
  static void say(const Socket& from, const std::string& text) {
    ASSERT_EQ(::send(from.fd(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  /// What arrives; an error's text when the connection breaks.
  static std::string hear(const Socket& to) {
    char text[64];
    if (!to.readable(20s)) { return "nothing"; }
    const ssize_t got = ::recv(to.fd(), text, sizeof text, 0);
    return got >= 0 ? std::string(text, static_cast<std::size_t>(got)) : std::strerror(errno);
  }
};

class RoundTripTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    switch_.emplace("switch");
    client_.emplace("client");
    server_.emplace("server");
    gateways_[0].emplace("gw1");
    gateways_[1].emplace("gw2");
    auto links = switch_->links();
    for (const char* bridge : {"int", "ext"}) {
      ASSERT_OK(links.create_bridge(bridge));
      ASSERT_OK(links.set_up(bridge, true));
    }
    isolation_.emplace(SwitchIsolation::attach(switch_->path()).value());
    plug("c-int", "int", *client_, "int0");
    plug("s-ext", "ext", *server_, "ext0");
    configure_hosts();
    for (std::size_t i = 0; i < 2; ++i) {
      plug("g" + std::to_string(i + 1) + "-int", "int", *gateways_[i], "int0");
      plug("g" + std::to_string(i + 1) + "-ext", "ext", *gateways_[i], "ext0");
    }
    ASSERT_OK(isolation_->isolate(ports_of(2)));
    for (std::size_t i = 0; i < 2; ++i) { configure_gateway(i + 1); }
  }
  void plug(const std::string& port, const std::string& bridge, const TestNamespace& where, const std::string& name) {
    connect(*switch_, port, where, name);
    ASSERT_OK(switch_->links().set_master(port, bridge));
  }
  static void add_addresses(const TestNamespace& where, const std::string& name, const std::vector<const char*>& all) {
    for (const char* address : all) { ASSERT_OK(where.links().add_address(name, prefix(address))); }
  }
  void configure_hosts() {
    add_addresses(*client_, "int0", {"10.50.1.2/24", "fd00:50:1::2/64"});
    add_addresses(*server_, "ext0", {"10.23.4.1/24", "fd00:23:4::1/64"});
    ASSERT_OK(client_->links().set_route(prefix("0.0.0.0/0"), ip("10.50.1.1")));
    ASSERT_OK(client_->links().set_route(prefix("::/0"), ip("fe80::1"), "int0"));
    add_addresses(*client_, "int0", {"fe80::2/64"});
    ASSERT_OK(server_->links().set_route(prefix("fd00:50:1::/64"), ip("fd00:23:4::121")));
  }
  void configure_gateway(std::size_t number) {
    const TestNamespace& gateway = *gateways_[number - 1];
    ASSERT_OK(gateway.links().set_mac("ext0", ext_mac_));
    ASSERT_OK(gateway.links().set_mac("int0", int_mac_));
    add_addresses(gateway, "ext0", {"10.23.4.121/24", "fd00:23:4::121/64"});
    add_addresses(gateway, "int0", {"10.50.1.1/24", "fd00:50:1::1/64", "fe80::1/64"});
    // Without a link-local address a router cannot solicit the neighbours that it forwards to.
    ASSERT_OK(gateway.links().add_address("ext0", link_local_of(ext_mac_)));
    gateway.in([] {
      ASSERT_OK(set_sysctl("net.ipv4.ip_forward", "1"));
      ASSERT_OK(set_sysctl("net.ipv6.conf.all.forwarding", "1"));
      ASSERT_OK(Nft::open().value().load(role_ruleset));
    });
  }
  static std::vector<std::string> ports_of(int number) {
    const std::string g = "g" + std::to_string(number);
    return {g + "-int", g + "-ext"};
  }
  PortMap port_map(std::size_t number) {
    return gateways_[number - 1]->in([] { return PortMap::resolve({{"ext", "ext0"}, {"int", "int0"}}).value(); });
  }
  Collector collect(std::size_t number) {
    return gateways_[number - 1]->in([&] { return Collector::open(port_map(number), {}).value(); });
  }
  Installer install(std::size_t number) {
    return gateways_[number - 1]->in([&] { return Installer::open(port_map(number), {}).value(); });
  }
  /// gw1 falls silent, gw2 speaks.
  void turn_over() {
    ASSERT_OK(isolation_->isolate(ports_of(1)));
    ASSERT_OK(isolation_->readmit(ports_of(2)));
    gateways_[1]->in([&] {
      ASSERT_OK(announce("ext0", ext_mac_, {ip("10.23.4.121"), ip("fd00:23:4::121")}));
      ASSERT_OK(announce("int0", int_mac_, {ip("10.50.1.1"), ip("fd00:50:1::1"), ip("fe80::1")}));
    });
  }
  /// `from` connects to `to`, which listens in `where`.
  Connection connect_tcp(const TestNamespace& from, const TestNamespace& where, const Endpoint& listen_at,
                         const Endpoint& to) {
    const Socket listener =
        where.in([&] { return Socket(::socket(listen_at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)); });
    const int on = 1;
    (void)::setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    EXPECT_EQ(::bind(listener.fd(), listen_at.get(), listen_at.length), 0) << std::strerror(errno);
    EXPECT_EQ(::listen(listener.fd(), 4), 0);
    Connection connection;
    connection.client = from.in([&] { return Socket(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)); });
    const timeval patience{20, 0};
    (void)::setsockopt(connection.client.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    EXPECT_EQ(::connect(connection.client.fd(), to.get(), to.length), 0) << std::strerror(errno);
    if (listener.readable()) { connection.server = Socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC)); }
    Connection::say(connection.client, "hello");
    EXPECT_EQ(Connection::hear(connection.server), "hello");
    return connection;
  }
  static bool is_established(const FlowKey& key, const FlowValue& value, std::uint8_t family) {
    return key.family == family && key.protocol == IPPROTO_TCP && value.tcp_state == 3 && (value.status & 4U) != 0;
  }
  /// Drains until the store holds the flow.
  static bool captured(Collector& collector, StoreSink& sink, NetStore& store,
                       const std::function<bool(const FlowKey&, const FlowValue&)>& fits) {
    return eventually([&] {
      EXPECT_TRUE(collector.drain(sink).ok());
      return store.flow(fits).has_value();
    });
  }
  static void expect_alive(const Connection& connection, const char* what) {
    Connection::say(connection.server, "from server");  // first: the direction that resets what is not installed
    EXPECT_EQ(Connection::hear(connection.client), "from server") << what;
    Connection::say(connection.client, "from client");
    EXPECT_EQ(Connection::hear(connection.server), "from client") << what;
  }

  const MacAddress ext_mac_ = mac("02:e0:00:00:00:01");
  const MacAddress int_mac_ = mac("02:e1:00:00:00:01");
  std::optional<TestNamespace> switch_, client_, server_, gateways_[2];
  std::optional<SwitchIsolation> isolation_;
};

TEST_F(RoundTripTest, AConnectionThatWasNotInstalledIsResetSoThatTheOtherTestsMeanSomething) {
  const auto connection = connect_tcp(*client_, *server_, {"10.23.4.1", 80}, {"10.23.4.1", 80});
  turn_over();
  Connection::say(connection.server, "from server");
  EXPECT_EQ(Connection::hear(connection.server), "Connection reset by peer");
}

TEST_F(RoundTripTest, ConnectionsOfEveryKindGoOnAtTheOtherGateway) {
  auto collector = collect(1);
  NetStore store("gw1");
  StoreSink sink(store.writer());
  ASSERT_OK(collector.dump(sink));
  const auto translated = connect_tcp(*client_, *server_, {"10.23.4.1", 80}, {"10.23.4.1", 80});
  const auto forwarded = connect_tcp(*server_, *client_, {"10.50.1.2", 80}, {"10.23.4.121", 8080});
  const auto routed = connect_tcp(*client_, *server_, {"fd00:23:4::1", 80}, {"fd00:23:4::1", 80});
  ASSERT_TRUE(captured(collector, sink, store, [](const FlowKey& key, const FlowValue& value) {
    return is_established(key, value, 4) && key.destination == ip("10.23.4.1").bytes;
  }));
  ASSERT_TRUE(captured(collector, sink, store, [](const FlowKey& key, const FlowValue& value) {
    return is_established(key, value, 4) && key.destination == ip("10.23.4.121").bytes;
  }));
  ASSERT_TRUE(captured(collector, sink, store,
                       [](const FlowKey& key, const FlowValue& value) { return is_established(key, value, 6); }));

  auto installer = install(2);
  ASSERT_OK(installer.install_all(store.store()));
  EXPECT_EQ(installer.report().refused, 0U) << installer.report().first_refusal;
  const auto difference = installer.compare(store.store());
  ASSERT_OK(difference);
  EXPECT_EQ(difference.value().missing, 0U) << difference.value().first;
  EXPECT_EQ(difference.value().different, 0U) << difference.value().first;
  EXPECT_GE(difference.value().same, 3U);

  turn_over();
  expect_alive(translated, "source NAT");
  expect_alive(forwarded, "destination NAT");
  expect_alive(routed, "IPv6");
}

TEST_F(RoundTripTest, UdpAndEchoKeepTheirTranslation) {
  auto collector = collect(1);
  NetStore store("gw1");
  StoreSink sink(store.writer());
  ASSERT_OK(collector.dump(sink));
  const Endpoint at("10.23.4.1", 5353);
  const Socket server = server_->in([] { return Socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
  ASSERT_EQ(::bind(server.fd(), at.get(), at.length), 0);
  const Socket client = client_->in([] { return Socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
  ASSERT_EQ(::connect(client.fd(), at.get(), at.length), 0);
  Connection::say(client, "1");
  ASSERT_TRUE(server.readable());
  char text[64];
  sockaddr_storage seen{};
  socklen_t seen_length = sizeof seen;
  ASSERT_EQ(::recvfrom(server.fd(), text, sizeof text, 0, reinterpret_cast<sockaddr*>(&seen), &seen_length), 1);
  const auto answer = [&](const char* what) {
    ASSERT_EQ(::sendto(server.fd(), what, 1, 0, reinterpret_cast<sockaddr*>(&seen), seen_length), 1);
    EXPECT_EQ(Connection::hear(client), what);
  };
  answer("2");
  const Socket pinger = client_->in([] { return Socket(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP)); });
  ASSERT_EQ(::connect(pinger.fd(), at.get(), at.length), 0);
  const auto ping = [&](std::uint16_t sequence) {
    icmphdr echo{};
    echo.type = ICMP_ECHO;
    echo.un.echo.id = htons(777);
    echo.un.echo.sequence = htons(sequence);
    echo.checksum = static_cast<std::uint16_t>(~(std::uint32_t{ICMP_ECHO} + htons(777) + htons(sequence)));
    ASSERT_EQ(::send(pinger.fd(), &echo, sizeof echo, 0), static_cast<ssize_t>(sizeof echo));
    std::uint8_t reply[128];
    ASSERT_TRUE(pinger.readable());
    ASSERT_GE(::recv(pinger.fd(), reply, sizeof reply, 0), 28);
    EXPECT_EQ(reply[20], ICMP_ECHOREPLY);
    EXPECT_EQ(reply[24] << 8 | reply[25], 777);
    EXPECT_EQ(reply[26] << 8 | reply[27], sequence);
  };
  ping(1);
  const auto replied = [](std::uint8_t protocol) {
    return [protocol](const FlowKey& key, const FlowValue& value) {
      return key.protocol == protocol && (value.status & 2U) != 0;
    };
  };
  ASSERT_TRUE(captured(collector, sink, store, replied(IPPROTO_UDP)));
  ASSERT_TRUE(captured(collector, sink, store,
                       [](const FlowKey& key, const FlowValue&) { return key.protocol == IPPROTO_ICMP; }));
  auto installer = install(2);
  ASSERT_OK(installer.install_all(store.store()));
  EXPECT_EQ(installer.report().refused, 0U) << installer.report().first_refusal;
  EXPECT_EQ(installer.compare(store.store()).value().missing, 0U);
  EXPECT_EQ(installer.compare(store.store()).value().different, 0U) << installer.compare(store.store()).value().first;
  turn_over();
  answer("3");  // the server sends first, to the translated port that only the installed entry knows
  ping(2);
}

TEST_F(RoundTripTest, TheJournalIsFollowedToTheEndOfAConnection) {
  auto collector = collect(1);
  NetStore store("gw1");
  StoreSink sink(store.writer());
  ASSERT_OK(collector.dump(sink));
  auto installer = install(2);
  shm::JournalReader reader(store.store(), Sequence{});
  const auto follow = [&] {
    for (;;) {
      const auto chunk = reader.read(65536);
      ASSERT_OK(chunk);
      if (chunk.value().state != shm::JournalReader::State::Entries) { break; }
      const auto visited = shm::for_each_entry(
          chunk.value().bytes, [&](const shm::JournalEntry& entry) { EXPECT_TRUE(installer.apply(entry).ok()); });
      ASSERT_OK(visited);
    }
    ASSERT_OK(installer.flush());
  };
  {
    const auto connection = connect_tcp(*client_, *server_, {"10.23.4.1", 80}, {"10.23.4.1", 80});
    ASSERT_TRUE(captured(collector, sink, store,
                         [](const FlowKey& key, const FlowValue& value) { return is_established(key, value, 4); }));
    follow();
    EXPECT_EQ(installer.compare(store.store()).value().missing, 0U);
    EXPECT_EQ(installer.compare(store.store()).value().different, 0U);
    gateways_[0]->in([] { ASSERT_OK(set_sysctl("net.netfilter.nf_conntrack_tcp_timeout_close", "1")); });
    const linger at_once{1, 0};  // a reset: the entry goes to CLOSE and dies soon
    (void)::setsockopt(connection.client.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  const auto closing = [](const FlowKey& key, const FlowValue& value) {
    return key.family == 4 && key.protocol == IPPROTO_TCP && value.tcp_state >= 7;
  };
  ASSERT_TRUE(eventually([&] {
    EXPECT_TRUE(collector.drain(sink).ok());
    return store.flow(closing) || !store.flow([](const FlowKey& key, const FlowValue&) { return key.family == 4; });
  }));
  follow();
  EXPECT_EQ(installer.report().refused, 0U) << installer.report().first_refusal;
  EXPECT_EQ(installer.compare(store.store()).value().different, 0U) << installer.compare(store.store()).value().first;

  // What is left dies, and its erasure reaches the other kernel.
  ASSERT_TRUE(eventually(
      [&] {
        EXPECT_TRUE(collector.drain(sink).ok());
        EXPECT_TRUE(picture_of(*gateways_[0]).flows.size() < 100);  // walking the table collects what is dead
        return !store.flow([](const FlowKey& key, const FlowValue&) { return key.protocol == IPPROTO_TCP; });
      },
      30s));
  follow();
  EXPECT_EQ(picture_of(*gateways_[1]).flows.size(), store.store().count(FlowTable));
}

TEST_F(RoundTripTest, ACollectorThatStartsWhereAnInstallerWorkedRecordsNothing) {
  auto collector = collect(1);
  NetStore store("gw1");
  StoreSink sink(store.writer());
  ASSERT_OK(collector.dump(sink));
  const auto connection = connect_tcp(*client_, *server_, {"10.23.4.1", 80}, {"10.23.4.1", 80});
  ASSERT_TRUE(captured(collector, sink, store,
                       [](const FlowKey& key, const FlowValue& value) { return is_established(key, value, 4); }));
  auto installer = install(2);
  ASSERT_OK(installer.install_all(store.store()));
  const Sequence before = store.store().committed();
  auto successor = collect(2);
  StoreSink successor_sink(store.writer());
  ASSERT_OK(successor.dump(successor_sink));
  ASSERT_OK(successor.drain(successor_sink));
  EXPECT_EQ(store.store().committed(), before);
  EXPECT_GE(successor_sink.counters().unchanged, 1U);
  EXPECT_EQ(successor_sink.counters().erased, 0U);

  turn_over();  // and flows that begin there are recorded
  const auto younger = connect_tcp(*client_, *server_, {"fd00:23:4::1", 80}, {"fd00:23:4::1", 80});
  EXPECT_TRUE(captured(successor, successor_sink, store,
                       [](const FlowKey& key, const FlowValue& value) { return is_established(key, value, 6); }));
}

TEST_F(RoundTripTest, DuringTheGracePeriodAYoungFlowIsNotReset) {
  const auto connection = connect_tcp(*client_, *server_, {"10.23.4.1", 80}, {"10.23.4.1", 80});
  auto grace = GracePeriod::begin({{ip("10.23.4.121"), ip("fd00:23:4::121")}, true}, gateways_[1]->path());
  ASSERT_OK(grace);
  gateways_[1]->in([] { EXPECT_EQ(get_sysctl("net.netfilter.nf_conntrack_tcp_loose").value(), "0"); });
  turn_over();
  Connection::say(connection.server, "from server");
  Connection::say(connection.client, "from client");
  ASSERT_TRUE(eventually([&] { return grace.value().dropped().value() >= 2; }));
  for (const Socket* socket : {&connection.server, &connection.client}) {
    tcp_info info{};
    socklen_t length = sizeof info;
    ASSERT_EQ(::getsockopt(socket->fd(), IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    EXPECT_EQ(info.tcpi_state, TCP_ESTABLISHED);
  }
  ASSERT_OK(grace.value().end());
  gateways_[1]->in([] {
    EXPECT_EQ(get_sysctl("net.netfilter.nf_conntrack_tcp_loose").value(), "1");
    EXPECT_FALSE(Nft::open().value().list_json("list table inet understudy_grace").ok());
  });
  ASSERT_OK(grace.value().end());  // again: nothing to do
}

/// How many IPv4 packets from this address came to the interface that `wire` listens on.
int packets_from(const Socket& wire, const char* address) {
  const IpAddress from = ip(address);
  int found = 0;
  std::uint8_t packet[128];
  for (ssize_t got = 0; (got = ::recv(wire.fd(), packet, sizeof packet, MSG_DONTWAIT)) >= 0;) {
    found += got >= 20 && std::memcmp(packet + 12, from.bytes.data(), 4) == 0 ? 1 : 0;
  }
  return found;
}

TEST_F(RoundTripTest, DuringTheGracePeriodNothingOfAYoungFlowLeavesUntranslated) {
  const auto connection = connect_tcp(*client_, *server_, {"10.23.4.1", 80}, {"10.23.4.1", 80});
  const Socket wire =
      server_->in([] { return Socket(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP))); });
  auto grace = GracePeriod::begin({{ip("10.23.4.121")}, true}, gateways_[1]->path());
  ASSERT_OK(grace);
  turn_over();
  Connection::say(connection.client, "from client");
  ASSERT_TRUE(eventually([&] { return grace.value().dropped().value() >= 1; }));
  EXPECT_EQ(packets_from(wire, "10.50.1.2"), 0);
  // So that the check means something: without the grace period they do.
  ASSERT_OK(grace.value().end());
  gateways_[1]->in([] { ASSERT_OK(set_sysctl("net.netfilter.nf_conntrack_tcp_loose", "0")); });
  EXPECT_TRUE(eventually([&] { return packets_from(wire, "10.50.1.2") > 0; }));
}

TEST_F(RoundTripTest, DuringTheGracePeriodPingsAreAnswered) {
  auto grace = GracePeriod::begin({{ip("10.23.4.121"), ip("fd00:23:4::121")}, true}, gateways_[1]->path());
  ASSERT_OK(grace);
  turn_over();
  const Endpoint at("10.23.4.121", 0);
  const Socket pinger = server_->in([] { return Socket(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP)); });
  ASSERT_EQ(::connect(pinger.fd(), at.get(), at.length), 0);
  icmphdr echo{};
  echo.type = ICMP_ECHO;
  echo.checksum = static_cast<std::uint16_t>(~std::uint32_t{ICMP_ECHO});
  ASSERT_EQ(::send(pinger.fd(), &echo, sizeof echo, 0), static_cast<ssize_t>(sizeof echo));
  EXPECT_TRUE(pinger.readable(3s)) << "a ping resets nobody";
  EXPECT_EQ(grace.value().dropped().value(), 0U);
}

TEST_F(RoundTripTest, DuringTheGracePeriodServicesOfTheRoleAndNewFlowsFromInsideWork) {
  auto grace = GracePeriod::begin({{ip("10.23.4.121")}, true}, gateways_[1]->path());
  ASSERT_OK(grace);
  turn_over();
  (void)connect_tcp(*server_, *gateways_[1], {"10.23.4.121", 2222}, {"10.23.4.121", 2222});
  (void)connect_tcp(*client_, *server_, {"10.23.4.1", 80}, {"10.23.4.1", 80});
}

}  // namespace
}  // namespace understudy::net::test
