// SPDX-License-Identifier: Apache-2.0
// What the host makes around a mirror, and what is left of it: its region, its taps, its share of the CPU.
#include "edge/mirror_place.hpp"

#include <sys/resource.h>

#include "edge/guests/guest_record.hpp"
#include "edge/shutdown_unit.hpp"
#include "standby_bench.hpp"
#include "support/held_back.hpp"

namespace understudy::host {
namespace {

constexpr auto kill_deadline = std::chrono::seconds(10);

class MirrorPlaceTest : public StandbyBench {
 protected:
  void SetUp() override {
    StandbyBench::SetUp();
    if (IsSkipped() || HasFatalFailure()) { return; }
    const auto waits = config_.run_dir + "/waits";
    std::ofstream(waits) << "#!/bin/sh\nexec sleep 600\n";
    std::filesystem::permissions(waits, std::filesystem::perms::owner_all);
    config_.mirrors.qemu = waits;
    config_.mirrors.kernel = waits;
    config_.mirrors.initramfs = waits;
  }
  void TearDown() override {
    for (const auto& role : recorded_roles(config_.run_dir)) {
      const auto record = read_record(config_.run_dir, role);
      if (!record) { continue; }
      if (auto process = open_process(record->process)) { EXPECT_TRUE(kill_process(*process).ok()); }
    }
    StandbyBench::TearDown();
  }

  std::unique_ptr<Guest> guest_;
  RegionMaker* maker_ = &regions_;

