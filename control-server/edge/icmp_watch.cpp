// SPDX-License-Identifier: Apache-2.0
#include "edge/icmp_watch.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <thread>

#include "core/echo_run.hpp"
#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"

namespace understudy::control {
namespace asio = boost::asio;

struct IcmpWatch::Impl {
  struct Watched {
    WitnessConfig config;
    EchoRun run;
    asio::steady_timer timer;
    bool send_fails = false;
  };

  Impl(asio::io_context& io, std::vector<IcmpSocket> opened, OnSeen seen)
      : told_io(io), sockets(std::move(opened)), on_seen(std::move(seen)) {}

  void begin(std::vector<WitnessConfig> configs) {
    for (auto& config : configs) {
      EchoRun run(config.count, config.spacing());
      watched.push_back({std::move(config), run, asio::steady_timer(own_io)});
    }
    for (auto& socket : sockets) {
      readable.push_back(std::make_unique<asio::posix::stream_descriptor>(own_io, dup(socket.descriptor())));
      wait_readable(readable.size() - 1);
    }
    for (std::size_t i = 0; i < watched.size(); ++i) { ask(i); }
    thread = std::thread([this] { own_io.run(); });
  }

  void ask(std::size_t index) {
    drain();  // what has come in time is not missing, however late this timer is
    auto& one = watched[index];
    const auto number = one.run.send(boot_now());
    tell(one);
    for (auto& socket : sockets) {
      if (socket.is_v4() != one.config.address.is_v4()) { continue; }
      const auto sent = socket.send(one.config.address, {static_cast<std::uint32_t>(index), number});
      if (!sent && !std::exchange(one.send_fails, true)) {
        log::warn("witness {}: an echo cannot be sent: {}", one.config.name, sent.error().message);
      }
      one.send_fails = !sent;
    }
    one.timer.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(one.config.interval));
    one.timer.async_wait([this, index](const boost::system::error_code& error) {
      if (!error) { ask(index); }
    });
  }

  void wait_readable(std::size_t index) {
    readable[index]->async_wait(asio::posix::stream_descriptor::wait_read,
                                [this, index](const boost::system::error_code& error) {
                                  if (error) { return; }
                                  drain();
                                  wait_readable(index);
                                });
  }

  void drain() {
    for (auto& socket : sockets) {
      while (const auto answer = socket.receive()) {
        if (answer->echo.witness >= watched.size()) { continue; }
        auto& one = watched[answer->echo.witness];
        if (answer->from != one.config.address) { continue; }
        one.run.answered(answer->echo.number);
        tell(one);
      }
    }
  }

  void tell(Watched& one) {
    if (!one.run.take_changed()) { return; }
    asio::post(told_io, [this, alive = std::weak_ptr(alive),
                         seen = WitnessSeen{one.config.name, one.run.vote(), one.run.answered_since()}] {
      if (!alive.expired()) { on_seen(seen); }
    });
  }

  asio::io_context& told_io;
  std::vector<IcmpSocket> sockets;
  OnSeen on_seen;
  asio::io_context own_io{1};
  std::deque<Watched> watched;
  std::vector<std::unique_ptr<asio::posix::stream_descriptor>> readable;
  std::shared_ptr<int> alive = std::make_shared<int>(0);
  std::thread thread;
};

Result<std::vector<IcmpSocket>> open_icmp(const std::vector<WitnessConfig>& witnesses, const IpAddress& own) {
  std::vector<IcmpSocket> sockets;
  for (const bool v4 : {true, false}) {
    const bool needed = std::any_of(witnesses.begin(), witnesses.end(), [&](const WitnessConfig& one) {
      return one.by == WitnessConfig::By::Icmp && one.address.is_v4() == v4;
    });
    if (!needed) { continue; }
    auto socket = IcmpSocket::open(v4, own.is_v4() == v4 ? std::optional(own) : std::nullopt);
    if (!socket) { return socket.error(); }
    sockets.push_back(std::move(socket).value());
  }
  return sockets;
}

IcmpWatch::IcmpWatch(asio::io_context& io, std::vector<IcmpSocket> sockets, std::vector<WitnessConfig> witnesses,
                     OnSeen on_seen)
    : impl_(std::make_unique<Impl>(io, std::move(sockets), std::move(on_seen))) {
  impl_->begin(std::move(witnesses));
}

/// The thread looks at `alive` each time it tells something, so it ends first.
IcmpWatch::~IcmpWatch() {
  impl_->own_io.stop();
  impl_->thread.join();
  impl_->alive.reset();
}

}  // namespace understudy::control
