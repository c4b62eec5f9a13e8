// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The transfer unit: the state of a role in a mirror becomes the state of the same role on this host, without being
/// copied where it is memory, and ahead of time where it is kernel state.
///
///   region file ──mapped by QEMU──► guest writes          (the guest serves)
///        └──────mapped here, read only──► Installer ──► namespace of the role on this host, gate closed
///                                   journal followed          application: started, standing by, region mapped
///
/// prepare() under traffic, finish() when the guest is frozen, take_over() after the movement's commit. Nothing is
/// written to the region before take_over(). discard() undoes prepare(); a crash leaves a namespace and veths that the
/// next prepare() replaces.

#include <functional>
#include <memory>
#include <optional>

#include "edge/standby_network.hpp"
#include "place/role_place.hpp"
#include "understudy/net/installer.hpp"

namespace understudy::host {

class TransferUnit {
 public:
  TransferUnit(boost::asio::io_context& io, const BladeConfig& config, StandbyNetwork& network, link::RoleSpec spec,
               place::RolePlaceCallbacks callbacks);
  TransferUnit(const TransferUnit&) = delete;
  TransferUnit& operator=(const TransferUnit&) = delete;

  void prepare(std::function<void(Status)> done);
  Status finish();
  /// Host becomes the writer, application active, gate open, announced.
  void take_over(Term term, std::function<void(Status)> done);
  void discard(std::function<void(Status)> done);

  /// The bridge-side ends: what the gate knows.
  [[nodiscard]] std::vector<std::string> gated_ports() const;
  [[nodiscard]] std::unique_ptr<place::RolePlace> release_place() { return std::move(place_); }

 private:
  Status make_namespace();
  Status preload();
  Status catch_up();
  void follow();
  [[nodiscard]] std::string port_name(const link::PortSpec& port, const char* prefix) const;

  boost::asio::io_context& io_;
  const BladeConfig& config_;
  StandbyNetwork& network_;
  link::RoleSpec spec_;
  std::string namespace_path_;
  std::unique_ptr<place::RolePlace> place_;
  std::optional<shm::Store> net_store_;
  std::optional<shm::JournalReader> journal_;
  std::optional<net::Installer> installer_;
  boost::asio::steady_timer follow_timer_;
  place::RolePlaceCallbacks callbacks_;
};

}  // namespace understudy::host
