// SPDX-License-Identifier: Apache-2.0
/// The lab's switch:   blade b0 ── s-b0 ┐
///                                      ├ ext (isolation here) ── s-o0 ── o0 outside
#include "lab.hpp"
#include "understudy/net/gate.hpp"
#include "understudy/net/nft.hpp"

namespace understudy::net::test {
namespace {

class SwitchIsolationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    stay_on_this_processor();
    switch_.emplace("switch");
    blade_.emplace("blade");
    outside_.emplace("outside");
    auto links = switch_->links();
    ASSERT_OK(links.create_bridge("ext"));
    ASSERT_OK(links.set_up("ext", true));
    connect(*switch_, "s-b0", *blade_, "b0");
    connect(*switch_, "s-o0", *outside_, "o0");
    ASSERT_OK(links.set_master("s-b0", "ext"));
    ASSERT_OK(links.set_master("s-o0", "ext"));
  }
  std::optional<TestNamespace> switch_, blade_, outside_;
};

TEST_F(SwitchIsolationTest, AnIsolatedPortPassesNothingEitherWayUntilReadmitted) {
  auto sut = SwitchIsolation::attach(switch_->path());
  ASSERT_OK(sut);
  FrameSocket blade(*blade_, "b0");
  FrameSocket outside(*outside_, "o0");
  blade.send(1);
  outside.send(1);
  ASSERT_EQ(outside.receive(), 1);
  ASSERT_EQ(blade.receive(), 1);
  ASSERT_OK(sut.value().isolate({"s-b0"}));
  blade.send(2);
  outside.send(2);
  ASSERT_OK(sut.value().readmit({"s-b0"}));
  blade.send(3);
  outside.send(3);
  EXPECT_EQ(outside.receive(), 3);
  EXPECT_EQ(blade.receive(), 3);
}

TEST_F(SwitchIsolationTest, IsolationIsReadBackFromTheKernelAndOutlivesTheDriver) {
  {
    auto sut = SwitchIsolation::attach(switch_->path());
    ASSERT_OK(sut);
    ASSERT_OK(sut.value().isolate({"s-b0", "s-o0"}));
    ASSERT_OK(sut.value().isolate({"s-b0"}));  // again: success
  }
  auto again = SwitchIsolation::attach(switch_->path());
  ASSERT_OK(again);
  EXPECT_TRUE(again.value().are_isolated({"s-b0", "s-o0"}).value());
  ASSERT_OK(again.value().readmit({"s-o0", "never-isolated"}));
  EXPECT_TRUE(again.value().are_isolated({"s-b0"}).value());
  EXPECT_FALSE(again.value().are_isolated({"s-b0", "s-o0"}).value());
}

TEST_F(SwitchIsolationTest, ASetWithoutItsRulesIsNoEvidence) {
  auto sut = SwitchIsolation::attach(switch_->path());
  ASSERT_OK(sut);
  auto nft = Nft::open(switch_->path());
  ASSERT_OK(nft);
  ASSERT_OK(nft.value().run("flush chain bridge understudy_switch prerouting"));
  EXPECT_FALSE(sut.value().isolate({"s-b0"}).ok());
}

TEST_F(SwitchIsolationTest, APortThatIsNotThereIsNoEvidenceButTheOthersAreIsolated) {
  auto sut = SwitchIsolation::attach(switch_->path());
  ASSERT_OK(sut);
  const auto isolated = sut.value().isolate({"s-b0", "s-b0-misspelt"});
  ASSERT_FALSE(isolated.ok());
  EXPECT_EQ(isolated.error().code, Errc::NotFound);
  EXPECT_NE(isolated.error().message.find("s-b0-misspelt"), std::string::npos) << isolated.error().message;
  EXPECT_FALSE(sut.value().are_isolated({"s-b0", "s-b0-misspelt"}).ok());
  EXPECT_TRUE(sut.value().are_isolated({"s-b0"}).value());
}

TEST_F(SwitchIsolationTest, AnInterfaceThatIsNoPortOfABridgeIsNoEvidence) {
  connect(*switch_, "s-alone", *blade_, "b1");
  auto sut = SwitchIsolation::attach(switch_->path());
  ASSERT_OK(sut);
  for (const auto* name : {"s-alone", "ext", "lo"}) {
    EXPECT_FALSE(sut.value().isolate({"s-b0", name}).ok()) << name;
    EXPECT_FALSE(sut.value().are_isolated({name}).ok()) << name;
  }
}

TEST_F(SwitchIsolationTest, APortThatIsUnpluggedLaterIsNoEvidenceAnyMore) {
  auto sut = SwitchIsolation::attach(switch_->path());
  ASSERT_OK(sut);
  ASSERT_OK(sut.value().isolate({"s-b0"}));
  ASSERT_OK(switch_->links().delete_link("s-b0"));
  EXPECT_FALSE(sut.value().are_isolated({"s-b0"}).ok());
}

}  // namespace
}  // namespace understudy::net::test
