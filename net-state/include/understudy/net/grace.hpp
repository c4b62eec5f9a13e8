// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The grace period after a takeover (rule 9): flows too young to have been mirrored must not cause resets. While it
/// lasts, packets that belong to no known flow and go to a NAT address are dropped instead of answered, and so are
/// packets from the inside that would leave untranslated. Services of the role itself stay reachable: what a socket
/// here waits for is its own affair (nftables' socket expression, kernel 5.12).
///
/// Table inet understudy_grace, nf_conntrack_tcp_loose = 0. A crash leaves both: begin() again takes them over, and
/// end() sets tcp_loose back to what the role's sysctls say.

#include <cstdint>
#include <string>
#include <vector>

#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"
#include "understudy/net/namespace.hpp"
#include "understudy/net/nft.hpp"

namespace understudy::net {

struct GraceOptions {
  std::vector<IpAddress> nat_addresses;
  bool tcp_loose_afterwards = true;
};

/// Call begin() before the gate opens. One thread at a time; the caller keeps the time.
class GracePeriod {
 public:
  static Result<GracePeriod> begin(const GraceOptions& options, const std::string& namespace_path = {});
  /// Packets that were dropped instead of answered, so far.
  Result<std::uint64_t> dropped();
  Status end();

 private:
  GracePeriod(Nft nft, NamespaceHandle home, bool tcp_loose_afterwards)
      : nft_(std::move(nft)), home_(std::move(home)), tcp_loose_afterwards_(tcp_loose_afterwards) {}
  Nft nft_;
  NamespaceHandle home_;
  bool tcp_loose_afterwards_;
};

}  // namespace understudy::net
