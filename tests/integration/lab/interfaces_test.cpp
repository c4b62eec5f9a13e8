// SPDX-License-Identifier: Apache-2.0
/// The capture's view of a switch: which port belongs to which bridge, while they come and go.
#include "interfaces.hpp"

#include "../net-state/lab.hpp"

namespace lab {
namespace {

using namespace understudy::net::test;

class InterfacesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    space_.emplace("interfaces");
    links_.emplace(space_->links());
    ASSERT_OK(links_->create_bridge("ext"));
    ASSERT_OK(links_->create_veth("b1-ext", "b1-end"));
    ASSERT_OK(links_->set_master("b1-ext", "ext"));
    space_->in([&] { sut_.emplace(); });
  }
  int index_of(const std::string& name) { return links_->index_of(name).value(); }
  /// What is known of an interface once it looks like this; changes come as messages.
  bool becomes(int index, const std::string& name, const std::string& bridge) {
    return eventually([&] {
      space_->in([&] { sut_->read_changes(); });
      const auto* known = sut_->find(index);
      return known != nullptr && known->name == name && known->bridge == bridge;
    });
  }
  std::optional<TestNamespace> space_;
  std::optional<understudy::net::Links> links_;
  std::optional<Interfaces> sut_;
};

TEST_F(InterfacesTest, WhatIsThereAtTheStartIsKnownWithItsBridge) {
  ASSERT_NE(sut_->find(index_of("b1-ext")), nullptr);
  EXPECT_EQ(sut_->find(index_of("b1-ext"))->name, "b1-ext");
  EXPECT_EQ(sut_->find(index_of("b1-ext"))->bridge, "ext");
  EXPECT_EQ(sut_->find(index_of("b1-end"))->bridge, "");
  EXPECT_EQ(sut_->find(index_of("ext"))->bridge, "");
  EXPECT_EQ(sut_->find(index_of("lo"))->name, "lo");
}

TEST_F(InterfacesTest, AnIndexThatNobodyHasIsUnknown) {
  for (const int index : {0, -1, 1 << 30}) { EXPECT_EQ(sut_->find(index), nullptr) << index; }
}

TEST_F(InterfacesTest, APortThatComesLeavesOrIsRenamedIsSeen) {
  ASSERT_OK(links_->create_veth("b2-ext", "b2-end"));
  const int index = index_of("b2-ext");
  ASSERT_TRUE(becomes(index, "b2-ext", ""));
  ASSERT_OK(links_->set_master("b2-ext", "ext"));
  EXPECT_TRUE(becomes(index, "b2-ext", "ext"));
  ASSERT_OK(links_->clear_master("b2-ext"));
  EXPECT_TRUE(becomes(index, "b2-ext", ""));
  ASSERT_OK(links_->rename("b2-ext", "b3-ext"));
  EXPECT_TRUE(becomes(index, "b3-ext", ""));
}

TEST_F(InterfacesTest, APortThatIsGoneStaysKnownForTheFramesThatStillWait) {
  const int index = index_of("b1-ext");
  ASSERT_OK(links_->delete_link("b1-ext"));
  ASSERT_OK(links_->create_veth("b9-ext", "b9-end"));
  ASSERT_TRUE(becomes(index_of("b9-ext"), "b9-ext", ""));
  ASSERT_NE(sut_->find(index), nullptr);
  EXPECT_EQ(sut_->find(index)->name, "b1-ext");
}

TEST_F(InterfacesTest, ManyChangesAtOnceEndInWhatIsThere) {
  for (int i = 0; i < 100; ++i) { ASSERT_OK(links_->create_veth("p" + std::to_string(i), "q" + std::to_string(i))); }
  for (int i = 0; i < 100; ++i) { ASSERT_OK(links_->set_master("p" + std::to_string(i), "ext")); }
  for (int i = 0; i < 100; i += 33) {
    EXPECT_TRUE(becomes(index_of("p" + std::to_string(i)), "p" + std::to_string(i), "ext")) << i;
  }
}

}  // namespace
}  // namespace lab
