// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/nft.hpp"

#include "lab.hpp"

namespace understudy::net::test {
namespace {

class NftTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    space_.emplace("nft");
    auto opened = Nft::open(space_->path());
    ASSERT_OK(opened);
    sut_.emplace(std::move(opened).value());
  }
  std::string listed(const std::string& what = "list ruleset") { return sut_->list_json(what).value(); }
  std::optional<TestNamespace> space_;
  std::optional<Nft> sut_;
};

TEST_F(NftTest, CommandsWorkInItsOwnNamespaceWhicheverThreadCalls) {
  ASSERT_OK(sut_->run("add table inet here"));
  EXPECT_NE(listed().find("\"here\""), std::string::npos);
  const TestNamespace other("nft-other");
  auto elsewhere = Nft::open(other.path());
  ASSERT_OK(elsewhere);
  EXPECT_EQ(elsewhere.value().list_json("list ruleset").value().find("\"here\""), std::string::npos);
  other.in([&] { ASSERT_OK(sut_->run("add table inet from-elsewhere")); });
  EXPECT_NE(listed().find("\"from-elsewhere\""), std::string::npos);
}

TEST_F(NftTest, ATextOfCommandsIsDoneWholeOrNotAtAll) {
  const auto status = sut_->run("add table inet one\nadd table inet two\ndelete table inet three\n");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Errc::NotFound);
  EXPECT_EQ(listed().find("\"one\""), std::string::npos);
}

TEST_F(NftTest, RefusalsAreOfTheKindsThatCallersReactTo) {
  EXPECT_EQ(sut_->run("delete table inet none").error().code, Errc::NotFound);
  EXPECT_EQ(sut_->list_json("list table inet none").error().code, Errc::NotFound);
  ASSERT_OK(sut_->run("add table inet t"));
  EXPECT_EQ(sut_->run("create table inet t").error().code, Errc::Refused);
  EXPECT_EQ(sut_->run("flush nonsense").error().code, Errc::BadInput);
  ASSERT_OK(sut_->run("add table inet after"));
}

TEST_F(NftTest, AnErrorTellsTheCommandAndTheReason) {
  const auto status = sut_->run("delete table inet none");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("delete table inet none"), std::string::npos);
  EXPECT_NE(status.error().message.find("No such file or directory"), std::string::npos);
  const auto endless = sut_->run("add chain " + std::string(100'000, 'x'));
  ASSERT_FALSE(endless.ok());
  EXPECT_LT(endless.error().message.size(), 1500U) << "a line of a log, not a rule set";
}

TEST_F(NftTest, ARuleSetThatIsLoadedAgainReplacesItself) {
  const std::string ruleset =
      "table ip nat\ndelete table ip nat\n"
      "table ip nat {\n chain post {\n type nat hook postrouting priority 100;\n oifname \"ext0\" masquerade;\n }\n}\n";
  for (int i = 0; i < 3; ++i) { ASSERT_OK(sut_->load(ruleset)); }
  const auto text = listed("list table ip nat");
  EXPECT_EQ(text.find("masquerade"), text.rfind("masquerade")) << text;
  EXPECT_NE(text.find("masquerade"), std::string::npos);
}

TEST_F(NftTest, AnEmptyTextIsDone) { ASSERT_OK(sut_->run("")); }

TEST_F(NftTest, Misuse_ANamespaceThatIsNotThereIsAnError) {
  EXPECT_FALSE(Nft::open("/run/understudy-test/nobody-made-this").ok());
}

}  // namespace
}  // namespace understudy::net::test
