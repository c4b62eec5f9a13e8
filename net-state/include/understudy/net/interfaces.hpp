// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Link plumbing by rtnetlink: what `ip link`, `ip addr` and `ip route` do, without a shell.
///
/// A preloaded interface with a service MAC must stay silent until its gate opens (rule 16). The order is: gate in
/// place, make the link, set_quiet(), set_mac(), set_master(), addresses (never duplicate address detection), set_up().
/// Raising an interface again drops its IPv6 addresses' routes; losing carrier drops its neighbours.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"

namespace understudy::net {

/// The EUI-64 link-local address of a MAC, /64. A port that forwards IPv6 needs a link-local address, its MAC's or
/// another one: without any, Linux sends no neighbour solicitation for packets that it forwards, and set_quiet() keeps
/// the kernel from making one by itself.
IpPrefix link_local_of(const MacAddress& mac);

struct LinkState {
  int index = 0;
  std::string name;
  std::string kind;  ///< "bridge", "veth", "tun", ""
  MacAddress mac;
  bool up = false;  ///< administratively
  bool carrier = false;
  bool running = false;  ///< frames sent now leave; comes a moment after the carrier, and what is sent before is lost
  int master_index = 0;  ///< 0: in no bridge
};

/// Works in the namespace that its maker's thread was in. One thread at a time.
class Links {
 public:
  static Result<Links> open();
  Links(Links&&) noexcept;
  Links& operator=(Links&&) noexcept;
  ~Links();

  /// Errors: NotFound no such interface, Refused one with that name exists.
  Result<LinkState> state(const std::string& name);
  Result<int> index_of(const std::string& name);
  Result<std::vector<LinkState>> list();

  /// A bridge without spanning tree and without multicast snooping, for it must pass every frame at once, and with
  /// bridged frames kept out of the IP filters of this namespace.
  Status create_bridge(const std::string& name);
  Status create_veth(const std::string& name, const std::string& peer);
  /// A persistent tap that `qemu -netdev tap,ifname=NAME,script=no,downscript=no` attaches to.
  Status create_tap(const std::string& name, std::optional<unsigned> owner_uid = {});
  Status delete_link(const std::string& name);  ///< of a veth pair both ends go

  Status set_master(const std::string& name, const std::string& bridge);
  Status clear_master(const std::string& name);
  Status set_mac(const std::string& name, const MacAddress& mac);
  Status set_up(const std::string& name, bool up);
  Status rename(const std::string& name, const std::string& new_name);
  Status move_to_namespace(const std::string& name, const std::string& namespace_path);

  /// No address of its own making, no router advertisements taken, no duplicate address detection.
  Status set_quiet(const std::string& name);

  /// Without duplicate address detection. An address that is there already is success.
  Status add_address(const std::string& name, const IpPrefix& address);
  Status delete_address(const std::string& name, const IpPrefix& address);  ///< NotFound when absent
  Result<std::vector<IpPrefix>> addresses(const std::string& name);

  /// A static route (main table); replaces the one to the same destination. The interface is needed for a link-local
  /// gateway only.
  Status set_route(const IpPrefix& destination, const IpAddress& gateway, const std::string& interface = {});
  Status delete_route(const IpPrefix& destination);

 private:
  struct Impl;
  explicit Links(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::net
