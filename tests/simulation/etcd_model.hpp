// SPDX-License-Identifier: Apache-2.0
#pragma once
/// etcd as several control-servers meet it: what was asked is applied late, or never, and an answer may be lost whose
/// change was made. Leases end by etcd's own time, up to a second late, as its manual says.
///
///     server ──request──► [cut, lost, late] ──► applied, at one moment ──► [lost, late] ──answer──► server
///
/// Each change that a leader makes is compared with its token where it is applied; the truth of who leads is here.

#include <map>
#include <set>

#include "core/hold_out.hpp"
#include "core/stored_ownership.hpp"
#include "world.hpp"

namespace understudy::sim {

struct KeptHoldOut {
  Instant at;
  control::HoldOutAges ages;
};

class EtcdModel {
 public:
  explicit EtcdModel(World& world) : world_(world) {}

  struct State {
    std::map<RoleId, control::StoredOwnership> ownerships;
    std::set<RoleId> is_protected;
    std::map<BladeId, KeptHoldOut> hold_outs;
    std::optional<link::MovementPolicy> policy;
    std::map<std::string, std::int64_t> revisions;  ///< of what is said anew again and again, by its key
  };
  /// `op` runs at etcd; `done` in the asker's process, false: no answer came in time.
  void call(unsigned server, Process& process, Action op, std::function<void(bool answered)> done);

  // --- at etcd ---
  [[nodiscard]] std::int64_t grant();
  [[nodiscard]] bool keep(std::int64_t lease);
  void revoke(std::int64_t lease);
  /// Its token; 0: nobody.
  [[nodiscard]] std::uint64_t leader();
  [[nodiscard]] std::int64_t leading_lease() const { return token_ != 0 ? leading_lease_ : 0; }
  [[nodiscard]] unsigned leading_server() const { return leading_server_; }
  [[nodiscard]] std::uint64_t campaign(unsigned server, std::int64_t lease);
  /// Whether a change that is compared with this token is made.
  [[nodiscard]] bool fenced_in(std::uint64_t token, const char* what);
  [[nodiscard]] std::int64_t next_revision() { return ++revision_; }
  /// Whether a change of this key is made, by what was known of it when it was sent; the revision that it has then.
  std::pair<bool, std::int64_t> latest(std::uint64_t token, const std::string& key, std::int64_t known,
                                       const char* what);
  State state;

 private:
  void expire();
  World& world_;
  std::int64_t revision_ = 0;
  std::int64_t leases_given_ = 0;
  std::map<std::int64_t, Instant> leases_;  ///< and when they end
  std::int64_t leading_lease_ = 0;
  std::uint64_t token_ = 0;
  unsigned leading_server_ = 0;
};

}  // namespace understudy::sim
