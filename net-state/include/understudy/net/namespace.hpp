// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Network namespaces. Every class of this library works in the namespace that its *calling thread* is in when it is
/// constructed (its sockets stay there); a NamespaceScope puts the thread there for a moment.

#include <string>
#include <utility>

#include "understudy/common/result.hpp"

namespace understudy::net {

/// While it lives, the current thread is in another network namespace. Must end on the thread that made it.
class NamespaceScope {
 public:
  /// `path` is a bind mount such as /run/netns/us-lab-blade-1 or /proc/PID/ns/net. Empty: stay where we are.
  static Result<NamespaceScope> enter(const std::string& path);
  static Result<NamespaceScope> enter_fd(int namespace_fd);

  NamespaceScope(NamespaceScope&& other) noexcept : home_fd_(std::exchange(other.home_fd_, -1)) {}
  NamespaceScope& operator=(NamespaceScope&&) = delete;
  /// Goes back. A thread that cannot go back would work on the wrong machine: that aborts.
  ~NamespaceScope();

 private:
  explicit NamespaceScope(int home_fd) : home_fd_(home_fd) {}
  int home_fd_ = -1;
};

/// The namespace that a long-lived object belongs to, whatever thread calls it later.
class NamespaceHandle {
 public:
  static Result<NamespaceHandle> current();
  NamespaceHandle(NamespaceHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  NamespaceHandle& operator=(NamespaceHandle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~NamespaceHandle();
  [[nodiscard]] Result<NamespaceScope> enter() const { return NamespaceScope::enter_fd(fd_); }

 private:
  explicit NamespaceHandle(int fd) : fd_(fd) {}
  int fd_ = -1;
};

/// Makes an empty network namespace, kept alive by a bind mount at `path` (`ip netns` sees it when `path` is below
/// /run/netns). loopback is up. Refused: `path` is a namespace already.
Status create_namespace(const std::string& path);

/// Unmounts and removes `path`. The namespace goes when its last process and socket do. NotFound: no such path.
Status delete_namespace(const std::string& path);

/// "net.ipv4.ip_forward" or "net/ipv4/conf/eth0.100/forwarding", in the calling thread's network namespace.
/// NotFound: this kernel (or a module that is not loaded) does not have it.
Status set_sysctl(const std::string& name, const std::string& value);
Result<std::string> get_sysctl(const std::string& name);

/// net.bridge.bridge-nf-call-{ip,ip6,arp}tables = 0 where present: otherwise routing filters see, and a policy drop
/// in the forward chain kills, frames that are only bridged (rule 16).
Status keep_bridged_frames_out_of_ip_filters();

}  // namespace understudy::net
