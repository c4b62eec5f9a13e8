// SPDX-License-Identifier: Apache-2.0
/// One mirror under TCG, from QEMU's start to each of its ends.
/// Covers: host-agent/edge/guests/guest.cpp, host-agent/edge/guests/shutdown_ladder.cpp

#include <boost/json.hpp>
#include <filesystem>

#include "guest_fixture.hpp"

namespace understudy::test {
namespace {

using namespace std::chrono_literals;

/// Shell text: the region's physical address in $bar.
constexpr const char* find_bar =
    "for d in /sys/bus/pci/devices/*; do [ $(cat $d/device) = 0x1110 ] && echo 1 > $d/enable && "
    "bar=$(awk 'NR==3{print $1}' $d/resource); done; ";

class GuestTest : public GuestFixture {};

TEST_F(GuestTest, SpeaksAndItsStoresAreSeenByTheHostUntilItIsFrozen) {
  auto sut = start(options());
  ASSERT_TRUE(sut);
  ASSERT_TRUE(run_until([&] { return !hellos_.empty() && sut->qmp().ready(); }));
  EXPECT_EQ(hellos_[0].activity, link::guest::Activity::Idle);
  EXPECT_FALSE(hellos_[0].boot_nonce.empty());
  EXPECT_TRUE(sut->set_weight(host::GuestWeight::Idle));
  EXPECT_TRUE(sut->set_weight(host::GuestWeight::Serving));

  ASSERT_EQ(shell(std::string(find_bar) + "devmem $bar 32 0x12345678").status, 0);
  EXPECT_EQ(region_word(0), 0x12345678U);

  // A counter in the region runs, stands still while the guest is frozen, and goes on.
  ASSERT_EQ(shell(std::string(find_bar) +
                  "(i=1; while :; do devmem $((bar + 64)) 32 $i; i=$((i + 1)); done) >/dev/null 2>&1 &")
                .status,
            0);
  ASSERT_TRUE(run_until([&] { return region_word(64) > 3; }));
  std::optional<Result<Duration>> frozen;
  sut->qmp().freeze(5s, [&](Result<Duration> took) { frozen = std::move(took); });
  ASSERT_TRUE(run_until([&] { return frozen.has_value(); }));
  ASSERT_TRUE(*frozen) << frozen->error().message;
  const auto at_freeze = region_word(64);
  for (int look = 0; look < 300; ++look) {
    ASSERT_EQ(region_word(64), at_freeze);
    io_.run_one_for(1ms);
    io_.restart();
  }
  std::optional<Status> thawed;
  sut->qmp().thaw(5s, [&](const Status& status) { thawed = status; });
  ASSERT_TRUE(run_until([&] { return thawed.has_value(); }));
  EXPECT_TRUE(*thawed);
  EXPECT_TRUE(run_until([&] { return region_word(64) > at_freeze; }));
}

TEST_F(GuestTest, FreezingTwiceSucceedsTwice) {
  auto sut = start(options());
  ASSERT_TRUE(sut);
  ASSERT_TRUE(run_until([&] { return sut->qmp().ready(); }));
  int succeeded = 0;
  for (int time = 0; time < 2; ++time) {
    bool done = false;
    sut->qmp().freeze(5s, [&](const Result<Duration>& took) {
      done = true;
      succeeded += took ? 1 : 0;
    });
    ASSERT_TRUE(run_until([&] { return done; }));
  }
  EXPECT_EQ(succeeded, 2);
}

TEST_F(GuestTest, IsFoundAgainByARestartedDaemonAndSurvivesARestartOfItsAgent) {
  auto first = start(options());
  ASSERT_TRUE(first);
  ASSERT_TRUE(run_until([&] { return !hellos_.empty(); }));
  const auto process = first->record().process;

  first.reset();  // the daemon ends; QEMU goes on
  auto adopted = host::Guest::adopt(io_, directory_, "role-1", recording(), 60s);
  ASSERT_TRUE(adopted) << adopted.error().message;
  auto sut = *std::move(adopted);
  EXPECT_EQ(sut->record().process, process);
  ASSERT_TRUE(run_until([&] { return hellos_.size() == 2; }));
  EXPECT_EQ(hellos_[1].boot_nonce, hellos_[0].boot_nonce);
  EXPECT_EQ(hellos_[1].instance, hellos_[0].instance);

  ASSERT_EQ(shell("kill -9 " + hellos_.back().instance).status, 0);
  ASSERT_TRUE(run_until([&] { return hellos_.size() >= 3; }));
  EXPECT_GE(lost_count_, 1);
  EXPECT_EQ(hellos_[2].boot_nonce, hellos_[0].boot_nonce);
  EXPECT_NE(hellos_[2].instance, hellos_[0].instance);

  // Started a second time under the same name: refused.
  EXPECT_EQ(host::Guest::start(io_, options(1 << 20, false), {}, 1s).error().code, Errc::Refused);

  std::optional<Status> killed;
  sut->kill(10s, [&](const Status& status) { killed = status; });
  ASSERT_TRUE(run_until([&] { return killed.has_value() && !exits_.empty(); }));
  EXPECT_TRUE(*killed);
  EXPECT_TRUE(sut->gone());
  EXPECT_EQ(host::Guest::adopt(io_, directory_, "role-1", {}, 1s).error().code, Errc::NotFound);
  EXPECT_TRUE(host::recorded_roles(directory_).empty());
}

TEST_F(GuestTest, ShutsDownByItsAgent) {
  auto sut = start(options());
  ASSERT_TRUE(sut);
  ASSERT_TRUE(run_until([&] { return !hellos_.empty(); }));
  std::optional<Result<host::ShutdownReport>> report;
  host::ShutdownDeadlines deadlines;
  deadlines.agent = 30s;
  host::shut_down(io_, *sut, deadlines, [&](Result<host::ShutdownReport> done) { report = std::move(done); });
  ASSERT_TRUE(run_until([&] { return report.has_value(); }));
  ASSERT_TRUE(*report) << report->error().message;
  EXPECT_EQ((*report)->rung, host::ShutdownRung::Agent);
}

TEST_F(GuestTest, ShutsDownByThePowerButtonWhenItsAgentIsGone) {
  auto sut = start(options());
  ASSERT_TRUE(sut);
  ASSERT_TRUE(run_until([&] { return !hellos_.empty() && sut->qmp().ready(); }));
  ASSERT_EQ(shell("mv /usr/bin/understudy-guest-agent /gone; kill -9 " + hellos_.back().instance).status, 0);
  ASSERT_TRUE(run_until([&] { return lost_count_ > 0; }));
  std::optional<Result<host::ShutdownReport>> report;
  host::ShutdownDeadlines deadlines;
  deadlines.power_button = 30s;
  host::shut_down(io_, *sut, deadlines, [&](Result<host::ShutdownReport> done) { report = std::move(done); });
  ASSERT_TRUE(run_until([&] { return report.has_value(); }));
  ASSERT_TRUE(*report) << report->error().message;
  EXPECT_EQ((*report)->rung, host::ShutdownRung::PowerButton);
}

TEST_F(GuestTest, IsKilledWhenItAnswersToNothing) {
  auto sut = start(options());
  ASSERT_TRUE(sut);
  ASSERT_TRUE(run_until([&] { return !hellos_.empty() && sut->qmp().ready(); }));
  bool frozen = false;
  sut->qmp().freeze(5s, [&](const Result<Duration>&) { frozen = true; });
  ASSERT_TRUE(run_until([&] { return frozen; }));
  std::optional<Result<host::ShutdownReport>> report;
  host::shut_down(io_, *sut, {100ms, 100ms, 10s}, [&](Result<host::ShutdownReport> done) { report = std::move(done); });
  ASSERT_TRUE(run_until([&] { return report.has_value(); }));
  ASSERT_TRUE(*report) << report->error().message;
  EXPECT_EQ((*report)->rung, host::ShutdownRung::Kill);
}

TEST_F(GuestTest, OneThatNeverComesUpIsAnErrorThatNamesTheConsoleLog) {
  auto broken = options();
  broken.kernel_arguments = "rdinit=/no/such/init init=/no/such/init panic=0";
  auto guest = host::Guest::start(io_, broken, recording(), 8s);
  ASSERT_TRUE(guest) << guest.error().message;
  auto sut = *std::move(guest);
  ASSERT_TRUE(run_until([&] { return !failures_.empty() || !exits_.empty(); }));
  const std::string text = failures_.empty() ? exits_[0] : failures_[0];
  EXPECT_NE(text.find(sut->record().console_log), std::string::npos) << text;
}

TEST_F(GuestTest, APanicEndsIt) {
  auto sut = start(options());
  ASSERT_TRUE(sut);
  ASSERT_TRUE(run_until([&] { return !hellos_.empty(); }));
  ASSERT_EQ(shell("(sleep 0.2; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &").status, 0);
  ASSERT_TRUE(run_until([&] { return !exits_.empty(); }));
  EXPECT_NE(exits_[0].find(sut->record().console_log), std::string::npos) << exits_[0];
}

TEST_F(GuestTest, AHostThatMapsAnotherFileThanItsGuestIsToldAndTheGuestIsNotUsed) {
  auto sut = start(options());
  ASSERT_TRUE(sut);
  ASSERT_TRUE(run_until([&] { return sut->qmp().ready(); })) << "QEMU has the file mapped by now";
  std::filesystem::rename(region_path(), directory_ + "/mapped-by-qemu");
  (void)options();  // another file of the same name and size
  ASSERT_TRUE(run_until([&] { return !failures_.empty(); }));
  EXPECT_NE(failures_[0].find("mirror-role-1 does not share the region file " + region_path()), std::string::npos)
      << failures_[0];
  EXPECT_TRUE(hellos_.empty()) << "no conversation began";
  EXPECT_TRUE(sut->has_spoken());

  // What refuses memory that is not in order, with the real thing: the BAR's write-combining file.
  const auto refused =
      shell("UNDERSTUDY_REGION=$(echo /sys/bus/pci/devices/*/resource2_wc) session-service --port 7600 2>&1");
  EXPECT_NE(refused.status, 0);
  EXPECT_NE(refused.output.find("write-combining"), std::string::npos) << refused.output;

  std::optional<Status> killed;
  sut->kill(10s, [&](const Status& status) { killed = status; });
  ASSERT_TRUE(run_until([&] { return !exits_.empty(); }));
  EXPECT_NE(exits_[0].find("does not share"), std::string::npos) << exits_[0];
}

TEST_F(GuestTest, ARegionOfABadSizeIsRefusedBeforeQemuStarts) {
  for (const std::uint64_t bytes : {std::uint64_t{3} << 20, std::uint64_t{1} << 19, std::uint64_t{0}}) {
    const auto refused = host::Guest::start(io_, options(bytes), {}, 1s);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::BadInput) << refused.error().message;
  }
  auto other = options(1 << 20);
  other.region_bytes = 2 << 20;
  EXPECT_EQ(host::Guest::start(io_, other, {}, 1s).error().code, Errc::BadInput);
  other.region_path = directory_ + "/nothing";
  EXPECT_EQ(host::Guest::start(io_, other, {}, 1s).error().code, Errc::NotFound);
  EXPECT_TRUE(host::recorded_roles(directory_).empty());
}

TEST_F(GuestTest, AQemuThatCannotBeStartedIsAnErrorAndLeavesNoRecord) {
  auto bad = options();
  bad.qemu = "/no/such/qemu";
  const auto refused = host::Guest::start(io_, bad, {}, 1s);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("/no/such/qemu"), std::string::npos);
  EXPECT_TRUE(host::recorded_roles(directory_).empty());
}

