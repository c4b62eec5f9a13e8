// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A marker: a frame with a number that goes through a mirror's NIC behind everything that went before it. Who sees it
/// at the far end knows that the far end has taken all that is older (rule 12).
///
///   host ── send(Down) ──► tap's queue ──► the guest's rx ring ──► its kernel ──► read(Down)
///   host ◄── read(Up) ──── tap ◄────────── the guest's tx ring ◄── its queue ◄─── send(Up)
///
/// Below the gate: a marker is put into the tap itself and taken from it before the bridge looks, so a closed gate
/// stops it in neither direction; and no bridge forwards it, whatever its gate: the way up has a group address that
/// IEEE 802.1D reserves. The number is random: frames that a stranger sent earlier are none. Where the kernel works one
/// NIC off on one processor (a mirror has one), a frame's traces are there before the next frame is looked at. A crash
/// leaves nothing.

#include <cstdint>
#include <optional>
#include <string>

#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"

namespace understudy::net {

enum class MarkerWay : std::uint8_t { Down = 1, Up = 2 };

class MarkerPort {
 public:
  /// Ports of bridges are listened to before the bridge takes the frame, which costs each of their frames a look: only
  /// while a marker is waited for. Others cost nothing.
  enum class On : std::uint8_t { Nic, BridgePort };

  /// In the calling thread's namespace. Hears only markers.
  static Result<MarkerPort> open(const std::string& interface, On on);
  MarkerPort(MarkerPort&& other) noexcept;
  MarkerPort& operator=(MarkerPort&& other) noexcept;
  /// Takes milliseconds: the kernel waits for whoever is about to hand it a frame.
  ~MarkerPort();

  /// `nic`: the address of the mirror's NIC, whichever way it goes.
  Status send(MarkerWay way, const MacAddress& nic, std::uint64_t number);
  /// The number of the next marker that came in this way, without waiting.
  Result<std::optional<std::uint64_t>> read(MarkerWay way);

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] static std::uint64_t make_number();

 private:
  MarkerPort(int fd, int index, std::string interface) : fd_(fd), index_(index), interface_(std::move(interface)) {}
  int fd_ = -1;
  int index_ = 0;
  std::string interface_;
};

}  // namespace understudy::net
