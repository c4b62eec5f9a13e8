// SPDX-License-Identifier: Apache-2.0
/// The bridges of a standby, in a namespace of its own:   outside o0 ── ext0 ── us-ext0 ── m2-ext (a mirror's port)
#include "edge/standby_network.hpp"

#include "../net-state/lab.hpp"

namespace understudy::host {
namespace {

using namespace net::test;

class StandbyNetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    stay_on_this_processor();
    blade_.emplace("standby");
    outside_.emplace("outside");
    connect(*blade_, "ext0", *outside_, "o0");
    connect(*blade_, "mnt0", *outside_, "o1");
    links_.emplace(blade_->links());
    ASSERT_OK(links_->add_address("mnt0", prefix("192.168.1.4/24")));
    ASSERT_OK(links_->add_address("mnt0", prefix("fd00:1::4/64")));
    config_.networks = {{"external", "ext0"}, {"lost", "no-such-link"}};
    config_.mirrors.maintenance_interface = "mnt0";
  }
  /// As the daemon does it: in the blade's own namespace.
  template <class Work>
  auto on_blade(const Work& work) const {
    return blade_->in(work);
  }
  bool has(const std::string& interface, const std::string& address) {
    const auto all = links_->addresses(interface).value();
    return std::find(all.begin(), all.end(), prefix(address)) != all.end();
  }
  bool is_port_of(const std::string& port, const std::string& bridge) {
    return links_->state(port).value().master_index == links_->state(bridge).value().index;
  }

  std::optional<TestNamespace> blade_, outside_;
  std::optional<net::Links> links_;
  BladeConfig config_;
};

TEST_F(StandbyNetworkTest, TheMaintenanceBridgeTakesTheBladesAddressesOver) {
  StandbyNetwork sut(config_);
  EXPECT_EQ(sut.maintenance_bridge(), "us-mnt0");
  EXPECT_FALSE(on_blade([&] { return sut.is_there(); }).value());
  ASSERT_OK(on_blade([&] { return sut.ensure(); }));
  EXPECT_TRUE(on_blade([&] { return sut.is_there(); }).value());
  EXPECT_TRUE(is_port_of("mnt0", "us-mnt0"));
  EXPECT_TRUE(has("us-mnt0", "192.168.1.4/24") && has("us-mnt0", "fd00:1::4/64"));
  EXPECT_FALSE(has("mnt0", "192.168.1.4/24") || has("mnt0", "fd00:1::4/64"));
  EXPECT_TRUE(links_->state("us-mnt0").value().up);
}

TEST_F(StandbyNetworkTest, ARestartedDaemonFindsItAndChangesNothing) {
  {
    StandbyNetwork former(config_);
    ASSERT_OK(on_blade([&] { return former.ensure(); }));
    ASSERT_OK(on_blade([&] { return former.bridge_of("external"); }));
  }
  const auto index = links_->state("us-ext0").value().index;
  StandbyNetwork sut(config_);
  EXPECT_TRUE(on_blade([&] { return sut.is_there(); }).value());
  for (int twice = 0; twice < 2; ++twice) {
    ASSERT_OK(on_blade([&] { return sut.ensure(); }));
    EXPECT_EQ(on_blade([&] { return sut.bridge_of("external"); }).value(), "us-ext0");
  }
  EXPECT_EQ(links_->state("us-ext0").value().index, index);
  EXPECT_TRUE(has("us-mnt0", "192.168.1.4/24"));
}

TEST_F(StandbyNetworkTest, ABridgeThatWasLeftHalfMadeIsFinished) {
  ASSERT_OK(links_->create_bridge("us-mnt0"));
  StandbyNetwork sut(config_);
  ASSERT_OK(on_blade([&] { return sut.ensure(); }));
  EXPECT_TRUE(is_port_of("mnt0", "us-mnt0"));
  EXPECT_TRUE(has("us-mnt0", "192.168.1.4/24"));
  EXPECT_FALSE(has("mnt0", "192.168.1.4/24"));
}

TEST_F(StandbyNetworkTest, AnAddressThatADyingDaemonLeftOnThePortGoes) {
  StandbyNetwork former(config_);
  ASSERT_OK(on_blade([&] { return former.ensure(); }));
  ASSERT_OK(links_->add_address("mnt0", IpPrefix::parse("192.168.1.4/24").value()));
  StandbyNetwork sut(config_);
  ASSERT_OK(on_blade([&] { return sut.ensure(); }));
  EXPECT_FALSE(has("mnt0", "192.168.1.4/24")) << "its route would win, and the answers arrive at the bridge";
  EXPECT_TRUE(has("us-mnt0", "192.168.1.4/24"));
}

TEST_F(StandbyNetworkTest, AMirrorsPortPassesNothingUntilItsGateOpensAndAMaintenancePortAtOnce) {
  TestNamespace mirror("mirror");
  connect(*blade_, "m2-ext", mirror, "eth0");
  connect(*blade_, "m2-mnt", mirror, "eth1");
  StandbyNetwork sut(config_);
  ASSERT_OK(on_blade([&] { return sut.ensure(); }));
  const auto external = on_blade([&] { return sut.bridge_of("external"); });
  ASSERT_OK(external);
  ASSERT_OK(on_blade([&] { return sut.join("m2-ext", external.value()); }));
  ASSERT_OK(on_blade([&] { return sut.join_ungated("m2-mnt", sut.maintenance_bridge()); }));
  ASSERT_TRUE(eventually([&] {
    return links_->state("m2-ext").value().running && links_->state("us-ext0").value().running &&
           links_->state("us-mnt0").value().running;
  }));

  FrameSocket service(mirror, "eth0"), maintenance(mirror, "eth1");
  FrameSocket external_side(*outside_, "o0"), maintenance_side(*outside_, "o1");
  maintenance.send(1);
  EXPECT_EQ(maintenance_side.receive(), 1);
  service.send(2);
  EXPECT_FALSE(sut.gate().is_open("m2-ext").value());
  ASSERT_OK(sut.gate().open("m2-ext"));
  service.send(3);
  EXPECT_EQ(external_side.receive(), 3) << "frame 2 was sent before the gate opened";
}

TEST_F(StandbyNetworkTest, APortThatWasOpenAndJoinsAgainIsClosed) {
  ASSERT_OK(links_->create_tap("m2-ext"));
  StandbyNetwork sut(config_);
  ASSERT_OK(on_blade([&] { return sut.ensure(); }));
  const auto external = on_blade([&] { return sut.bridge_of("external"); }).value();
  ASSERT_OK(sut.gate().open("m2-ext"));
  ASSERT_OK(on_blade([&] { return sut.join("m2-ext", external); }));
  EXPECT_FALSE(sut.gate().is_open("m2-ext").value());
}

TEST_F(StandbyNetworkTest, Misuse_WhatThisBladeDoesNotHaveIsNamed) {
  StandbyNetwork sut(config_);
  ASSERT_OK(on_blade([&] { return sut.ensure(); }));
  const auto unknown = on_blade([&] { return sut.bridge_of("intranet-9"); });
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, Errc::BadInput);
  EXPECT_NE(unknown.error().message.find("\"intranet-9\""), std::string::npos);
  const auto lost = on_blade([&] { return sut.bridge_of("lost"); });
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code, Errc::NotFound);
  EXPECT_EQ(on_blade([&] { return sut.join("no-such-port", "us-mnt0"); }).error().code, Errc::NotFound);
}

}  // namespace
}  // namespace understudy::host
