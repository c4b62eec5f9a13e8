// SPDX-License-Identifier: Apache-2.0
/// The host's end of the echo test, with guests that are played here: an honest one, one that has another file mapped,
/// one that lies.
#include "edge/guests/echo_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "understudy/shm/region.hpp"

namespace understudy::host {
namespace {

using link::guest::Echoed;
using shm::Echo;
using ::testing::HasSubstr;

constexpr std::uint64_t region_bytes = 1 << 20;

class EchoCheckTest : public testing::Test {
 protected:
  EchoCheckTest() {
    record.role = "role-1";
    record.region_path = "/dev/shm/echo-check-" + std::to_string(getpid());
    record.region_bytes = region_bytes;
    make(record.region_path, 0);
  }
  ~EchoCheckTest() override {
    std::filesystem::remove(record.region_path);
    std::filesystem::remove(record.region_path + "-other");
  }
  static void make(const std::string& path, std::uint64_t offset) {
    const auto made = shm::Region::create(path, region_bytes, {{{"s", {{"t", 8, 8, 8}}, 65536}}}, offset);
    ASSERT_TRUE(made) << made.error().message;
  }
  /// What an honest guest-agent does with this file.
  static Echoed guest(const std::string& path, std::uint64_t offset = 0) {
    auto echo = Echo::open(path, region_bytes, offset).value();
    Echoed answer{echo.hear(Echo::Side::Host), Echo::make_nonce(), ""};
    echo.say(Echo::Side::Guest, answer.said);
    return answer;
  }
  void expect_refused(const Echoed& echoed, const std::string& word) const {
    const auto refused = sut.check(record, echoed);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::Refused);
    EXPECT_THAT(refused.error().message, HasSubstr("mirror-role-1"));
    EXPECT_THAT(refused.error().message, HasSubstr(record.region_path));
    EXPECT_THAT(refused.error().message, HasSubstr(word));
  }

  GuestRecord record;
  EchoCheck sut;
};

TEST_F(EchoCheckTest, TheSameBytesPassEachTime) {
  for (int time = 0; time < 2; ++time) {
    ASSERT_TRUE(sut.ask(record));
    const auto checked = sut.check(record, guest(record.region_path));
    EXPECT_TRUE(checked) << checked.error().message;
  }
}

TEST_F(EchoCheckTest, AnNvdimmsRegionIsFoundBehindItsInfoBlock) {
  make(record.region_path, shm::nvdimm_info_bytes);
  ASSERT_TRUE(sut.ask(record));
  EXPECT_TRUE(sut.check(record, guest(record.region_path, shm::nvdimm_info_bytes)));
  ASSERT_TRUE(sut.ask(record));
  expect_refused(guest(record.region_path, 0), "the guest reads 0000000000000000");
}

TEST_F(EchoCheckTest, AGuestWithAnotherFileIsRefused) {
  make(record.region_path + "-other", 0);
  ASSERT_TRUE(sut.ask(record));
  expect_refused(guest(record.region_path + "-other"), "the guest reads 0000000000000000");
}

TEST_F(EchoCheckTest, WordsThatDoNotArriveAreRefused) {
  ASSERT_TRUE(sut.ask(record));
  const auto honest = guest(record.region_path);
  expect_refused({honest.heard, honest.said + 1, ""}, "the host reads");
  expect_refused({honest.heard, honest.said, "this guest has\nno nvdimm"}, "it says: this guest has?no nvdimm");
}

TEST_F(EchoCheckTest, AnAnswerFromBeforeIsRefused) {
  ASSERT_TRUE(sut.ask(record));
  const auto former = guest(record.region_path);
  ASSERT_TRUE(sut.ask(record));
  expect_refused(former, "the guest reads");
}

TEST_F(EchoCheckTest, WithoutAFileNothingCanBeAsked) {
  std::filesystem::remove(record.region_path);
  const auto refused = sut.ask(record);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("mirror-role-1"));
  expect_refused({1, 1, ""}, "not asked");
}

TEST_F(EchoCheckTest, ASlowMappingIsToldWithTheRatioAndWhatToDo) {
  link::guest::Hello hello;
  hello.memory = "ivshmem BAR /sys/bus/pci/devices/0000:00:05.0/resource2";
  hello.load_ns = 180;
  hello.private_load_ns = 4;
  const auto told = slow_memory(record, hello);
  ASSERT_TRUE(told);
  for (const char* word : {"mirror-role-1", "45 times", "resource2", "memory = \"nvdimm\"", "blade.toml"}) {
    EXPECT_THAT(*told, HasSubstr(word));
  }
  EXPECT_EQ(told->find('\n'), std::string::npos);
}

TEST_F(EchoCheckTest, ACachedMappingAndNumbersThatMeanNothingAreNot) {
  link::guest::Hello hello;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [load, own] : {std::pair{4.0, 4.0},
                                  {30.0, 4.0},
                                  {180.0, 0.0},
                                  {0.0, 0.0},
                                  {-180.0, -4.0},
                                  {nan, 4.0},
                                  {std::numeric_limits<double>::infinity(), 4.0}}) {
    hello.load_ns = load;
    hello.private_load_ns = own;
    EXPECT_FALSE(slow_memory(record, hello)) << load << " " << own;
  }
}

}  // namespace
}  // namespace understudy::host
