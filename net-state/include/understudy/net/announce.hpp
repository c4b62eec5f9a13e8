// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Tells a segment that an address is here now: gratuitous ARP (request and reply, since implementations listen to one
/// or the other) and unsolicited neighbour advertisements. A switch learns the MAC's new port from the same frames.
/// One call is one round; the caller repeats, since frames may be lost.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"

namespace understudy::net {

using Frame = std::vector<std::uint8_t>;

enum class ArpForm : std::uint16_t { Request = 1, Reply = 2 };
Frame gratuitous_arp(ArpForm form, const MacAddress& mac, const IpAddress& address);

/// Override flag set. `router`: hosts that use the address as their router would drop it from their router list by an
/// advertisement without the flag.
Frame unsolicited_neighbor_advertisement(const MacAddress& mac, const IpAddress& address, bool router);

/// Sends one round for all `addresses` out of `interface` (calling thread's namespace) with `mac` as source. Behind a
/// closed gate the kernel drops the frames silently.
Status announce(const std::string& interface, const MacAddress& mac, const std::vector<IpAddress>& addresses,
                bool router = true);

}  // namespace understudy::net
