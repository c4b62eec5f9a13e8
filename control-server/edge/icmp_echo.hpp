// SPDX-License-Identifier: Apache-2.0
#pragma once
/// ICMP and ICMPv6 echo: requests out, answers in, by the kernel's ping socket, or by a raw one where ping sockets are
/// not permitted (sysctl net.ipv4.ping_group_range). Opened before the daemon gives up its capabilities, kept for good.
///
/// An answer counts by its content only: it comes from the asked address and carries the 16 bytes that were sent to it,
/// a random number of this process among them. Whoever has not seen the request cannot make one.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"

namespace understudy::control {

struct Echo {
  std::uint32_t witness = 0;
  std::uint32_t number = 0;
  bool operator==(const Echo&) const = default;
};

class IcmpSocket {
 public:
  /// `from`: its own address, of `v4`'s family; none: as the routes say.
  static Result<IcmpSocket> open(bool v4, const std::optional<IpAddress>& from);
  ~IcmpSocket();
  IcmpSocket(IcmpSocket&& other) noexcept;
  IcmpSocket& operator=(IcmpSocket&&) = delete;
  IcmpSocket(const IcmpSocket&) = delete;
  IcmpSocket& operator=(const IcmpSocket&) = delete;

  /// The kernel's reason when it does not go out.
  Status send(const IpAddress& to, const Echo& echo);
  struct Answer {
    IpAddress from;
    Echo echo;
  };
  /// The next answer to something that was sent here; none: nothing more has come.
  std::optional<Answer> receive();
  [[nodiscard]] int descriptor() const { return fd_; }
  [[nodiscard]] bool is_v4() const { return v4_; }
  [[nodiscard]] bool is_raw() const { return raw_; }

 private:
  IcmpSocket(int fd, bool v4, bool raw);
  [[nodiscard]] std::optional<Echo> parse(const std::byte* bytes, std::size_t size) const;

  int fd_;
  bool v4_;
  bool raw_;
  std::uint16_t id_;
  std::array<std::byte, 8> cookie_;
};

}  // namespace understudy::control
