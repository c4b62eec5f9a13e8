// SPDX-License-Identifier: Apache-2.0
#include "guest_fixture.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "understudy/shm/region.hpp"

namespace understudy::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

void run_or_die(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT: fixed paths of the build
}

bool is_current(const fs::path& image, const std::vector<fs::path>& parts) {
  if (!fs::exists(image)) { return false; }
  return std::all_of(parts.begin(), parts.end(),
                     [&](const fs::path& part) { return fs::last_write_time(part) <= fs::last_write_time(image); });
}

}  // namespace

MirrorImage mirror_image() {
  const fs::path directory = IMAGE_DIRECTORY;
  const fs::path scripts = IMAGE_SCRIPTS;
  fs::create_directories(directory);
  const host::UniqueFd lock(open((directory / "lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644));
  flock(lock.get(), LOCK_EX);
  const fs::path kernel = directory / "kernel";
  const fs::path initramfs = directory / "initramfs-test";
  run_or_die((scripts / "fetch-kernel").string() + " " + kernel.string());
  std::vector<fs::path> parts{GUEST_AGENT, SESSION_SERVICE};
  for (const auto& entry : fs::directory_iterator(scripts)) { parts.push_back(entry.path()); }
  if (!is_current(initramfs, parts)) {
    run_or_die((scripts / "build-image").string() + " --kernel-cache " + kernel.string() +
               " --agent " GUEST_AGENT " --add " SESSION_SERVICE ":/usr/bin/session-service --output " +
               initramfs.string());
  }
  return {(kernel / "vmlinux").string(), initramfs.string()};
}

void GuestFixture::SetUp() {
  std::array<char, 32> name{"/tmp/us-guest-XXXXXX"};
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  directory_ = name.data();
}

void GuestFixture::TearDown() {
  for (const auto& role : host::recorded_roles(directory_)) {
    const auto record = host::read_record(directory_, role);
    if (!record) { continue; }
    auto process = host::open_process(record.value().process);
    if (!process) { continue; }
    EXPECT_TRUE(host::kill_process(*process));
    pollfd ended{process->get(), POLLIN, 0};
    EXPECT_EQ(poll(&ended, 1, 10000), 1) << "a QEMU of this test is still there";
    host::collect_exit(*process);
  }
  if (HasFailure()) {
    std::ifstream console(directory_ + "/mirror-role-1.console.log");
    std::string line;
    for (int count = 0; count < 200 && std::getline(console, line); ++count) {
      std::fprintf(stderr, "%s\n", line.c_str());
    }
  }
  fs::remove_all(directory_);
}

host::GuestOptions GuestFixture::options(std::uint64_t region_bytes, bool make_region, host::RegionDevice device) {
  const auto image = mirror_image();
  if (make_region) {
    const host::UniqueFd file(open(region_path().c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const auto file_bytes = region_bytes + (device == host::RegionDevice::Nvdimm ? shm::nvdimm_info_bytes : 0);
    EXPECT_EQ(file_bytes == 0 ? 0 : posix_fallocate(file.get(), 0, static_cast<off_t>(file_bytes)), 0);
  }
  host::GuestOptions options;
  options.role = "role-1";
  options.run_dir = directory_;
  options.kernel = image.kernel;
  options.initramfs = image.initramfs;
  options.region_path = region_path();
  options.region_bytes = region_bytes;
  options.region_device = device;
  options.debug_shell = true;
  return options;
}

host::GuestCallbacks GuestFixture::recording() {
  host::GuestCallbacks callbacks;
  callbacks.on_hello = [this](const link::guest::Hello& hello) { hellos_.push_back(hello); };
  callbacks.on_event = [this](const link::guest::GuestEvent& event) { events_.push_back(event); };
  callbacks.on_lost = [this] { ++lost_count_; };
  callbacks.on_failed = [this](const Error& error) { failures_.push_back(error.message); };
  callbacks.on_exit = [this](const std::string& how) { exits_.push_back(how); };
  return callbacks;
}

std::unique_ptr<host::Guest> GuestFixture::start(const host::GuestOptions& options) {
  auto guest = host::Guest::start(io_, options, recording(), std::chrono::seconds(60));
  if (!guest) {
    ADD_FAILURE() << guest.error().message;
    return nullptr;
  }
  return *std::move(guest);
}

ShellAnswer GuestFixture::shell(const std::string& command, std::chrono::seconds deadline) {
  const auto until = Clock::now() + deadline;
  const host::UniqueFd port(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory_ + "/mirror-role-1.shell.sock";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (connect(port.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {  // NOLINT: sockets API
    ADD_FAILURE() << path << ": " << std::strerror(errno);
    return {};
  }
  static int count = 0;
  const std::string token = "token" + std::to_string(++count) + "-" + std::to_string(getpid());
  const std::string request = token + " " + command + "\n";
  EXPECT_EQ(write(port.get(), request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string heard;
  const std::string begin = token + " begin\n";
  const std::string end = "\n" + token + " exit ";
  while (Clock::now() < until) {
    pollfd readable{port.get(), POLLIN, 0};
    if (poll(&readable, 1, 100) != 1) { continue; }
    std::array<char, 4096> buffer{};
    const auto got = read(port.get(), buffer.data(), buffer.size());
    if (got <= 0) { break; }
    heard.append(buffer.data(), static_cast<std::size_t>(got));
    const auto from = heard.find(begin);
    const auto to = heard.find(end);
    if (from == std::string::npos || to == std::string::npos || heard.find('\n', to + 1) == std::string::npos) {
      continue;
    }
    return {std::atoi(heard.c_str() + to + end.size()), heard.substr(from + begin.size(), to - from - begin.size())};
  }
  ADD_FAILURE() << "the guest's shell did not answer: " << command << "\n" << heard;
  return {};
}

std::uint32_t GuestFixture::region_word(std::uint64_t offset) const {
  std::ifstream file(region_path(), std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  std::uint32_t word = 0;
  file.read(reinterpret_cast<char*>(&word), sizeof word);  // NOLINT: bytes
  return word;
}

}  // namespace understudy::test
