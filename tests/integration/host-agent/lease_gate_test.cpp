// SPDX-License-Identifier: Apache-2.0
/// The gate of a leased role in a real kernel, kept open by a daemon that can be stopped:
///     host e0 (gate here) ──── o0 outside
/// Covers: host-agent/edge/lease_gate.cpp
#include "edge/lease_gate.hpp"

#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>

#include "../net-state/lab.hpp"
#include "core/lease.hpp"
#include "support/nft_transactions.hpp"
#include "understudy/common/boot_clock.hpp"

namespace understudy::host {
namespace {

using namespace std::chrono_literals;
using net::test::eventually;
using net::test::FrameSocket;
using net::test::TestNamespace;

constexpr link::ArmLease kOrder{RoleId{}, Term{1}, 7, 2000, 400};  // asks every 250 ms; the gate stays open for 400

/// What the daemon and the test tell each other.
struct Shared {
  std::atomic<bool> grants{true};
  std::atomic<int> opened{0};
  std::atomic<int> refreshed{0};
  std::atomic<int> expired{0};
  std::atomic<bool> reopened_by_refresh{false};
};

/// The active's side of a lease, with its own core and gate. A grant comes when the next one is asked for: there is
/// always one under way that is good for long.
[[noreturn]] void serve_lease(const std::string& path, Shared& shared) {
  auto gate = net::HostGate::attach({"e0"}, path);
  if (!gate) { _exit(1); }
  Lease lease;
  lease.arm(boot_now(), kOrder);
  std::optional<std::uint64_t> under_way;
  for (;; (void)::poll(nullptr, 0, 2)) {
    const auto asked = lease.ask(boot_now());
    if (!asked) { continue; }
    const auto arrived = std::exchange(under_way, shared.grants ? asked : std::nullopt);
    const auto timing = arrived ? lease.granted(boot_now(), *arrived) : std::nullopt;
    if (!timing) { continue; }
    const auto element = std::chrono::milliseconds(kOrder.element_ms);
    const auto done = time_gate(*gate, {"e0"}, {RoleId{}, Term{1}, timing->how, timing->until, element});
    if (done) {
      (void)lease.done(boot_now());
      ++(timing->how == TimedHow::Open ? shared.opened : shared.refreshed);
    } else {
      lease.failed(boot_now());
      if (gate->is_open("e0").value()) { shared.reopened_by_refresh = true; }
      if (done.error().code == Errc::Expired && timing->how == TimedHow::Refresh) { ++shared.expired; }
    }
  }
}

class LeaseGateTest : public testing::Test {
 protected:
  void SetUp() override {
    UNDERSTUDY_NEEDS_ROOT();
    host_.emplace("host");
    outside_.emplace("outside");
    connect(*host_, "e0", *outside_, "o0");
    connect(*host_, "e1", *outside_, "o1");
    gate_.emplace(net::HostGate::attach({"e0", "e1"}, host_->path()).value());
    void* page = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    shared_ = new (page) Shared;
  }
  void TearDown() override {
    if (daemon_ > 0) {
      (void)::kill(daemon_, SIGKILL);
      (void)::waitpid(daemon_, nullptr, 0);
    }
    if (shared_ != nullptr) { (void)::munmap(shared_, sizeof(Shared)); }
  }
  void start_daemon() {
    daemon_ = ::fork();
    ASSERT_GE(daemon_, 0);
    if (daemon_ == 0) { serve_lease(host_->path(), *shared_); }
    ASSERT_TRUE(eventually([&] { return shared_->refreshed > 3; })) << "the daemon keeps the gate open";
  }
  bool is_open(const std::string& port = "e0") { return gate_->is_open(port).value(); }

