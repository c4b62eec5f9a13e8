// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/carrier.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "netlink.hpp"

namespace understudy::net {

namespace {
constexpr int queued_bytes = 256 * 1024;
constexpr int reads_max = 1024;  ///< of one look; what is left makes the descriptor readable again
}  // namespace

struct CarrierWatch::Impl {
  std::vector<std::string> interfaces;
  NetlinkSocket events;
  Links links;

  void drain() const {
    std::array<char, 16 * 1024> ignored{};
    for (int i = 0; i < reads_max; ++i) {
      const auto got = ::recv(events.fd(), ignored.data(), ignored.size(), MSG_DONTWAIT);
      if (got < 0 && errno != ENOBUFS && errno != EINTR) { return; }  // an overrun is told once
    }
  }
};

CarrierWatch::CarrierWatch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CarrierWatch::CarrierWatch(CarrierWatch&&) noexcept = default;
CarrierWatch& CarrierWatch::operator=(CarrierWatch&&) noexcept = default;
CarrierWatch::~CarrierWatch() = default;

Result<CarrierWatch> CarrierWatch::open(std::vector<std::string> interfaces) {
  auto events = NetlinkSocket::open(NETLINK_ROUTE);
  if (!events) { return events.error(); }
  if (auto listens = events->listen({RTNLGRP_LINK}, queued_bytes); !listens) { return listens.error(); }
  auto links = Links::open();
  if (!links) { return links.error(); }
  return CarrierWatch(
      std::make_unique<Impl>(Impl{std::move(interfaces), std::move(events).value(), std::move(links).value()}));
}

int CarrierWatch::fd() const { return impl_->events.fd(); }

Result<std::map<std::string, bool>> CarrierWatch::look() {
  impl_->drain();
  std::map<std::string, bool> carriers;
  for (const auto& interface : impl_->interfaces) {
    const auto state = impl_->links.state(interface);
    if (!state && state.error().code != Errc::NotFound) { return state.error(); }
    carriers[interface] = state.ok() && state->up && state->carrier;
  }
  return carriers;
}

}  // namespace understudy::net
