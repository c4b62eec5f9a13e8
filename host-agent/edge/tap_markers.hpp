// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The markers of a movement at a mirror's taps (net/marker.hpp): sent into each behind the closed gate, and awaited
/// from each. What comes back has been through the guest's rx ring, its kernel and its tx queue.
///
///   send(number) ──► each tap ──► guest ──► each tap ──► done, or the limit: the ports whose marker is not back
///
/// Sent again while it is not back: a tap's full queue drops it, and a later marker proves no less. One thread; a crash
/// leaves nothing.

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "understudy/common/types.hpp"
#include "understudy/net/marker.hpp"

namespace understudy::host {

struct MarkedTap {
  std::string port;
  std::string tap;
  MacAddress mac;  ///< of the guest's NIC
};

class TapMarkers {
 public:
  explicit TapMarkers(boost::asio::io_context& io) : io_(io), limit_(io), again_(io) {}
  TapMarkers(const TapMarkers&) = delete;
  TapMarkers& operator=(const TapMarkers&) = delete;

  /// `done` (never within this call): ok, or which ports' markers are not back. A failure to send counts as that.
  void send(const std::vector<MarkedTap>& taps, std::uint64_t number, Duration limit, std::function<void(Status)> done);

 private:
  struct Tap {
    MarkedTap of;
    net::MarkerPort marker;
    boost::asio::posix::stream_descriptor readable;
    bool back = false;
  };
  struct Waiting {
    std::uint64_t number;
    std::vector<std::string> unheard;  ///< ports that no marker could be sent to
    std::function<void(Status)> done;
  };
  void open(const MarkedTap& tap);
  void send_all();
  void listen(Tap& tap);
  void read(Tap& tap);
  void end_if_all_back(bool late);

  boost::asio::io_context& io_;
  boost::asio::steady_timer limit_;
  boost::asio::steady_timer again_;
  std::vector<std::unique_ptr<Tap>> taps_;
  std::shared_ptr<Waiting> waiting_;  ///< handlers hold it weakly
};

}  // namespace understudy::host
