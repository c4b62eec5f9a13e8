// SPDX-License-Identifier: Apache-2.0
/// Two network namespaces and a cable (veth): BfdService against itself and against BIRD.
///
///   [ here: va 10.9.0.1, fd09::1 ]────────[ there: vb 10.9.0.2, fd09::2 ]

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "network_namespace.hpp"
#include "support/eventually.hpp"
#include "understudy/link/bfd_service.hpp"

namespace understudy::link::bfd {
namespace {

using namespace std::chrono_literals;

IpAddress address(const std::string& text) { return IpAddress::parse(text).value(); }

struct Node {
  Node(test::NetworkNamespace& where, std::vector<IpAddress> locals) {
    BfdService::Options options;
    options.local_addresses = std::move(locals);
    where.run([&] {  // sockets are made where the caller is
      auto started = BfdService::start(options, [this](const PeerEvent& event) {
        const std::lock_guard lock(mutex);
        events.push_back(event);
        changed.notify_all();
      });
      if (!started) {
        ADD_FAILURE() << started.error().message;
      } else {
        service = std::move(started).value();
      }
    });
  }
  bool wait_for(const IpAddress& peer, SessionState state) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 30s, [&] {
      for (auto at = events.rbegin(); at != events.rend(); ++at) {
        if (at->peer == peer) { return at->change.to == state; }
      }
      return false;
    });
  }
  PeerEvent last_of(const IpAddress& peer) {
    const std::lock_guard lock(mutex);
    PeerEvent last;
    for (const auto& event : events) {
      if (event.peer == peer) { last = event; }
    }
    return last;
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<PeerEvent> events;
  std::unique_ptr<BfdService> service;  ///< last: no callback outlives what it writes to
};

class BfdNetwork : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) { GTEST_SKIP() << "needs root for network namespaces"; }
    ASSERT_TRUE(here.good() && there.good());
    ASSERT_TRUE(here.ip("link add va type veth peer name vb netns " + there.id()));
    ASSERT_TRUE(here.ip("addr add 10.9.0.1/24 dev va") && here.ip("addr add fd09::1/64 dev va nodad") &&
                here.ip("link set va up"));
    ASSERT_TRUE(there.ip("addr add 10.9.0.2/24 dev vb") && there.ip("addr add fd09::2/64 dev vb nodad") &&
                there.ip("link set vb up"));
  }
  test::NetworkNamespace here;
  test::NetworkNamespace there;
  const IpAddress here4 = address("10.9.0.1"), here6 = address("fd09::1");
  const IpAddress there4 = address("10.9.0.2"), there6 = address("fd09::2");
};

TEST_F(BfdNetwork, BothFamiliesComeUpAndASilencedPeerIsNoticedAndComesBack) {
  Node a(here, {here4, here6});
  Node b(there, {there4, there6});
  ASSERT_TRUE(a.service && b.service);
  here.run([&] {
    ASSERT_TRUE(a.service->add_peer(there4, {}).ok());
    ASSERT_TRUE(a.service->add_peer(there6, {}).ok());
  });
  there.run([&] {
    ASSERT_TRUE(b.service->add_peer(here4, {}).ok());
    ASSERT_TRUE(b.service->add_peer(here6, {}).ok());
  });
  for (const auto& peer : {there4, there6}) { EXPECT_TRUE(a.wait_for(peer, SessionState::Up)) << peer.to_string(); }
  for (const auto& peer : {here4, here6}) { EXPECT_TRUE(b.wait_for(peer, SessionState::Up)) << peer.to_string(); }

  ASSERT_TRUE(there.ip("link set vb down"));
  for (const auto& peer : {there4, there6}) {
    EXPECT_TRUE(a.wait_for(peer, SessionState::Down)) << peer.to_string();
    EXPECT_EQ(a.last_of(peer).change.diagnostic, Diagnostic::DetectionTimeExpired);
  }

  ASSERT_TRUE(there.ip("link set vb up") && there.ip("addr replace fd09::2/64 dev vb nodad"));
  for (const auto& peer : {there4, there6}) { EXPECT_TRUE(a.wait_for(peer, SessionState::Up)) << peer.to_string(); }
}

/// BIRD in the foreground in a namespace; killed by its pid, whatever happens.
class Bird {
 public:
  Bird(test::NetworkNamespace& where, const std::string& config) {
    char directory[] = "/tmp/bfd-bird-XXXXXX";
    directory_ = mkdtemp(directory);
    std::ofstream(directory_ + "/bird.conf") << config;
    where.run([&] {
      pid_ = fork();
      if (pid_ == 0) {
        const int silence = open("/dev/null", O_RDWR);
        dup2(silence, 1);
        dup2(silence, 2);
        execlp("bird", "bird", "-f", "-c", (directory_ + "/bird.conf").c_str(), "-s", (directory_ + "/ctl").c_str(),
               "-P", (directory_ + "/pid").c_str(), nullptr);
        _exit(127);
      }
    });
  }
  ~Bird() {
    stop();
    std::filesystem::remove_all(directory_);
  }
  void stop() {
    if (pid_ <= 0) { return; }
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  std::string directory_;
  pid_t pid_ = 0;
};

TEST_F(BfdNetwork, ComesUpWithBirdAndNoticesItsDeath) {
  if (std::system("command -v bird >/dev/null 2>&1") != 0) { GTEST_SKIP() << "BIRD is not installed"; }
  Bird bird(there,
            "router id 10.9.0.2;\n"
            "protocol device {}\n"
            "protocol bfd {\n"
            "  interface \"vb\" { min rx interval 50 ms; min tx interval 50 ms; multiplier 3; };\n"
            "  neighbor 10.9.0.1 dev \"vb\" local 10.9.0.2;\n"
            "  neighbor fd09::1 dev \"vb\" local fd09::2;\n"
            "}\n");
  Node a(here, {here4, here6});
  ASSERT_TRUE(a.service);
  here.run([&] {
    ASSERT_TRUE(a.service->add_peer(there4, {}).ok());
    ASSERT_TRUE(a.service->add_peer(there6, {}).ok());
  });
  for (const auto& peer : {there4, there6}) { ASSERT_TRUE(a.wait_for(peer, SessionState::Up)) << peer.to_string(); }
  EXPECT_TRUE(test::eventually([&] { return a.service->status(there4)->detection_time == 150ms; }))
      << "BIRD's 50 ms x 3";
  EXPECT_EQ(a.service->status(there4)->transmit_interval, Duration(50ms));

  bird.stop();
  for (const auto& peer : {there4, there6}) {
    EXPECT_TRUE(a.wait_for(peer, SessionState::Down));
    EXPECT_EQ(a.last_of(peer).change.diagnostic, Diagnostic::DetectionTimeExpired);
  }
}

}  // namespace
}  // namespace understudy::link::bfd
