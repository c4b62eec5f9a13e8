// SPDX-License-Identifier: Apache-2.0
/// The carrier of real interfaces:    watched e0 ──── o0     watched e1 ──── o1     e9 is not there
/// Covers: net-state/src/carrier.cpp
#include "understudy/net/carrier.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <iterator>
#include <sstream>

#include "lab.hpp"

namespace understudy::net::test {
namespace {

class CarrierTest : public ::testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    here_.emplace("carrier");
    there_.emplace("outside");
    connect(*here_, "e0", *there_, "o0");
    connect(*here_, "e1", *there_, "o1");
    sut_.emplace(here_->in([] { return CarrierWatch::open({"e0", "e1", "e9"}).value(); }));
  }
  /// Waits for the kernel's word, and looks then, until it is so.
  bool becomes(const std::string& interface, bool carrier) {
    const auto until = std::chrono::steady_clock::now() + deadline_default;
    while (std::chrono::steady_clock::now() < until) {
      if (sut_->look().value().at(interface) == carrier) { return true; }
      pollfd told{sut_->fd(), POLLIN, 0};
      if (::poll(&told, 1, static_cast<int>(deadline_default / 1ms)) != 1) { return false; }
    }
    return false;
  }
  /// Takes what the looks have left.
  [[nodiscard]] int left_unread() const {
    std::array<char, 16 * 1024> ignored{};
    int left = 0;
    while (::recv(sut_->fd(), ignored.data(), ignored.size(), MSG_DONTWAIT) >= 0) { ++left; }
    return left;
  }
  /// That its socket had no room for, by the kernel's own count.
  [[nodiscard]] std::uint64_t lost_messages() const {
    struct stat socket {};
    EXPECT_EQ(::fstat(sut_->fd(), &socket), 0);
    return here_->in([&] {
      std::ifstream table("/proc/thread-self/net/netlink");
      for (std::string line; std::getline(table, line);) {
        std::istringstream words(line);
        const std::vector<std::string> row{std::istream_iterator<std::string>(words), {}};
        if (row.size() == 10 && row[9] == std::to_string(socket.st_ino)) { return std::stoull(row[8]); }
      }
      ADD_FAILURE() << "the kernel does not know the socket";
      return 0ULL;
    });
  }
  std::optional<TestNamespace> here_;
  std::optional<TestNamespace> there_;
  std::optional<CarrierWatch> sut_;
};

TEST_F(CarrierTest, AFirstLookTellsEachInterfaceAndOneThatIsNotThereHasNone) {
  const std::map<std::string, bool> expected{{"e0", true}, {"e1", true}, {"e9", false}};
  EXPECT_EQ(sut_->look().value(), expected);
}

TEST_F(CarrierTest, ACableThatIsPulledAndPutBackIsToldByTheKernel) {
  (void)sut_->look();
  auto outside = there_->links();
  ASSERT_OK(outside.set_up("o0", false));
  EXPECT_TRUE(becomes("e0", false));
  EXPECT_TRUE(sut_->look().value().at("e1"));
  ASSERT_OK(outside.set_up("o0", true));
  EXPECT_TRUE(becomes("e0", true));
}

TEST_F(CarrierTest, AnInterfaceThatIsTakenDownOrAwayHasNone) {
  (void)sut_->look();
  auto links = here_->links();
  ASSERT_OK(links.set_up("e0", false));
  EXPECT_TRUE(becomes("e0", false));
  ASSERT_OK(links.delete_link("e1"));
  EXPECT_TRUE(becomes("e1", false));
}

/// Of an overrun the kernel tells once, and drops all that comes until the socket has been read to its end.
TEST_F(CarrierTest, MoreChangesThanTheSocketHoldsHideNotTheLast) {
  auto links = here_->links();
  for (int i = 0; i < 400; ++i) {  // far more than 256 KiB of messages
    ASSERT_OK(links.set_mac("e1", mac("02:e0:00:00:00:0" + std::to_string(i % 10))));
  }
  ASSERT_GT(lost_messages(), 0U);
  ASSERT_OK(there_->links().set_up("o0", false));
  EXPECT_TRUE(becomes("e0", false));
  EXPECT_LT(left_unread(), 10) << "a look has read to the end; the kernel may have told of the cable once more since";
  ASSERT_OK(there_->links().set_up("o0", true));
  EXPECT_TRUE(becomes("e0", true)) << "and what comes then is told again";
}

}  // namespace
}  // namespace understudy::net::test
