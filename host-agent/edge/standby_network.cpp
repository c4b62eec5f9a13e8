// SPDX-License-Identifier: Apache-2.0
#include "edge/standby_network.hpp"

#include "understudy/net/interfaces.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy::host {

Status StandbyNetwork::open_links() {
  if (links_) { return {}; }
  auto links = net::Links::open();
  if (!links) { return links.error(); }
  links_.emplace(std::move(links).value());
  return {};
}

Result<bool> StandbyNetwork::is_there() {
  if (auto opened = open_links(); !opened) { return opened.error(); }
  return links_->state(maintenance_bridge()).ok();
}

Status StandbyNetwork::ensure() {
  if (auto opened = open_links(); !opened) { return opened; }
  if (!gate_) {
    auto gate = net::BridgeGate::attach({});
    if (!gate) { return gate.error(); }
    gate_ = std::make_unique<net::BridgeGate>(std::move(gate).value());
  }
  if (auto done = net::keep_bridged_frames_out_of_ip_filters(); !done) { return done; }
  return make_bridge(maintenance_bridge(), config_.mirrors.maintenance_interface);
}

Result<std::string> StandbyNetwork::bridge_of(const std::string& network) {
  const auto found = config_.networks.find(network);
  if (found == config_.networks.end()) {
    return failure(
        "network \"" + network + "\" is not in [networks] of this blade, so it cannot be the standby of its roles",
        Errc::BadInput);
  }
  const auto bridge = "us-" + found->second;
  if (auto made = make_bridge(bridge, found->second); !made) { return made.error(); }
  return bridge;
}

Status StandbyNetwork::make_bridge(const std::string& bridge, const std::string& uplink) {
  for (const auto& port : {bridge, uplink}) {
    if (auto done = gate_->add_ungated(port); !done) { return done; }
  }
  const auto found = links_->state(bridge);
  const auto port = links_->state(uplink);
  if (!port) { return port.error(); }
  const auto addresses = links_->addresses(uplink);
  if (!addresses) { return addresses.error(); }
  if (found && port->master_index == found->index && found->up) {
    // A daemon that died in between has left them: their route would win, and its answers arrive at the bridge.
    return give_up_addresses(uplink, addresses.value());
  }
  if (!found) {
    if (auto done = links_->create_bridge(bridge); !done) { return done; }
  }
  // The address is on both for a moment: a connection never sees its local address vanish.
  for (const auto& address : addresses.value()) {
    if (address.address.is_link_local()) { continue; }
    if (auto done = links_->add_address(bridge, address); !done) { return done; }
  }
  if (auto done = links_->set_up(bridge, true); !done) { return done; }
  if (auto done = links_->set_master(uplink, bridge); !done) { return done; }
  if (auto done = give_up_addresses(uplink, addresses.value()); !done) { return done; }
  return links_->set_up(uplink, true);
}

Status StandbyNetwork::give_up_addresses(const std::string& uplink, const std::vector<IpPrefix>& addresses) {
  for (const auto& address : addresses) {
    // One of the same network may be gone already: the kernel takes it away with the first of them.
    if (auto done = links_->delete_address(uplink, address); !done && done.error().code != Errc::NotFound) {
      return done;
    }
  }
  return {};
}

Status StandbyNetwork::join(const std::string& port, const std::string& bridge) {
  if (auto done = gate_->close(port); !done) { return done; }
  if (auto done = links_->set_master(port, bridge); !done) { return done; }
  return links_->set_up(port, true);
}

Status StandbyNetwork::join_ungated(const std::string& port, const std::string& bridge) {
  if (auto done = gate_->add_ungated(port); !done) { return done; }
  if (auto done = links_->set_master(port, bridge); !done) { return done; }
  return links_->set_up(port, true);
}

}  // namespace understudy::host
