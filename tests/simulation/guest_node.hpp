// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A mirror: its guest-agent's real core, an edge that does what guest-agent/edge/agent*.cpp do, in their order, and
/// QEMU around it. What is in the guest's kernel and files is in world.hpp.

#include <memory>

#include "understudy/link/guest_channel.hpp"
#include "world.hpp"

namespace understudy::sim {

struct Chassis;

class GuestNode {
 public:
  GuestNode(Chassis& chassis, unsigned role);
  ~GuestNode();

  /// QEMU starts; the agent speaks when the guest has booted.
  void power_on();
  /// QEMU ends, for whatever reason; the host-agent hears of it.
  void end();
  void agent_crash();
  void application_died();

  /// From the host-agent, to the agent it is in conversation with.
  void order(const std::string& instance, const link::guest::GuestOrder& order);
  /// A host-agent has connected and asks who is there.
  void identify();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::sim
