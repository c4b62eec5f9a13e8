// SPDX-License-Identifier: Apache-2.0
/// Requests, dumps and batches against the kernel itself. Only questions about links are asked, which need no root.
#include "netlink.hpp"

#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cerrno>
#include <map>

#include "attributes.hpp"

namespace understudy::net {
namespace {

constexpr int nobody = 0x7ffffff0;

nlmsghdr* ask_for_link(char* memory, int index) {
  nlmsghdr* message = mnl_nlmsg_put_header(memory);
  message->nlmsg_type = RTM_GETLINK;
  auto* info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg)));
  info->ifi_index = index;
  return message;
}

std::string name_of(const nlmsghdr* message) {
  const auto* name = Attributes::of_message(message, sizeof(ifinfomsg)).text(IFLA_IFNAME);
  return name != nullptr ? name : "";
}

class NetlinkTest : public testing::Test {
 protected:
  int loopback = static_cast<int>(::if_nametoindex("lo"));
  NetlinkSocket sut = NetlinkSocket::open(NETLINK_ROUTE).value();
  alignas(nlmsghdr) char memory[1024]{};
};

TEST(NetlinkFailure, TellsWhatWasTriedAndTheKindThatCallersReactTo) {
  for (const int gone : {ENOENT, ESRCH, ENODEV}) {
    EXPECT_EQ(netlink_failure("cannot delete x", gone).code, Errc::NotFound) << gone;
  }
  EXPECT_EQ(netlink_failure("cannot make x", EEXIST).code, Errc::Refused);
  EXPECT_EQ(netlink_failure("cannot make x", EPERM).code, Errc::Failed);
  EXPECT_EQ(netlink_failure("cannot make br0", EPERM).message, "cannot make br0: Operation not permitted");
}

TEST_F(NetlinkTest, TalkHandsTheAnswerOverAndReturnsTheAcknowledgement) {
  std::string seen;
  const auto told = sut.talk(ask_for_link(memory, loopback), [&](const nlmsghdr* answer) { seen += name_of(answer); });
  ASSERT_TRUE(told.ok()) << told.error().message;
  EXPECT_EQ(*told, 0);
  EXPECT_EQ(seen, "lo");
}

TEST_F(NetlinkTest, ARefusalIsItsErrnoAndTheSocketGoesOn) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(sut.talk(ask_for_link(memory, nobody)).value(), ENODEV);
    EXPECT_EQ(sut.talk(ask_for_link(memory, loopback)).value(), 0);
  }
}

TEST_F(NetlinkTest, ADumpShowsEveryLinkOnce) {
  std::map<std::string, int> seen;
  nlmsghdr* message = ask_for_link(memory, 0);
  for (int twice = 0; twice < 2; ++twice) {
    seen.clear();
    const auto done = sut.dump(message, [&](const nlmsghdr* link) { ++seen[name_of(link)]; });
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(seen["lo"], 1);
    EXPECT_EQ(seen.count(""), 0U);
  }
}

TEST_F(NetlinkTest, ADumpThatTheKernelDoesNotKnowIsAnError) {
  nlmsghdr* message = mnl_nlmsg_put_header(memory);
  message->nlmsg_type = 0x3ff0;
  const auto done = sut.dump(message, [](const nlmsghdr*) { FAIL(); });
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.error().message.find("the kernel refused a netlink dump"), std::string::npos);
}

TEST_F(NetlinkTest, AWholeBatchIsAnsweredByIndexAndRefusalsAreNamedByTheirs) {
  NetlinkBatch batch(sut);
  for (int round = 0; round < 3; ++round) {
    while (!batch.full()) { batch.add(ask_for_link(batch.next(), batch.count() % 3 == 1 ? nobody : loopback)); }
    EXPECT_EQ(batch.count(), NetlinkBatch::messages_max);
    std::map<std::size_t, std::string> answers;
    std::map<std::size_t, int> refusals;
    const auto sent = batch.send([&](std::size_t index, int error) { refusals[index] = error; },
                                 [&](std::size_t index, const nlmsghdr* answer) { answers[index] = name_of(answer); });
    ASSERT_TRUE(sent.ok()) << sent.error().message;
    EXPECT_EQ(batch.count(), 0U);
    for (std::size_t index = 0; index < NetlinkBatch::messages_max; ++index) {
      EXPECT_EQ(answers.count(index), index % 3 == 1 ? 0U : 1U) << index;
      EXPECT_EQ(refusals.count(index), index % 3 == 1 ? 1U : 0U) << index;
    }
    EXPECT_EQ(refusals[1], ENODEV);
    EXPECT_EQ(answers[0], "lo");
  }
}

TEST_F(NetlinkTest, ABatchWhoseLastMessageIsRefusedEndsToo) {
  NetlinkBatch batch(sut);
  batch.add(ask_for_link(batch.next(), loopback));
  batch.add(ask_for_link(batch.next(), nobody));
  std::map<std::size_t, int> refusals;
  ASSERT_TRUE(batch.send([&](std::size_t index, int error) { refusals[index] = error; }).ok());
  EXPECT_EQ(refusals, (std::map<std::size_t, int>{{1, ENODEV}}));
}

TEST_F(NetlinkTest, AnEmptyBatchAsksNobody) {
  NetlinkBatch batch(sut);
  EXPECT_TRUE(batch.send([](std::size_t, int) { FAIL(); }).ok());
}

TEST_F(NetlinkTest, Misuse_ABusOrGroupThatDoesNotExistIsAnError) {
  EXPECT_FALSE(NetlinkSocket::open(4711).ok());
  const auto joined = sut.listen({1 << 30}, 64 << 10);
  ASSERT_FALSE(joined.ok());
  EXPECT_NE(joined.error().message.find("group 1073741824"), std::string::npos) << joined.error().message;
}

TEST_F(NetlinkTest, Misuse_MoreThanABatchHoldsIsABug) {
  NetlinkBatch batch(sut);
  while (!batch.full()) { batch.add(ask_for_link(batch.next(), loopback)); }
  EXPECT_DEATH((void)batch.next(), "bug:");
}

}  // namespace
}  // namespace understudy::net
