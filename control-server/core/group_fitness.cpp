// SPDX-License-Identifier: Apache-2.0
/// What roles must know of each other's links: a network that all actives have lost has failed by itself.
#include "core/group.hpp"

namespace understudy::control {

std::set<std::string> Group::lacked_by_all(const RoleMachine& self) const {
  std::set<std::string> lacked;
  for (const auto& network : self.links_lacked()) {
    unsigned on_it = 0;
    unsigned lack_it = 0;
    for (const auto& role : roles_) {
      const bool active = role.ownership().place == Place{role.config().active, PlaceKind::Host};
      if (!active || !role.has_network(network)) { continue; }
      ++on_it;
      lack_it += role.links_lacked().contains(network) ? 1U : 0U;
    }
    if (on_it > 1 && lack_it == on_it) { lacked.insert(network); }
  }
  return lacked;
}

}  // namespace understudy::control
