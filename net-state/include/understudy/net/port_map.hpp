// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Logical port ("ext") <-> interface of one namespace ("ext0", index 7). Records carry the logical name alone, since
/// the same record is installed on another machine.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/net/records.hpp"

namespace understudy::net {

class PortMap {
 public:
  PortMap() = default;

  /// Looks every interface up in the calling thread's namespace. NotFound names the missing one.
  static Result<PortMap> resolve(const std::vector<std::pair<std::string, std::string>>& port_and_interface);

  /// The index of an interface changes when it is made anew. Missing ones keep index 0 and match nothing.
  void refresh();

  [[nodiscard]] std::optional<PortName> port_of(int ifindex) const;
  [[nodiscard]] std::optional<int> ifindex_of(const PortName& port) const;  ///< hostile bytes allowed
  [[nodiscard]] bool has_interface(const std::string& interface) const;

 private:
  struct Entry {
    PortName port{};
    std::string interface;
    int ifindex = 0;
  };
  std::vector<Entry> entries_;
};

/// BadInput: empty or more than 15 bytes.
Result<PortName> make_port_name(const std::string& text);
/// Up to the first 0 byte, at most 16.
std::string to_string(const PortName& port);

}  // namespace understudy::net
