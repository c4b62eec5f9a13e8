// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The gates: what decides in the kernel whether a place speaks on a service port.
///
///     mirror, moved role:   tap or veth ──[ BridgeGate ]── bridge ── uplink
///     active on bare metal: kernel      ──[ HostGate ]──── service interface
///     switch of the lab:    blade port  ──[ SwitchIsolation ]── bridge
///
/// Invariants:
///   closed is what exists by itself: chains with policy drop, in place before a port joins; no daemon is needed to
///   keep a gate closed. Opening adds an element to a set. A timed element closes by itself when nobody refreshes it.
///   refresh() deletes and adds in one transaction, so it fails (Expired) on an element whose time has run out: a
///   daemon that was frozen cannot reopen by refreshing (rule 4). Only open() and open_for() open.
///   Tables and elements outlive the process: a restarted daemon attaches and finds what was open still open.
///   A port that is deleted and made anew under the same name finds the gate as it was: close() before deleting.

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::net {

class Links;
class NftSet;

/// Operations that both gates share. One thread at a time. Names are interface names.
class Gate {
 public:
  Gate(Gate&&) noexcept;
  Gate& operator=(Gate&&) noexcept;
  virtual ~Gate();

  /// Open until closed, whatever time an earlier opening had left.
  Status open(const std::string& port);
  /// Open for `duration` (milliseconds count), unless refreshed.
  Status open_for(const std::string& port, std::chrono::milliseconds duration);
  /// Expired: it closed meanwhile, and stays closed.
  Status refresh(const std::string& port, std::chrono::milliseconds duration);
  /// Success means closed by the kernel's own word; closing a closed port is success. Fails when there is no gate.
  Status close(const std::string& port);
  /// Read back from the kernel, chains and policies included: an error when the gate itself is not as it must be.
  Result<bool> is_open(const std::string& port);
  Result<std::vector<std::string>> open_ports();

 protected:
  explicit Gate(std::unique_ptr<NftSet> set);
  std::unique_ptr<NftSet> set_;
};

/// Every one of them, whatever the others say: one that cannot be closed keeps no other one open. The first failure.
Status close_all(Gate& gate, const std::vector<std::string>& ports);

/// Table bridge understudy_gate: every port of every bridge of the namespace is closed, except `ungated` (uplinks,
/// maintenance taps, the bridges themselves) and what was opened.
class BridgeGate final : public Gate {
 public:
  /// Creates the gate or adopts the one that is there, in the namespace at `namespace_path` (empty: calling thread's).
  static Result<BridgeGate> attach(const std::vector<std::string>& ungated, const std::string& namespace_path = {});
  Status add_ungated(const std::string& port);
  Status remove();  ///< the table goes: every port is open

 private:
  using Gate::Gate;
};

/// Table netdev understudy_gate: `interfaces` pass nothing in or out unless opened. Other interfaces are not touched.
/// The kernel removes an interface's chains with the interface: attach again when it comes back.
class HostGate final : public Gate {
 public:
  /// NotFound: no such interface. Failed with a clear text on a kernel without the netdev egress hook.
  static Result<HostGate> attach(const std::vector<std::string>& interfaces, const std::string& namespace_path = {});
  Status remove();

 private:
  using Gate::Gate;
};

/// Table bridge understudy_switch: ports in the set `isolated` pass nothing in either direction.
class SwitchIsolation {
 public:
  static Result<SwitchIsolation> attach(const std::string& namespace_path = {});
  SwitchIsolation(SwitchIsolation&&) noexcept;
  SwitchIsolation& operator=(SwitchIsolation&&) noexcept;
  ~SwitchIsolation();

  /// Success means that all of `ports` are ports of a bridge and the kernel's own list shows them isolated:
  /// stop-evidence. NotFound: no such port; the others are isolated nevertheless.
  Status isolate(const std::vector<std::string>& ports);
  Status readmit(const std::vector<std::string>& ports);
  /// An error, not false, when one of `ports` is no port of a bridge: its isolation would mean nothing.
  Result<bool> are_isolated(const std::vector<std::string>& ports);
  Result<std::vector<std::string>> isolated();

 private:
  SwitchIsolation(std::unique_ptr<NftSet> set, std::unique_ptr<Links> links);
  std::unique_ptr<NftSet> set_;
  std::unique_ptr<Links> links_;
};

}  // namespace understudy::net
