// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Every frame of a network namespace that passes a classic BPF filter, in and out, at all interfaces.

#include <linux/filter.h>

#include <cstdint>
#include <functional>
#include <span>

#include "sockets.hpp"

namespace lab {

struct Captured {
  std::int64_t time_ns;
  int interface;
  bool outgoing;
  std::span<const std::uint8_t> bytes;
};

class PacketSocket {
 public:
  explicit PacketSocket(std::span<sock_filter> filter);
  [[nodiscard]] int get() const { return socket_.get(); }
  /// All frames that wait now, at most `most`.
  void read(const std::function<void(const Captured&)>& each, int most = 1000);
  /// Frames that the kernel had no room for since the last call: a capture with losses proves nothing.
  std::uint64_t dropped();

 private:
  Descriptor socket_;
};

}  // namespace lab
