// SPDX-License-Identifier: Apache-2.0
/// The standby's gate:   guest g0 ──── p0 ┐
///                                        ├ br0 (gate here) ── u0 ──── o0 outside
/// A frame that must not pass is proved by the next one: on one processor frames stay in order, so when frame 2, sent
/// after opening, is the first to arrive, frame 1 was dropped.
/// Covers: net-state/src/bridge_gate.cpp
#include "understudy/net/gate.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "lab.hpp"
#include "understudy/net/nft.hpp"

namespace understudy::net::test {
namespace {

class BridgeGateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    stay_on_this_processor();
    host_.emplace("host");
    guest_.emplace("guest");
    outside_.emplace("outside");
    links_.emplace(host_->links());
    ASSERT_OK(links_->create_bridge("br0"));
    ASSERT_OK(links_->set_up("br0", true));
    connect(*host_, "u0", *outside_, "o0");
    ASSERT_OK(links_->set_master("u0", "br0"));
    connect(*host_, "p0", *guest_, "g0");
  }
  Result<BridgeGate> attach() { return BridgeGate::attach({"u0", "br0"}, host_->path()); }
  void join() { ASSERT_OK(links_->set_master("p0", "br0")); }

  /// Sends 1 through the gate as it is, opens it, sends 2; both ways.
  void expect_closed_until_opened(Gate& gate) {
    FrameSocket inside(*guest_, "g0");
    FrameSocket outside(*outside_, "o0");
    inside.send(1);
    outside.send(1);
    ASSERT_OK(gate.open("p0"));
    inside.send(2);
    outside.send(2);
    EXPECT_EQ(outside.receive(), 2);
    EXPECT_EQ(inside.receive(), 2);
  }

  std::optional<TestNamespace> host_, guest_, outside_;
  std::optional<Links> links_;
};

TEST_F(BridgeGateTest, WithoutAGateFramesPassSoThatTheOtherTestsMeanSomething) {
  join();
  FrameSocket inside(*guest_, "g0");
  FrameSocket outside(*outside_, "o0");
  inside.send(1);
  outside.send(1);
  EXPECT_EQ(outside.receive(), 1);
  EXPECT_EQ(inside.receive(), 1);
}

TEST_F(BridgeGateTest, APortThatJoinsWhileClosedPassesNoFrame) {
  auto gate = attach();
  ASSERT_OK(gate);
  join();
  EXPECT_FALSE(gate.value().is_open("p0").value());
  expect_closed_until_opened(gate.value());
}

TEST_F(BridgeGateTest, AClosedPortPassesNothingAgain) {
  auto gate = attach();
  ASSERT_OK(gate);
  join();
  ASSERT_OK(gate.value().open("p0"));
  EXPECT_TRUE(gate.value().is_open("p0").value());
  ASSERT_OK(gate.value().close("p0"));
  expect_closed_until_opened(gate.value());
}

TEST_F(BridgeGateTest, ClosingAClosedPortIsSuccess) {
  auto gate = attach();
  ASSERT_OK(gate);
  EXPECT_TRUE(gate.value().close("p0").ok());
}

TEST_F(BridgeGateTest, OnePortThatCannotBeClosedKeepsNoOtherOneOpen) {
  auto gate = attach();
  ASSERT_OK(gate);
  ASSERT_OK(gate.value().open("p0"));
  const std::string impossible = "a-name-that-no-interface-can-have";
  const auto closed = close_all(gate.value(), {impossible, "p0"});
  EXPECT_FALSE(closed.ok());
  EXPECT_NE(closed.error().message.find(impossible), std::string::npos) << closed.error().message;
  EXPECT_FALSE(gate.value().is_open("p0").value());
}

TEST_F(BridgeGateTest, ACarrierFlapDoesNotOpenIt) {
  auto gate = attach();
  ASSERT_OK(gate);
  join();
  auto guest_links = guest_->links();
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(guest_links.set_up("g0", false));
    ASSERT_TRUE(eventually([&] { return !links_->state("p0").value().carrier; }));
    ASSERT_OK(guest_links.set_up("g0", true));
    ASSERT_TRUE(eventually([&] { return links_->state("p0").value().carrier; }));
  }
  ASSERT_OK(links_->set_up("p0", false));
  ASSERT_OK(links_->set_up("p0", true));
  const auto both_run = [&] { return links_->state("p0").value().running && guest_links.state("g0").value().running; };
  ASSERT_TRUE(eventually(both_run));
  ASSERT_OK(links_->clear_master("p0"));
  ASSERT_OK(links_->set_master("p0", "br0"));
  EXPECT_FALSE(gate.value().is_open("p0").value());
  expect_closed_until_opened(gate.value());
}

