// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/port_map.hpp"

#include <net/if.h>

#include <algorithm>

namespace understudy::net {

Result<PortName> make_port_name(const std::string& text) {
  PortName name{};
  if (text.empty() || text.size() >= name.size()) {
    return failure("port name \"" + text + "\" must have 1 to 15 bytes", Errc::BadInput);
  }
  std::copy(text.begin(), text.end(), name.begin());
  return name;
}

std::string to_string(const PortName& port) { return {port.begin(), std::find(port.begin(), port.end(), '\0')}; }

Result<PortMap> PortMap::resolve(const std::vector<std::pair<std::string, std::string>>& port_and_interface) {
  PortMap map;
  for (const auto& [port, interface] : port_and_interface) {
    const auto name = make_port_name(port);
    if (!name) { return name.error(); }
    map.entries_.push_back({name.value(), interface, 0});
  }
  map.refresh();
  for (const auto& entry : map.entries_) {
    if (entry.ifindex == 0) {
      return failure("port " + to_string(entry.port) + ": there is no interface " + entry.interface, Errc::NotFound);
    }
  }
  return map;
}

void PortMap::refresh() {
  for (auto& entry : entries_) { entry.ifindex = static_cast<int>(::if_nametoindex(entry.interface.c_str())); }
}

std::optional<PortName> PortMap::port_of(int ifindex) const {
  for (const auto& entry : entries_) {
    if (entry.ifindex != 0 && entry.ifindex == ifindex) { return entry.port; }
  }
  return {};
}

std::optional<int> PortMap::ifindex_of(const PortName& port) const {
  for (const auto& entry : entries_) {
    if (entry.ifindex != 0 && entry.port == port) { return entry.ifindex; }
  }
  return {};
}

bool PortMap::has_interface(const std::string& interface) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.interface == interface; });
}

}  // namespace understudy::net
