// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A BFD service of this process on the loopback, and what it told.

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "understudy/link/bfd_service.hpp"

namespace understudy::link::bfd {

using namespace std::chrono_literals;

inline constexpr std::uint16_t port = 37840;  // not 3784: a real daemon on the machine stays undisturbed

inline IpAddress address(const char* text) { return IpAddress::parse(text).value(); }

struct Node {
  explicit Node(const char* local, BfdService::Options options = {}) {
    options.local_addresses = {address(local)};
    if (options.port == 3784) { options.port = port; }
    auto started = BfdService::start(
        options,
        [this](const PeerEvent& event) {
          const std::lock_guard lock(mutex);
          events.push_back(event);
          changed.notify_all();
        },
        [this](const IpAddress&, Discard why) {
          const std::lock_guard lock(mutex);
          refusals.push_back(why);
          changed.notify_all();
        });
    if (!started) { ADD_FAILURE() << started.error().message; }
    service = std::move(started).value();
  }
  ~Node() { service.reset(); }

  bool wait_for(SessionState state, Duration limit = 20s) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, [&] { return !events.empty() && events.back().change.to == state; });
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<PeerEvent> events;
  std::vector<Discard> refusals;
  std::unique_ptr<BfdService> service;
};

}  // namespace understudy::link::bfd