TEST_F(BridgeGateTest, ATimedOpeningClosesByItselfWhenItsDaemonIsGone) {
  {
    auto gate = attach();
    ASSERT_OK(gate);
    join();
    ASSERT_OK(gate.value().open_for("p0", 100ms));
  }  // the daemon has gone
  auto observer = attach();
  ASSERT_OK(observer);
  ASSERT_TRUE(eventually([&] { return !observer.value().is_open("p0").value(); }));
  expect_closed_until_opened(observer.value());
}

TEST_F(BridgeGateTest, RefreshingAnExpiredOpeningFailsAndDoesNotReopen) {
  auto gate = attach();
  ASSERT_OK(gate);
  join();
  ASSERT_OK(gate.value().open_for("p0", 50ms));
  ASSERT_TRUE(eventually([&] { return !gate.value().is_open("p0").value(); }));
  const auto refreshed = gate.value().refresh("p0", 10s);
  ASSERT_FALSE(refreshed.ok());
  EXPECT_EQ(refreshed.error().code, Errc::Expired);
  EXPECT_FALSE(gate.value().is_open("p0").value());
  expect_closed_until_opened(gate.value());
}

TEST_F(BridgeGateTest, RefreshingInTimeExtends) {
  auto gate = attach();
  ASSERT_OK(gate);
  ASSERT_OK(gate.value().open_for("p0", 60s));
  ASSERT_OK(gate.value().refresh("p0", 50ms));  // shorter, so that the new time shows
  EXPECT_TRUE(eventually([&] { return !gate.value().is_open("p0").value(); }));
}

TEST_F(BridgeGateTest, OpeningForGoodOutlivesAnEarlierTimedOpening) {
  auto gate = attach();
  ASSERT_OK(gate);
  ASSERT_OK(gate.value().open_for("p0", 50ms));
  ASSERT_OK(gate.value().open("p0"));
  ASSERT_OK(gate.value().open_for("marker", 200ms));
  ASSERT_TRUE(eventually([&] { return !gate.value().is_open("marker").value(); }));
  EXPECT_TRUE(gate.value().is_open("p0").value());
}

TEST_F(BridgeGateTest, ARestartedDaemonFindsOpenWhatWasOpen) {
  {
    auto gate = attach();
    ASSERT_OK(gate);
    ASSERT_OK(gate.value().open("p0"));
  }
  auto again = attach();
  ASSERT_OK(again);
  EXPECT_TRUE(again.value().is_open("p0").value());
  EXPECT_FALSE(again.value().is_open("p1").value());
}

TEST_F(BridgeGateTest, AMissingGateIsAnErrorAndNeverLooksClosed) {
  auto gate = attach();
  ASSERT_OK(gate);
  ASSERT_OK(gate.value().remove());
  EXPECT_FALSE(gate.value().is_open("p0").ok());
  EXPECT_FALSE(gate.value().close("p0").ok());
}

TEST_F(BridgeGateTest, AGateWhoseChainLostItsPolicyIsAnError) {
  auto gate = attach();
  ASSERT_OK(gate);
  auto nft = Nft::open(host_->path());
  ASSERT_OK(nft);
  ASSERT_OK(nft.value().run("chain bridge understudy_gate forward { policy accept; }"));
  const auto open = gate.value().is_open("p0");
  ASSERT_FALSE(open.ok());
  EXPECT_EQ(open.error().code, Errc::Damaged);
}

TEST_F(BridgeGateTest, ATapThatQemuWouldOpenPassesNothingBeforeTheGateOpens) {
  auto gate = attach();
  ASSERT_OK(gate);
  ASSERT_OK(links_->create_tap("tap0"));
  ASSERT_OK(links_->set_up("tap0", true));
  ASSERT_OK(links_->set_master("tap0", "br0"));
  const Socket tap = host_->in([] { return Socket(::open("/dev/net/tun", O_RDWR | O_CLOEXEC)); });
  ifreq request{};
  std::strncpy(request.ifr_name, "tap0", IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  ASSERT_EQ(host_->in([&] { return ::ioctl(tap.fd(), TUNSETIFF, &request); }), 0);  // carrier comes with this
  FrameSocket outside(*outside_, "o0");
  const auto write_frame = [&](std::uint8_t number) {
    const auto bytes = FrameSocket::frame(number);
    ASSERT_EQ(::write(tap.fd(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  };
  write_frame(1);
  ASSERT_OK(gate.value().open("tap0"));
  write_frame(2);
  EXPECT_EQ(outside.receive(), 2);
}

TEST_F(BridgeGateTest, Misuse_NamesThatCouldStandForMoreInARuleAreRefused) {
  auto gate = attach();
  ASSERT_OK(gate);
  for (const char* bad : {"", "a b", "p0\"", "p0 }", "averyveryverylongname", "*"}) {
    EXPECT_EQ(gate.value().open(bad).error().code, Errc::BadInput) << bad;
  }
}

}  // namespace
}  // namespace understudy::net::test
