// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Planted bugs of replication, in the wires: what a broken edge would make of the frames that pass through it. The
/// state machines of both ends are the product's own, also here.

#include <array>
#include <vector>

#include "ledger.hpp"
#include "understudy/link/replication_frame.hpp"
#include "world.hpp"

namespace understudy::sim {

class Tamper {
 public:
  struct Whole {
    link::replication::FrameHeader header;
    std::vector<std::byte> payload;
  };
  /// Of the mirror's end. `later`: hands a frame over after a while.
  Tamper(World& world, unsigned role, std::function<void(Duration, Whole)> later)
      : world_(world), role_(role), later_(std::move(later)) {}

  [[nodiscard]] static bool plants(Bug bug);
  /// What is handed over in the place of a frame that has come.
  [[nodiscard]] std::vector<Whole> incoming(const link::replication::Frame& frame);
  void outgoing(std::vector<link::replication::EncodedFrame>& batch);

 private:
  [[nodiscard]] std::vector<Whole> acknowledge_received(Whole frame);
  [[nodiscard]] std::vector<Whole> synced_too_early(Whole frame);
  [[nodiscard]] std::vector<Whole> forget_deletions(Whole frame);
  [[nodiscard]] std::vector<Whole> half_a_transaction(Whole frame);

  World& world_;
  const unsigned role_;
  std::function<void(Duration, Whole)> later_;
  struct Store {
    Sequence seen;  ///< in Journal frames
    bool resumed = false;
    bool dropping = false;
  };
  std::array<Store, kStores> stores_;
  std::uint64_t frames_ = 0;
  bool holding_ = false;
};

}  // namespace understudy::sim
