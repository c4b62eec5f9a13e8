// SPDX-License-Identifier: Apache-2.0
/// What may stand in a rule. Sets in the kernel: tests/integration/net-state/nft_set_test.cpp.
#include "nft_set.hpp"

#include <gtest/gtest.h>

namespace understudy::net {
namespace {

TEST(InterfaceName, TakesWhatTheKernelTakesAndARuleMayHold) {
  for (const auto* name : {"e", "ext0", "us-ext0", "eth0.100", "m2_ext", "fifteen-bytes-x"}) {
    EXPECT_TRUE(check_interface_name(name).ok()) << name;
  }
}

TEST(InterfaceName, RefusesWhatCouldStandForMoreInARule) {
  for (const auto* name : {"", "sixteen-bytes-xy", "a b", "a\"", "a;b", "a\nb", "eth*", "a{", "@set", "a/b", "$x",
                           "\xc3\xa4", "a,b", "a#"}) {
    const auto checked = check_interface_name(name);
    ASSERT_FALSE(checked.ok()) << name;
    EXPECT_EQ(checked.error().code, Errc::BadInput);
    EXPECT_NE(checked.error().message.find(name), std::string::npos);
  }
  EXPECT_FALSE(check_interface_name(std::string("a\0b", 3)).ok());
}

TEST(QuotedList, SeparatesByCommas) {
  EXPECT_EQ(quoted_list({}), "");
  EXPECT_EQ(quoted_list({"ext0"}), "\"ext0\"");
  EXPECT_EQ(quoted_list({"ext0", "int0"}), "\"ext0\", \"int0\"");
}

TEST(TableReadBack, FindsAChainByItsWholeName) {
  const TableReadBack table{{{"forward", "", true, {}, {}}, {"forward2", "", false, {}, {}}}, {}};
  ASSERT_NE(table.chain("forward"), nullptr);
  EXPECT_TRUE(table.chain("forward")->policy_drop);
  EXPECT_FALSE(table.chain("forward2")->policy_drop);
  EXPECT_EQ(table.chain("for"), nullptr);
  EXPECT_EQ(table.chain(""), nullptr);
}

}  // namespace
}  // namespace understudy::net
