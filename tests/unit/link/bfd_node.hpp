// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A BFD service of this process on the loopback, and what it told.

#include <gtest/gtest.h>

#include "support/bfd_told.hpp"

namespace understudy::link::bfd {

using namespace std::chrono_literals;

inline constexpr std::uint16_t port = 37840;  // not 3784: a real daemon on the machine stays undisturbed

inline IpAddress address(const char* text) { return IpAddress::parse(text).value(); }

struct Node : Told {
  explicit Node(const char* local, BfdService::Options options = {}) {
    options.local_addresses = {address(local)};
    if (options.port == 3784) { options.port = port; }
    auto started = start(options);
    if (!started) { ADD_FAILURE() << started.error().message; }
    service = std::move(started).value();
  }

  bool wait_for(SessionState state, Duration limit = 20s) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, [&] { return !events.empty() && events.back().change.to == state; });
  }

  std::unique_ptr<BfdService> service;
};

}  // namespace understudy::link::bfd
