// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/namespace.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

namespace understudy::net {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) { ::close(fd_); }
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Error system_failure(const std::string& what) {
  const int error = errno;
  return failure(what + ": " + std::strerror(error), error == ENOENT ? Errc::NotFound : Errc::Failed);
}

Status raise_loopback() {
  const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) { return system_failure("cannot read the flags of lo"); }
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) { return system_failure("cannot raise lo"); }
  return {};
}

/// Runs on a thread of its own, which ends in the new namespace.
Status unshare_and_pin(const std::string& path) {
  if (::unshare(CLONE_NEWNET) != 0) { return system_failure("cannot make a network namespace"); }
  if (::mount("/proc/thread-self/ns/net", path.c_str(), "none", MS_BIND, nullptr) != 0) {
    return system_failure("cannot pin a network namespace at " + path);
  }
  return raise_loopback();
}

Result<std::string> sysctl_path(const std::string& name) {
  std::string path = name;
  if (path.find('/') == std::string::npos) { std::replace(path.begin(), path.end(), '.', '/'); }
  if (path.empty() || path.front() == '/' || path.find("..") != std::string::npos) {
    return failure("\"" + name + "\" is not the name of a sysctl", Errc::BadInput);
  }
  return "/proc/sys/" + path;
}

}  // namespace

Result<NamespaceScope> NamespaceScope::enter(const std::string& path) {
  if (path.empty()) { return NamespaceScope(-1); }
  const Descriptor target(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (target.get() < 0) { return system_failure("cannot open network namespace " + path); }
  return enter_fd(target.get());
}

Result<NamespaceScope> NamespaceScope::enter_fd(int namespace_fd) {
  const int home = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) { return system_failure("cannot open the present network namespace"); }
  if (::setns(namespace_fd, CLONE_NEWNET) != 0) {
    const auto error = system_failure("cannot enter a network namespace");
    ::close(home);
    return error;
  }
  return NamespaceScope(home);
}

NamespaceScope::~NamespaceScope() {
  if (home_fd_ < 0) { return; }
  UNDERSTUDY_ASSERT(::setns(home_fd_, CLONE_NEWNET) == 0);
  ::close(home_fd_);
}

Result<NamespaceHandle> NamespaceHandle::current() {
  const int fd = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fd < 0) { return system_failure("cannot open the present network namespace"); }
  return NamespaceHandle(fd);
}

NamespaceHandle::~NamespaceHandle() {
  if (fd_ >= 0) { ::close(fd_); }
}

Status create_namespace(const std::string& path) {
  struct statfs mounted {};
  if (::statfs(path.c_str(), &mounted) == 0 && mounted.f_type == NSFS_MAGIC) {
    return failure(path + " is a namespace already", Errc::Refused);
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
    if (file.get() < 0) { return system_failure("cannot make " + path); }
  }
  Status made;
  std::thread([&] { made = unshare_and_pin(path); }).join();
  if (!made) { (void)delete_namespace(path); }
  return made;
}

Status delete_namespace(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL) { return system_failure("cannot unmount " + path); }
  if (::unlink(path.c_str()) != 0) { return system_failure("cannot remove " + path); }
  return {};
}

Status set_sysctl(const std::string& name, const std::string& value) {
  const auto path = sysctl_path(name);
  if (!path) { return path.error(); }
  const Descriptor file(::open(path.value().c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) { return system_failure("cannot open sysctl " + name); }
  if (::write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    return system_failure("cannot set sysctl " + name + " to " + value);
  }
  return {};
}

Result<std::string> get_sysctl(const std::string& name) {
  const auto path = sysctl_path(name);
  if (!path) { return path.error(); }
  const Descriptor file(::open(path.value().c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) { return system_failure("cannot open sysctl " + name); }
  char text[4096];
  const ssize_t got = ::read(file.get(), text, sizeof text);
  if (got < 0) { return system_failure("cannot read sysctl " + name); }
  std::string value(text, static_cast<std::size_t>(got));
  while (!value.empty() && value.back() == '\n') { value.pop_back(); }
  return value;
}

Status keep_bridged_frames_out_of_ip_filters() {
  for (const char* kind : {"iptables", "ip6tables", "arptables"}) {
    const auto set = set_sysctl(std::string("net.bridge.bridge-nf-call-") + kind, "0");
    if (!set && set.error().code != Errc::NotFound) { return set; }
  }
  return {};
}

}  // namespace understudy::net
