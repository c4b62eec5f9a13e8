// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A file descriptor with one owner, and the sockets the service opens.

#include <unistd.h>

#include <cstdint>
#include <utility>

#include "understudy/common/result.hpp"

namespace session_service {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { reset(); }
  void reset() {
    if (fd_ >= 0) { ::close(fd_); }
    fd_ = -1;
  }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

enum class Family { V4, V6 };
enum class Transport { Udp, Tcp };

/// Bound to every address of the family, non-blocking. NotFound: this host has no such family.
understudy::Result<Descriptor> open_bound(Family family, Transport transport, std::uint16_t port);

}  // namespace session_service