TEST_F(GuestTest, TheAcceleratorIsTriedOnceAndRemembered) {
  const auto image = mirror_image();
  host::AcceleratorOptions wanted;
  wanted.run_dir = directory_;
  wanted.kernel = image.kernel;
  wanted.initramfs = image.initramfs;
  std::optional<Result<host::AcceleratorChoice>> choice;
  const auto take = [&](Result<host::AcceleratorChoice> chosen) { choice = std::move(chosen); };
  host::choose_accelerator(io_, wanted, take);
  ASSERT_TRUE(run_until([&] { return choice.has_value(); }));
  ASSERT_TRUE(*choice) << choice->error().message;
  const auto tried = (*choice)->accelerator;
  RecordProperty("reason", (*choice)->reason);
  if (access(wanted.kvm_device.c_str(), R_OK | W_OK) == 0) {
    // A second time nothing is started any more.
    wanted.qemu = "/no/such/qemu";
    choice.reset();
    host::choose_accelerator(io_, wanted, take);
    ASSERT_TRUE(run_until([&] { return choice.has_value(); }));
    ASSERT_TRUE(*choice) << choice->error().message;
    EXPECT_EQ((*choice)->accelerator, tried);
  } else {
    EXPECT_EQ(tried, host::Accelerator::Tcg);
  }
}

}  // namespace
}  // namespace understudy::test
