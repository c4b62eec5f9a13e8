// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A host-agent: its real core, and an edge that does what host-agent/edge/agent*.cpp, movement_unit.cpp and
/// transfer_unit.cpp do, in their order. What it changes is the blade's kernel in world.hpp, which outlives it.

#include <memory>

#include "understudy/link/guest_channel.hpp"
#include "world.hpp"

namespace understudy::sim {

struct Chassis;
class SenderNode;

class BladeNode {
 public:
  BladeNode(Chassis& chassis, unsigned site);
  ~BladeNode();

  void start();
  void crash();
  void stop_in_order();
  /// With the power everything goes that was written down.
  void on_power_lost();

  /// From a guest; delivered on this daemon already.
  void guest_said(unsigned role, const link::guest::GuestEvent& event);
  void guest_agent_gone(unsigned role);
  void guest_exited(unsigned role);
  void granted(unsigned role, Term term, std::uint64_t nonce);
  /// The process on this host has ended.
  void application_died(unsigned role);
  /// The carriers of its service interfaces are others than before; its role's application has changed its mind.
  void links_changed();
  void application_said(unsigned role);
  /// Who listens there for a mirror of the role; null: nobody.
  [[nodiscard]] std::shared_ptr<SenderNode> sender(unsigned role) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::sim
