// SPDX-License-Identifier: Apache-2.0
#pragma once
/// All daemons of a group, so that they find each other.

#include "blade_node.hpp"
#include "control_node.hpp"
#include "guest_node.hpp"

namespace understudy::sim {

struct Chassis {
  explicit Chassis(const Settings& settings);
  World world;
  ControlNode control;
  std::vector<std::unique_ptr<BladeNode>> blades;
  std::vector<std::unique_ptr<GuestNode>> guests;
};

}  // namespace understudy::sim
