// SPDX-License-Identifier: Apache-2.0
/// What announcing is for: a neighbour that knows an address under an old MAC knows the new one afterwards.
///     old o0 ┐
///            ├ br0 ── n0 neighbor
///     new w0 ┘
#include "understudy/net/announce.hpp"

#include "lab.hpp"
#include "understudy/net/collector.hpp"

namespace understudy::net::test {
namespace {

struct NeighborSink final : ChangeSink {
  std::vector<std::pair<AddressBytes, std::array<std::uint8_t, 6>>> known;
  void route(const RouteKey&, const RouteValue*) override {}
  void neighbor(const NeighborKey& key, const NeighborValue* value) override {
    if (value != nullptr) { known.emplace_back(key.address, value->mac); }
  }
  void flow(const FlowChange&) override {}
};

class AnnounceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    switch_.emplace("switch");
    old_.emplace("old");
    new_.emplace("new");
    neighbor_.emplace("neighbor");
    auto links = switch_->links();
    ASSERT_OK(links.create_bridge("br0"));
    ASSERT_OK(links.set_up("br0", true));
    connect(*switch_, "s-o", *old_, "o0");
    connect(*switch_, "s-w", *new_, "w0");
    connect(*switch_, "s-n", *neighbor_, "n0");
    for (const char* port : {"s-o", "s-w", "s-n"}) { ASSERT_OK(links.set_master(port, "br0")); }
    for (const char* address : {"10.9.0.2/24", "fd09::2/64"}) {
      ASSERT_OK(neighbor_->links().add_address("n0", prefix(address)));
    }
    for (const char* address : {"10.9.0.1/24", "fd09::1/64"}) {
      ASSERT_OK(old_->links().add_address("o0", prefix(address)));
    }
  }
  /// Makes the neighbour resolve `address`.
  void resolve(const char* address) {
    neighbor_->in([&] {
      const IpAddress to = ip(address);
      const Socket socket(::socket(to.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      sockaddr_in6 peer{};
      peer.sin6_family = static_cast<sa_family_t>(to.is_v4() ? AF_INET : AF_INET6);
      peer.sin6_port = htons(9);
      if (to.is_v4()) {
        std::memcpy(&reinterpret_cast<sockaddr_in*>(&peer)->sin_addr, to.bytes.data(), 4);
      } else {
        std::memcpy(&peer.sin6_addr, to.bytes.data(), 16);
      }
      (void)::sendto(socket.fd(), "", 0, 0, reinterpret_cast<const sockaddr*>(&peer),
                     to.is_v4() ? sizeof(sockaddr_in) : sizeof peer);
    });
  }
  bool neighbor_knows(const char* address, const MacAddress& at) {
    return neighbor_->in([&] {
      CollectorOptions options;
      options.collect_flows = false;
      auto collector = Collector::open(PortMap::resolve({{"n", "n0"}}).value(), options);
      NeighborSink sink;
      if (!collector || !collector.value().dump(sink)) { return false; }
      return std::any_of(sink.known.begin(), sink.known.end(), [&](const auto& entry) {
        return entry.first == ip(address).bytes && entry.second == at.bytes;
      });
    });
  }
  std::optional<TestNamespace> switch_, old_, new_, neighbor_;
};

TEST_F(AnnounceTest, ANeighborLearnsTheNewMacInBothFamilies) {
  const MacAddress old_mac = old_->links().state("o0").value().mac;
  const MacAddress new_mac = mac("02:e0:00:00:00:01");
  for (const char* address : {"10.9.0.1", "fd09::1"}) {
    resolve(address);
    ASSERT_TRUE(eventually([&] { return neighbor_knows(address, old_mac); })) << address;
  }
  // Linux takes another MAC for an address only once in a second (locktime): the caller repeats.
  ASSERT_TRUE(eventually([&] {
    new_->in([&] { ASSERT_OK(announce("w0", new_mac, {ip("10.9.0.1"), ip("fd09::1")})); });
    return neighbor_knows("10.9.0.1", new_mac) && neighbor_knows("fd09::1", new_mac);
  }));
}

TEST_F(AnnounceTest, Misuse_AMissingInterfaceIsNotFound) {
  new_->in([] { EXPECT_EQ(announce("nope", mac("02:00:00:00:00:01"), {}).error().code, Errc::NotFound); });
}

}  // namespace
}  // namespace understudy::net::test
