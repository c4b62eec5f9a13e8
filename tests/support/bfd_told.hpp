// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a BFD service told, kept for a test's own thread.

#include <condition_variable>
#include <mutex>
#include <vector>

#include "understudy/link/bfd_service.hpp"

namespace understudy::link::bfd {

/// A base of whoever owns the service: it must not outlive this.
struct Told {
  Result<std::unique_ptr<BfdService>> start(const BfdService::Options& options) {
    return BfdService::start(
        options, [this](const PeerEvent& event) { keep(events, event); },
        [this](const IpAddress&, Discard why) { keep(refusals, why); });
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<PeerEvent> events;
  std::vector<Discard> refusals;

 private:
  template <class What>
  void keep(std::vector<What>& kept, const What& what) {
    const std::lock_guard lock(mutex);
    kept.push_back(what);
    changed.notify_all();
  }
};

}  // namespace understudy::link::bfd
