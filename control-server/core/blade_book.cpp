// SPDX-License-Identifier: Apache-2.0
#include "core/blade_book.hpp"

namespace understudy::control {

BladeBook::BladeBook(const GroupConfig& config) : standby_(config.standby().id) {
  for (const auto& blade : config.blades) { blades_[blade.id].config = blade; }
}

Blade* BladeBook::find(const BladeId& id) {
  const auto found = blades_.find(id);
  return found != blades_.end() ? &found->second : nullptr;
}
const Blade* BladeBook::find(const BladeId& id) const {
  const auto found = blades_.find(id);
  return found != blades_.end() ? &found->second : nullptr;
}
Blade& BladeBook::at(const BladeId& id) {
  auto* blade = find(id);
  UNDERSTUDY_ASSERT(blade != nullptr);
  return *blade;
}
const Blade& BladeBook::at(const BladeId& id) const {
  const auto* blade = find(id);
  UNDERSTUDY_ASSERT(blade != nullptr);
  return *blade;
}

}  // namespace understudy::control
