// SPDX-License-Identifier: Apache-2.0
// The session service is handed from one place to the next on the same region, each place in a network namespace of
// its own: what the movement does to it, without the guest around the first place.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "service_process.hpp"
#include "support/supervisor_bench.hpp"
#include "tables.hpp"
#include "understudy/shm/region.hpp"

namespace session_service {
namespace {

namespace us = understudy;
using namespace std::chrono_literals;

void enter(const std::string& path) {
  const Descriptor space(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(space);
  ASSERT_EQ(::setns(space.get(), CLONE_NEWNET), 0);
}

/// A network namespace with its loopback up, kept by a bind mount. Made and entered in threads of their own, so that
/// the test itself stays where it is.
class NetworkNamespace {
 public:
  explicit NetworkNamespace(std::string path) : path_(std::move(path)) {
    std::ofstream(path_).flush();
    std::thread([this] {
      ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
      ASSERT_EQ(::mount("/proc/thread-self/ns/net", path_.c_str(), nullptr, MS_BIND, nullptr), 0);
      const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      ifreq request{};
      request.ifr_name[0] = 'l';
      request.ifr_name[1] = 'o';
      request.ifr_flags = IFF_UP;
      ASSERT_EQ(::ioctl(socket.get(), SIOCSIFFLAGS, &request), 0);
    }).join();
  }
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;
  ~NetworkNamespace() { ::umount2(path_.c_str(), MNT_DETACH); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] ino_t inode() const {
    struct stat status {};
    ::stat(path_.c_str(), &status);
    return status.st_ino;
  }
  /// One UDP request from inside; nothing when no reply comes within `deadline`.
  [[nodiscard]] std::optional<std::string> ask(const std::string& line,
                                               std::chrono::milliseconds deadline = 10s) const {
    std::optional<std::string> reply;
    std::thread([&] {
      enter(path_);
      Client client(Transport::Udp, "::1", 7500);
      if (client.send(line)) { reply = client.receive(deadline); }
    }).join();
    return reply;
  }

 private:
  std::string path_;
};

class Handover : public testing::Test, protected us::test::SupervisorBench {
 protected:
  Handover() {
    char name[] = "/dev/shm/understudy-handover-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~Handover() override {
    for (auto* place : {first_.get(), second_.get()}) {
      if (place == nullptr) { continue; }
      place->kill_now();
      run_until([&] { return !place->status().running; });
    }
    spaces_.clear();
    std::filesystem::remove_all(directory_);
  }
  void SetUp() override {
    if (::geteuid() != 0) { GTEST_SKIP() << "network namespaces need root"; }
    const us::shm::RegionSchema schema{{store_schema("sessions", {})}};
    bytes_ = us::shm::Region::size_needed(schema).value();
    ASSERT_TRUE(us::shm::Region::create(region(), bytes_, schema));
    first_ = start("first");
    second_ = start("second");
  }
  [[nodiscard]] std::string region() const { return directory_ + "/region"; }

  std::unique_ptr<us::app::Supervisor> start(const std::string& place) {
    spaces_.push_back(std::make_unique<NetworkNamespace>(directory_ + "/" + place + ".net"));
    us::app::ApplicationOptions options;
    options.name = "session-service";
    options.command = {SESSION_SERVICE};
    options.network_namespace = spaces_.back()->path();
    options.run_dir = directory_ + "/" + place;
    options.region_path = region();
    options.region_bytes = bytes_;
    options.store = "sessions";
    auto supervisor = std::make_unique<us::app::Supervisor>(io_, options, us::app::Supervisor::Callbacks{});
    const auto started = supervisor->start();
    EXPECT_TRUE(started) << started.error().message;
    return supervisor;
  }

  /// Permissions of every mapping that `place`'s application has of the region's inode.
  [[nodiscard]] std::string mappings(const us::app::Supervisor& place) const {
    struct stat file {};
    EXPECT_EQ(::stat(region().c_str(), &file), 0);
    std::ifstream maps("/proc/" + std::to_string(place.status().pid) + "/maps");
    std::string found;
    for (std::string line; std::getline(maps, line);) {
      std::istringstream fields(line);
      std::string range, permissions, offset, device;
      std::uint64_t inode = 0;
      fields >> range >> permissions >> offset >> device >> inode;
      if (inode == file.st_ino) { found += permissions + " "; }
    }
    return found;
  }

  std::string directory_;
  std::uint64_t bytes_ = 0;
  std::vector<std::unique_ptr<NetworkNamespace>> spaces_;
  std::unique_ptr<us::app::Supervisor> first_;
  std::unique_ptr<us::app::Supervisor> second_;
};

TEST_F(Handover, TheNextPlaceAnswersWhatTheFormerOneCountedAndARetryIsCountedOnce) {
  ASSERT_TRUE(activate(*first_, 1));
  ASSERT_TRUE(ready(*second_));
  const auto& here = *spaces_[0];
  const auto& there = *spaces_[1];
  const auto login = here.ask("a 1 LOGIN alice");
  ASSERT_TRUE(login);
  const auto id = login->substr(login->rfind(' ') + 1);
  ASSERT_EQ(here.ask("a 2 COUNT " + id), "a 2 EXPOSED 1");
  EXPECT_FALSE(there.ask("a 3 READ " + id, 100ms)) << "who stands by is silent";
  EXPECT_FALSE(activate(*second_, 2)) << "while the first place writes, there is no second writer";

  ASSERT_TRUE(quiesce(*first_));
  EXPECT_FALSE(here.ask("a 3 COUNT " + id, 100ms)) << "quiesced";
  first_->kill_now();  // QEMU's SIGKILL
  ASSERT_TRUE(run_until([&] { return !first_->status().running; }));
  ASSERT_TRUE(activate(*second_, 2));
  EXPECT_EQ(there.ask("a 2 COUNT " + id), "a 2 EXPOSED 1") << "a retry of what the former place did";
  EXPECT_EQ(there.ask("a 3 COUNT " + id), "a 3 EXPOSED 2");
  EXPECT_EQ(there.ask("a 4 READ " + id), "a 4 EXPOSED 2 0 alice");
}

TEST_F(Handover, TheNextPlaceMapsTheVeryRegionReadOnlyWhileItStandsByAndWritesItWhenActive) {
  ASSERT_TRUE(activate(*first_, 1));
  ASSERT_TRUE(ready(*second_));
  EXPECT_EQ(mappings(*second_), "r--s ");
  ASSERT_TRUE(outcome([&](auto done) { first_->stop({8000ms, 5000ms, 5000ms}, done); }));
  ASSERT_TRUE(activate(*second_, 2));
  EXPECT_NE(mappings(*second_).find("rw-s "), std::string::npos) << mappings(*second_);
}

TEST_F(Handover, EachApplicationRunsInItsOwnNetworkNamespace) {
  ASSERT_TRUE(ready(*first_));
  ASSERT_TRUE(ready(*second_));
  for (std::size_t i = 0; i < 2; ++i) {
    const auto pid = (i == 0 ? first_ : second_)->status().pid;
    struct stat status {};
    ASSERT_EQ(::stat(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), &status), 0);
    EXPECT_EQ(status.st_ino, spaces_[i]->inode());
  }
}

}  // namespace
}  // namespace session_service
