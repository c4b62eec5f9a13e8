// SPDX-License-Identifier: Apache-2.0
// What a role's place does to the interfaces that it is given.
// Covers: host-agent/place/role_place.cpp
#include "place/role_place.hpp"

#include <algorithm>

#include "standby_bench.hpp"
#include "understudy/net/interfaces.hpp"

namespace understudy::host {
namespace {

class RolePlaceTest : public StandbyBench {
 protected:
  std::vector<IpPrefix> addresses_with(const std::vector<const char*>& given) {
    auto spec = role_with({});
    spec.ports[0].addresses.clear();
    for (const auto* address : given) { spec.ports[0].addresses.push_back(net::test::prefix(address)); }
    place::RolePlace place(io_, spec, options(), {});
    const auto configured = place.configure();
    EXPECT_TRUE(configured.ok()) << configured.error().message;
    return network_->links().addresses("ext0").value();
  }
  place::PlaceOptions options() {
    place::PlaceOptions options;
    options.run_dir = config_.run_dir;
    options.region_path = region_path();
    options.ports = {{"ext", "ext0"}};
    return options;
  }
  static bool has(const std::vector<IpPrefix>& all, const IpPrefix& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  }
  const IpPrefix of_its_mac_ = net::link_local_of(net::test::mac("02:00:00:00:02:01"));
};

TEST_F(RolePlaceTest, ARouterForIpv6HasALinkLocalAddressOfTheRolesMac) {
  EXPECT_TRUE(has(addresses_with({"10.1.2.1/24", "fd00:1:2::1/64"}), of_its_mac_))
      << "it could ask for no neighbour of what it forwards";
}

TEST_F(RolePlaceTest, OneThatTheRoleHasIsTheOnlyOne) {
  const auto all = addresses_with({"fe80::1/64", "fd00:1:2::1/64"});
  EXPECT_TRUE(has(all, net::test::prefix("fe80::1/64")));
  EXPECT_FALSE(has(all, of_its_mac_));
}

TEST_F(RolePlaceTest, WithoutIpv6ThereIsNone) { EXPECT_FALSE(has(addresses_with({"10.1.2.1/24"}), of_its_mac_)); }

/// Rule 10: wherever a role is served.
TEST_F(RolePlaceTest, WhoServesRecordsWhatTheKernelHasAndWhatBecomesOfIt) {
  const auto spec = role_with({});
  ASSERT_OK(shm::Region::create(region_path(), spec.region_bytes, place::region_schema(spec)));
  place::RolePlaceCallbacks callbacks;
  callbacks.on_alarm = [](const std::string& text, const std::string& /*topic*/) { ADD_FAILURE() << text; };
  place::RolePlace place(io_, spec, options(), callbacks);
  ASSERT_OK(place.configure());
  ASSERT_OK(place.open_region());
  const auto records = [&] { return place.region().store(net::net_store_name)->count(net::RouteTable); };
  ASSERT_OK(network_->links().set_route(net::test::prefix("10.8.0.0/16"), net::test::ip("10.1.2.9")));
  ASSERT_OK(place.begin_writing(Term{1}));
  EXPECT_EQ(records(), 1U) << "it was there before";
  ASSERT_OK(network_->links().set_route(net::test::prefix("10.9.0.0/16"), net::test::ip("10.1.2.9")));
  EXPECT_TRUE(run_until([&] { return records() == 2; })) << "nobody listens";
  place.stop_writing();
}

}  // namespace
}  // namespace understudy::host
