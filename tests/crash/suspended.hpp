// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "store_points.hpp"

namespace understudy::shm::crash {

/// While an image is looked at its stores are nobody's, and the protocol is whole.
class Suspended {
 public:
  Suspended() = default;
  ~Suspended() {
    points::held_back = std::move(held_);
    points::swap = std::move(swap_);
    points::on_store = std::move(on_store_);
  }
  Suspended(const Suspended&) = delete;
  Suspended& operator=(const Suspended&) = delete;

 private:
  std::function<void()> on_store_ = std::exchange(points::on_store, nullptr);
  points::Swap swap_ = std::exchange(points::swap, {});
  std::vector<std::pair<std::uint64_t*, std::uint64_t>> held_ = std::exchange(points::held_back, {});
};

}  // namespace understudy::shm::crash
