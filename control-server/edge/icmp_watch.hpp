// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Asks the witnesses of the configuration by ICMP echo, on a thread of its own: a loop that waits for its disk must
/// not look like a witness that is lost.
///
///     timer of each witness ──► drain the sockets ──► EchoRun ──► next echo            WitnessSeen, posted to `io`
///     a socket is readable ───► answers ───────────► EchoRun ──── changed? ──────────► on_seen
///
/// Threads: on_seen belongs to the io_context's thread, everything else of it to its own.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "core/config.hpp"
#include "core/events.hpp"
#include "edge/icmp_echo.hpp"

namespace understudy::control {

/// The sockets that the configuration's witnesses by ICMP need: of each family one. Of `own`'s family the echoes go out
/// from that address, so that a witness is not reached around the cable that is in question.
Result<std::vector<IcmpSocket>> open_icmp(const std::vector<WitnessConfig>& witnesses, const IpAddress& own);

class IcmpWatch {
 public:
  using OnSeen = std::function<void(const WitnessSeen&)>;
  IcmpWatch(boost::asio::io_context& io, std::vector<IcmpSocket> sockets, std::vector<WitnessConfig> witnesses,
            OnSeen on_seen);
  /// Nothing is told afterwards.
  ~IcmpWatch();
  IcmpWatch(const IcmpWatch&) = delete;
  IcmpWatch& operator=(const IcmpWatch&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::control
