// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The guest's end of the guest channel: a virtio-serial port, JSON lines (link/guest_channel.hpp). The port may hold
/// bytes that were meant for a former agent: what is no order is skipped, and the host speaks again after our hello.

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <functional>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/link/guest_channel.hpp"

namespace understudy::guest {

class HostChannel {
 public:
  HostChannel(boost::asio::io_context& io, std::function<void(const link::guest::GuestOrder&)> on_order);
  /// NotFound: no such port.
  Status open(const std::string& path);
  void send(const link::guest::GuestEvent& event);

 private:
  void read();
  void write();

  boost::asio::posix::stream_descriptor port_;
  std::function<void(const link::guest::GuestOrder&)> on_order_;
  std::array<char, 16384> incoming_{};
  link::guest::LineReader lines_;
  std::deque<std::string> outgoing_;
};

}  // namespace understudy::guest