  std::optional<TestNamespace> host_, outside_;
  std::optional<net::HostGate> gate_;
  Shared* shared_ = nullptr;
  pid_t daemon_ = 0;
};

TEST_F(LeaseGateTest, ClosesByItselfWhileTheDaemonIsStoppedAndOnlyAFreshGrantOpensItAgain) {
  start_daemon();
  FrameSocket host(*host_, "e0");
  FrameSocket outside(*outside_, "o0");
  host.send(1);
  ASSERT_EQ(outside.receive(), 1);
  const int opened = shared_->opened;
  ASSERT_EQ(::kill(daemon_, SIGSTOP), 0);
  ASSERT_TRUE(eventually([&] { return !is_open(); })) << "nobody but the kernel closes it";
  host.send(2);
  const int refreshed = shared_->refreshed;
  ASSERT_EQ(::kill(daemon_, SIGCONT), 0);
  ASSERT_TRUE(eventually([&] { return shared_->opened > opened; })) << "a grant that was asked for after the thaw";
  EXPECT_GE(shared_->expired, 1) << "the grant from before the thaw was still good, and refreshing had to fail";
  EXPECT_FALSE(shared_->reopened_by_refresh);
  EXPECT_EQ(shared_->opened, opened + 1);
  ASSERT_TRUE(eventually([&] { return shared_->refreshed > refreshed; }));
  host.send(3);
  EXPECT_EQ(outside.receive(), 3) << "what was sent before it opened again has not come out";
}

TEST_F(LeaseGateTest, ClosesByItselfWhenNobodyGrantsAnyMore) {
  start_daemon();
  shared_->grants = false;
  ASSERT_TRUE(eventually([&] { return !is_open(); }));
  shared_->grants = true;
  EXPECT_TRUE(eventually([&] { return is_open(); }));
}

TEST_F(LeaseGateTest, UnderAGrantThatRunsOutMeanwhileItEndsClosed) {
  const std::vector<std::string> ports{"e0", "e1"};
  int closed_again = 0;
  for (int i = 0; i < 60; ++i) {
    const auto until = boot_now() + std::chrono::microseconds(50 * i);
    const auto timed = time_gate(*gate_, ports, {RoleId{}, Term{1}, TimedHow::Open, until, 60s});
    if (timed) {
      EXPECT_TRUE(is_open("e0") && is_open("e1"));
    } else {
      ASSERT_EQ(timed.error().code, Errc::Expired) << timed.error().message;
      closed_again += timed.error().message.find("closed again") != std::string::npos ? 1 : 0;
      EXPECT_FALSE(is_open("e0")) << timed.error().message;
      EXPECT_FALSE(is_open("e1")) << timed.error().message;
    }
    for (const auto& port : ports) { ASSERT_OK(gate_->close(port)); }
  }
  EXPECT_GT(closed_again, 0) << "no grant ran out while the gate was being opened";
}

TEST_F(LeaseGateTest, AGrantThatHasRunOutOpensNothingForAMoment) {
  const auto told = host_->in([] { return std::make_unique<understudy::test::NftTransactions>(); });
  for (const auto how : {TimedHow::Open, TimedHow::Refresh}) {
    const auto timed = time_gate(*gate_, {"e0", "e1"}, {RoleId{}, Term{1}, how, boot_now(), 60s});
    ASSERT_FALSE(timed.ok());
    EXPECT_EQ(timed.error().code, Errc::Expired);
  }
  EXPECT_EQ(told->count(), 0) << "nothing was opened and closed again";
  ASSERT_OK(gate_->open("e0"));
  EXPECT_EQ(told->count(), 1);
}

TEST_F(LeaseGateTest, WithoutALeaseItStaysOpenWhateverTimeItHadLeft) {
  ASSERT_OK(time_gate(*gate_, {"e0"}, {RoleId{}, Term{1}, TimedHow::Open, boot_now() + 60s, 300ms}));
  ASSERT_OK(untime_gate(*gate_, {"e0"}));
  ASSERT_OK(gate_->open_for("e1", 600ms));  // a clock: when it has closed, the other one's time is long over
  ASSERT_TRUE(eventually([&] { return !is_open("e1"); }));
  EXPECT_TRUE(is_open("e0"));
}

}  // namespace
}  // namespace understudy::host
