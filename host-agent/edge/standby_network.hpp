// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The bridges of a standby blade, with the gate in front of everything that is not yet allowed to speak.
///
///   ext0 ── us-ext0 ──┬── m2-ext  (tap of mirror-2)          gate: table bridge understudy_gate, policy drop,
///   int2 ── us-int2 ──┼── h2-ext  (veth of role-2's host namespace)     there before a port joins (rule 16)
///   mnt0 ── us-mnt0 ──┴── m2-mnt  (maintenance NIC of mirror-2: outside the gate)
///
/// The blade's own addresses move from the interface to its bridge, so that connections of the blade itself live on.
/// A crash leaves bridges, ports and gate as they are; ensure() finds them.

#include <memory>
#include <optional>
#include <string>

#include "edge/config.hpp"
#include "understudy/net/gate.hpp"
#include "understudy/net/interfaces.hpp"

namespace understudy::host {

class StandbyNetwork {
 public:
  explicit StandbyNetwork(const BladeConfig& config) : config_(config) {}

  /// A former daemon has made this blade a standby: the service interfaces are uplinks of bridges already.
  Result<bool> is_there();
  /// Gate and maintenance bridge. Idempotent.
  Status ensure();
  /// The bridge of a network, made when absent.
  Result<std::string> bridge_of(const std::string& network);
  [[nodiscard]] std::string maintenance_bridge() const { return "us-" + config_.mirrors.maintenance_interface; }
  /// The role's ports may join bridges only through these: a new port is behind the gate.
  Status join(const std::string& port, const std::string& bridge);
  Status join_ungated(const std::string& port, const std::string& bridge);

  [[nodiscard]] bool is_ready() const { return gate_ != nullptr; }
  [[nodiscard]] net::BridgeGate& gate() { return *gate_; }
  [[nodiscard]] net::Links& links() { return *links_; }

 private:
  Status open_links();
  Status make_bridge(const std::string& bridge, const std::string& uplink);
  Status give_up_addresses(const std::string& uplink, const std::vector<IpPrefix>& addresses);

  const BladeConfig& config_;
  std::optional<net::Links> links_;
  std::unique_ptr<net::BridgeGate> gate_;
};

}  // namespace understudy::host
