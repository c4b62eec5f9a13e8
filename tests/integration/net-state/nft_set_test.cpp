// SPDX-License-Identifier: Apache-2.0
/// A set of interface names in the kernel: what is in it, for how long, and what is no set at all.
#include "nft_set.hpp"
#include "lab.hpp"
#include "support/nft_transactions.hpp"

namespace understudy::net::test {
namespace {

using Names = std::vector<std::string>;

class NftSetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    space_.emplace("nft-set");
    run("add table bridge gate\n"
        "add set bridge gate open { type ifname; flags timeout; }\n"
        "add set bridge gate shut { type ifname; }\n"
        "add chain bridge gate forward { type filter hook forward priority 0; policy drop; }\n"
        "add rule bridge gate forward iifname @open accept\n"
        "add rule bridge gate forward oifname @shut drop\n");
    sut_.emplace(open(), "bridge", "gate", "open", Names{"forward"});
  }
  [[nodiscard]] Nft open() const { return Nft::open(space_->path()).value(); }
  void run(const std::string& commands) const {
    auto nft = open();
    ASSERT_OK(nft.run(commands));
  }
  Names members() {
    auto names = sut_->members();
    EXPECT_TRUE(names.ok()) << (names ? "" : names.error().message);
    auto sorted = names ? names.value() : Names();
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }
  std::optional<TestNamespace> space_;
  std::optional<NftSet> sut_;
};

TEST_F(NftSetTest, WhatIsAddedIsReadBackUntilItIsRemoved) {
  EXPECT_EQ(members(), Names());
  ASSERT_OK(sut_->add({"tap0", "tap1"}));
  ASSERT_OK(sut_->add({"tap1"}));
  ASSERT_OK(sut_->put("tap2", {}));
  EXPECT_EQ(members(), (Names{"tap0", "tap1", "tap2"}));
  ASSERT_OK(sut_->remove({"tap1", "never-there"}));
  EXPECT_EQ(members(), (Names{"tap0", "tap2"}));
}

TEST_F(NftSetTest, NothingToDoIsDone) {
  ASSERT_OK(sut_->add({}));
  ASSERT_OK(sut_->remove({}));
  EXPECT_EQ(members(), Names());
}

TEST_F(NftSetTest, ATimedElementIsReadBackByItsNameAndGoesByItself) {
  ASSERT_OK(sut_->put("tap0", 60s));
  EXPECT_EQ(members(), Names{"tap0"});
  ASSERT_OK(sut_->put("tap0", 100ms));
  EXPECT_TRUE(eventually([&] { return members().empty(); }));
  EXPECT_EQ(sut_->refresh("tap0", 60s).error().code, Errc::Expired);
  EXPECT_EQ(members(), Names()) << "refreshing opens nothing";
}

TEST_F(NftSetTest, OpeningAndRefreshingAreOneTransactionEach) {
  const auto told = space_->in([] { return std::make_unique<understudy::test::NftTransactions>(); });
  ASSERT_OK(sut_->put("tap0", 60s));
  EXPECT_EQ(told->count(), 1);
  ASSERT_OK(sut_->refresh("tap0", 60s));
  EXPECT_EQ(told->count(), 1) << "between two of them the port would be closed";
  ASSERT_OK(sut_->remove({"tap0"}));
  EXPECT_EQ(told->count(), 1);
}

TEST_F(NftSetTest, PutForGoodOutlivesAnEarlierTime) {
  ASSERT_OK(sut_->put("tap0", 100ms));
  ASSERT_OK(sut_->put("tap0", {}));
  ASSERT_OK(sut_->put("tap1", 100ms));
  ASSERT_TRUE(eventually([&] { return members() == Names{"tap0"}; })) << "tap1's time runs out after tap0's would";
}

TEST_F(NftSetTest, TheTableIsReadBackWithItsChainsAndTheirRules) {
  const auto table = sut_->read_back();
  ASSERT_OK(table);
  const auto* chain = table.value().chain("forward");
  ASSERT_NE(chain, nullptr);
  EXPECT_TRUE(chain->policy_drop);
  EXPECT_EQ(chain->sets_accepted, Names{"open"});
  EXPECT_EQ(chain->sets_dropped, Names{"shut"});
}

TEST_F(NftSetTest, ARuleThatExceptsASetsMembersIsNotTakenForOneThatHitsThem) {
  run("flush chain bridge gate forward\nadd rule bridge gate forward iifname != @shut drop\n");
  EXPECT_EQ(sut_->read_back().value().chain("forward")->sets_dropped, Names());
}

TEST_F(NftSetTest, MembersOfASetWhoseChainHoldsNothingBackAreAnError) {
  run("add chain bridge gate forward { policy accept; }\n");
  EXPECT_EQ(sut_->members().error().code, Errc::Damaged);
  run("flush chain bridge gate forward\ndelete chain bridge gate forward\n");
  EXPECT_EQ(sut_->members().error().code, Errc::Damaged);
}

TEST_F(NftSetTest, WithoutItsTableEveryCallFails) {
  run("delete table bridge gate\n");
  EXPECT_EQ(sut_->add({"tap0"}).error().code, Errc::NotFound);
  EXPECT_EQ(sut_->remove({"tap0"}).error().code, Errc::NotFound) << "absent and no gate must not look alike";
  EXPECT_EQ(sut_->members().error().code, Errc::NotFound);
}

TEST_F(NftSetTest, Misuse_WrongNamesAndTimesReachNoRule) {
  EXPECT_EQ(sut_->add({"tap0", "a; flush ruleset"}).error().code, Errc::BadInput);
  EXPECT_EQ(sut_->remove({"\""}).error().code, Errc::BadInput);
  EXPECT_EQ(sut_->put("", {}).error().code, Errc::BadInput);
  EXPECT_EQ(sut_->put("tap0", 0ms).error().code, Errc::BadInput);
  EXPECT_EQ(sut_->put("tap0", -1ms).error().code, Errc::BadInput);
  EXPECT_EQ(sut_->refresh("tap0", 0ms).error().code, Errc::BadInput);
  EXPECT_EQ(members(), Names()) << "not even the good one of a bad list";
}

}  // namespace
}  // namespace understudy::net::test
