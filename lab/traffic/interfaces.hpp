// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Interfaces of the network namespace and the bridges they belong to, kept current by rtnetlink's own messages.

#include <cstdint>
#include <map>
#include <string>

#include "sockets.hpp"

namespace lab {

struct Interface {
  std::string name, bridge;  ///< bridge: empty when it is no port of one
};

class Interfaces {
 public:
  Interfaces();
  /// Becomes readable when something changed.
  [[nodiscard]] int descriptor() const { return changes_.get(); }
  void read_changes();
  [[nodiscard]] const Interface* find(int index) const;

 private:
  void load();
  Descriptor changes_;
  std::map<int, Interface> known_;
};

}  // namespace lab
