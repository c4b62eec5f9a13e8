// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A directory, an image and a clean end for tests that run real mirrors. Every QEMU that a test started is killed
/// through its record when the test ends, however it ends.

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "edge/guests/accelerator.hpp"
#include "edge/guests/guest.hpp"
#include "edge/guests/shutdown_ladder.hpp"
#include "support/run_until.hpp"

namespace understudy::test {

struct MirrorImage {
  std::string kernel;
  std::string initramfs;
};
/// Made when absent or older than its parts.
MirrorImage mirror_image();

struct ShellAnswer {
  int status = -1;
  std::string output;
};

class GuestFixture : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Options of a mirror "role-1" whose region file has `bytes` (made here unless `make_region` is false).
  host::GuestOptions options(std::uint64_t region_bytes = 1 << 20, bool make_region = true,
                             host::RegionDevice device = host::RegionDevice::Ivshmem);
  /// What the guest said, in order, and how it ended.
  host::GuestCallbacks recording();
  std::unique_ptr<host::Guest> start(const host::GuestOptions& options);

  /// Under TCG everything takes its time.
  template <class Condition>
  bool run_until(const Condition& condition, std::chrono::seconds deadline = std::chrono::seconds(60)) {
    return test::run_until(io_, condition, deadline);
  }
  /// A command in the guest, by its debug shell.
  ShellAnswer shell(const std::string& command, std::chrono::seconds deadline = std::chrono::seconds(30));
  /// 32 bits of the region file.
  [[nodiscard]] std::uint32_t region_word(std::uint64_t offset) const;
  [[nodiscard]] std::string region_path() const { return directory_ + "/region"; }

  boost::asio::io_context io_;
  std::string directory_;
  std::vector<link::guest::Hello> hellos_;
  std::vector<link::guest::GuestEvent> events_;
  int lost_count_ = 0;
  std::vector<std::string> failures_;
  std::vector<std::string> exits_;
};

}  // namespace understudy::test
