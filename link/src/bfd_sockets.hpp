// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The sockets of single-hop BFD: TTL 255 out, TTL told on the way in.

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>

#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"

namespace understudy::link::bfd {

/// A file descriptor that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

/// Where an address is as the kernel wants it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};
/// `interface` gives link-local addresses their scope.
Result<SocketAddress> socket_address(const IpAddress& address, std::uint16_t port, const std::string& interface);

/// Bound to `address`:`port`, non-blocking, reports TTL / hop limit.
Result<FileDescriptor> open_receiver(const IpAddress& address, std::uint16_t port, const std::string& interface);

/// Bound to `address` and a free port of 49152-65535, sends with TTL / hop limit 255.
Result<FileDescriptor> open_sender(const IpAddress& address, const std::string& interface, std::mt19937& random);

struct Datagram {
  IpAddress from;
  int ttl = -1;  ///< -1: the kernel did not tell
  std::size_t size = 0;
};
/// One waiting datagram into `buffer`; nothing when there is none.
std::optional<Datagram> receive(int fd, std::span<std::byte> buffer);

bool send(int fd, const SocketAddress& to, std::span<const std::byte> bytes);

}  // namespace understudy::link::bfd
