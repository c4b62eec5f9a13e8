// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Creates, replaces and deletes conntrack entries in batches; the half of Installer that must be fast.
///
/// Waves of one batch:   create ──EEXIST──► get ──► same tuples: update
///                                           └───► others, or not found: delete, create
/// A key is at most once in a batch: a younger change takes the place of the one that waits, so a late wave cannot
/// overtake it, and the six states of a short connection cost the kernel one request.

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "netlink.hpp"
#include "record_hash.hpp"
#include "understudy/net/codec.hpp"
#include "understudy/net/installer.hpp"

namespace understudy::net {

class FlowWriter {
 public:
  FlowWriter(NetlinkSocket socket, InstallReport& report, std::uint32_t timeout_floor_seconds);

  Status put(const FlowKey& key, const FlowValue& value);
  Status erase(const FlowKey& key);
  /// Only the remaining time, of at least `floor_seconds`; a flow that is gone meanwhile is no refusal.
  Status set_timeout(const FlowKey& key, const FlowValue& value, std::uint32_t floor_seconds);
  Status flush();
  NetlinkSocket& socket() { return socket_; }

 private:
  enum class Op : std::uint8_t { Put, Erase, Timeout };
  struct Change {
    FlowKey key;
    FlowValue value;
    Op op = Op::Put;
    std::uint32_t timeout_seconds = 0;
  };
  Status queue(const Change& change);
  static bool takes_the_place(Op younger, Op earlier);
  Status settle_conflicts(const std::vector<Change>& conflicts);
  Status replace(const std::vector<Change>& changes);
  Status send_wave(FlowMessage what, const std::vector<Change>& changes,
                   const std::function<void(std::size_t, int)>& refused,
                   const std::function<void(std::size_t, const nlmsghdr*)>& answer = {});
  void refuse(const Change& change, const std::string& why);

  NetlinkSocket socket_;
  NetlinkBatch batch_;
  InstallReport& report_;
  std::uint32_t timeout_floor_seconds_;
  std::vector<Change> pending_;
  std::unordered_map<FlowKey, std::size_t, RecordHash<FlowKey>, RecordEqual<FlowKey>> pending_at_;
};

/// "tcp 10.50.1.2:4000 -> 10.23.4.1:80", for alarms.
std::string describe(const FlowKey& key);

}  // namespace understudy::net