  std::unique_ptr<MirrorPlace> place() {
    return std::make_unique<MirrorPlace>(io_, config_, *network_, *maker_,
                                         link::RunMirror{role_with({}), Term{1}, BladeId{"blade-2"}, {}, {}},
                                         GuestCallbacks{});
  }
  std::unique_ptr<MirrorPlace> started() {
    auto made = place();
    const auto done = outcome([&](auto end) { made->start(Accelerator::Tcg, RegionDevice::Ivshmem, end); });
    EXPECT_TRUE(done.ok()) << done.error().message;
    return made;
  }
  void release(std::unique_ptr<MirrorPlace> mirror) {
    std::vector<std::unique_ptr<MirrorPlace>> mirrors;
    mirrors.push_back(std::move(mirror));
    std::optional<std::uint32_t> running;
    release_guests(io_, std::move(mirrors), [&](std::uint32_t left) { running = left; });
    ASSERT_TRUE(run_until([&] { return running.has_value(); }));
    EXPECT_EQ(*running, 0U);
  }
  [[nodiscard]] bool has_region() const { return std::filesystem::exists(region_path()); }
  [[nodiscard]] static std::string autogroup_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/autogroup");
    std::string text;
    std::getline(file, text);
    return text.substr(text.find("nice") == std::string::npos ? 0 : text.find("nice"));
  }
};

TEST_F(MirrorPlaceTest, AReleasedMirrorTakesItsRegionAndTapsWithIt) {
  auto mirror = started();
  ASSERT_TRUE(has_region());
  ASSERT_TRUE(network_->links().state("m2-ext").ok());
  release(std::move(mirror));
  EXPECT_FALSE(has_region());
  EXPECT_FALSE(network_->links().state("m2-ext").ok());
}

TEST_F(MirrorPlaceTest, AnNvdimmsFileIsLongerByItsInfoBlockAndHasTheRegionBehindIt) {
  auto mirror = place();
  ASSERT_OK(outcome([&](auto end) { mirror->start(Accelerator::Tcg, RegionDevice::Nvdimm, end); }));
  const auto bytes = role_with({}).region_bytes;
  EXPECT_EQ(std::filesystem::file_size(region_path()), bytes + shm::nvdimm_info_bytes);
  EXPECT_EQ(shm::region_offset(region_path(), bytes), shm::nvdimm_info_bytes);
  EXPECT_EQ(shm::Region::inspect(region_path(), bytes, shm::nvdimm_info_bytes), shm::RegionState::Good);
}

TEST_F(MirrorPlaceTest, AReleaseByARestartedDaemonTakesTheRegionToo) {
  started().reset();
  auto adopted = place();
  ASSERT_OK(adopted->adopt());
  ASSERT_TRUE(has_region()) << "what is adopted is not touched";
  release(std::move(adopted));
  EXPECT_FALSE(has_region());
}

TEST_F(MirrorPlaceTest, AReleasedMirrorWhoseGuestDiedBeforeTakesTheRegionToo) {
  auto mirror = started();
  ASSERT_OK(outcome([&](auto done) { mirror->guest().kill(kill_deadline, done); }));
  ASSERT_FALSE(mirror->has_guest());
  release(std::move(mirror));
  EXPECT_FALSE(has_region());

  started().reset();
  ASSERT_OK(outcome([&](auto done) {
    auto former = Guest::adopt(io_, config_.run_dir, "role-2", {}, kill_deadline);
    ASSERT_TRUE(former.ok());
    guest_ = std::move(former).value();
    guest_->kill(kill_deadline, done);
  }));
  auto late = place();
  EXPECT_FALSE(late->adopt().ok());
  release(std::move(late));
  EXPECT_FALSE(has_region());
}

TEST_F(MirrorPlaceTest, AMovementLeavesTheRegionWhichIsTheHostsNow) {
  auto mirror = started();
  ASSERT_OK(outcome([&](auto done) { mirror->cut(done); }));
  mirror->clean();
  mirror.reset();
  EXPECT_TRUE(has_region());
}

TEST_F(MirrorPlaceTest, PastTheCommitItsTapIsAtNoBridgeAndItsProcessIsDead) {
  auto mirror = started();
  const auto process = mirror->guest().record().process;
  ASSERT_TRUE(open_process(process).ok());
  ASSERT_NE(network_->links().state("m2-ext").value().master_index, 0);
  ASSERT_OK(outcome([&](auto done) { mirror->cut(done); }));
  EXPECT_EQ(network_->links().state("m2-ext").value().master_index, 0);
  EXPECT_FALSE(open_process(process).ok()) << "a resume by hand finds somebody to resume";
  EXPECT_FALSE(mirror->has_guest());
}

TEST_F(MirrorPlaceTest, AGateThatClosesLeavesTheTapUpAtItsBridge) {
  auto mirror = started();
  ASSERT_OK(mirror->open_gate());
  const auto before = network_->links().state("m2-ext").value();
  ASSERT_TRUE(before.up);
  ASSERT_OK(mirror->stop_serving());
  const auto after = network_->links().state("m2-ext").value();
  EXPECT_TRUE(after.up) << "a carrier that goes flushes the guest's neighbours";
  EXPECT_EQ(after.carrier, before.carrier);
  EXPECT_EQ(after.master_index, before.master_index);
}

TEST_F(MirrorPlaceTest, WhatIsReleasedWhileItsRegionIsMadeLeavesNothingAndStartsNobody) {
  test::HeldBack making;
  RegionMaker slow(io_, [&](const RegionOrder& order) {
    making.wait();
    return RegionMaker::create_file(order);
  });
  maker_ = &slow;
  auto mirror = place();
  mirror->start(Accelerator::Tcg, RegionDevice::Ivshmem,
                [](const Status&) { ADD_FAILURE() << "nobody asks any more"; });
  ASSERT_TRUE(run_until([&] { return making.waits(); }));
  ASSERT_TRUE(network_->links().state("m2-ext").ok());
  release(std::move(mirror));
  EXPECT_FALSE(network_->links().state("m2-ext").ok());
  making.let_go();
  // The next mirror's region is made behind it, and is not taken for the given up one's.
  auto next = place();
  ASSERT_OK(outcome([&](auto end) { next->start(Accelerator::Tcg, RegionDevice::Ivshmem, end); }));
  EXPECT_TRUE(has_region());
  EXPECT_EQ(recorded_roles(config_.run_dir).size(), 1U);
  release(std::move(next));
  EXPECT_FALSE(has_region());
}

TEST_F(MirrorPlaceTest, ADaemonThatEndsLeavesTheRegionOfAMirrorThatRunsOn) {
  started().reset();
  EXPECT_TRUE(has_region());
}

TEST_F(MirrorPlaceTest, ARegionThatSomebodyElseMadeMeanwhileStays) {
  auto mirror = started();
  ASSERT_OK(shm::Region::create(region_path(), role_with({}).region_bytes, place::region_schema(role_with({}))));
  release(std::move(mirror));
  EXPECT_TRUE(has_region()) << "of the role's next mirror";
}

TEST_F(MirrorPlaceTest, TheShareOfAServingGuestIsTakenBackWhenItsGateClosesForGood) {
  auto mirror = started();
  const pid_t pid = mirror->guest().record().process.pid;
  const auto niceness = [&] { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid)); };
  const auto idle = niceness();
  const auto idle_group = autogroup_of(pid);
  mirror->prefer(GuestWeight::Serving);
  ASSERT_OK(mirror->open_gate());
  ASSERT_LT(niceness(), idle);

  ASSERT_OK(mirror->close_gate());
  EXPECT_LT(niceness(), idle) << "a movement closes it for a moment: what follows must be quick";

  ASSERT_OK(mirror->stop_serving());
  EXPECT_EQ(niceness(), idle);
  EXPECT_EQ(autogroup_of(pid), idle_group);
  EXPECT_FALSE(*network_->gate().is_open("m2-ext"));
}

}  // namespace
}  // namespace understudy::host
