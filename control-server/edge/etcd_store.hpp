// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The state of a group in etcd, as the leader of several control-servers writes it.
///
///     PREFIX/owner/ROLE       one ownership, JSON
///     PREFIX/protection/ROLE  whether its mirror is synced, what the leader said last: yes or no; not there: no
///     PREFIX/event/LAST-ID    a batch of events, JSON, by the id of its last one
///     PREFIX/kept/KEY         what is kept beside: blades that failed
///     PREFIX/policy           the movement policy, when an operator has changed it
///     PREFIX/state_id         identity
///     PREFIX/who/...          who leads, who is there (election.hpp)
///
/// Invariants: each write is one transaction that compares the key of the leadership (created at our token) and, for
/// all but events, the revision that was known, so that an older request that comes late changes nothing, and a deposed
/// leader, paused for however long, writes nothing. Every call blocks until etcd answers or each endpoint has had its
/// deadline: never on the loop's thread.

#include <map>
#include <optional>
#include <set>

#include "edge/election.hpp"
#include "edge/etcd_client.hpp"
#include "edge/state_store.hpp"

namespace understudy::control {

class EtcdStore : public StateStore {
 public:
  /// Without a leadership (token 0) it only reads.
  EtcdStore(EtcdSettings settings, Leadership leadership);

  [[nodiscard]] const std::string& state_id() const override { return leadership_.state_id; }
  Result<std::vector<Ownership>> ownerships() override;
  /// Expired: we do not lead any more.
  Status compare_and_set(Term expected, Term expected_reserved, const Ownership& next) override;
  /// Expired: we do not lead any more.
  Status keep(const std::string& key, const std::string& value) override;
  Result<std::map<std::string, std::string>> kept(const std::string& prefix) override;
  Result<std::set<RoleId>> protected_roles() override;
  /// Expired: we do not lead any more.
  Status set_protected(const RoleId& role, bool is) override;
  Result<std::uint64_t> last_event_id() override;
  /// Expired: we do not lead any more.
  Status append(const std::vector<link::EventRecord>& events) override;
  /// What a single member of etcd knows: also where etcd has lost its quorum.
  Result<std::vector<link::EventRecord>> events_after(std::uint64_t after, std::size_t limit) override;

  /// What an operator chose while another led; none: nobody did.
  Result<std::optional<link::MovementPolicy>> policy();
  Status set_policy(link::MovementPolicy policy);

  /// The log keeps this many events at least.
  static constexpr std::uint64_t kKeptEvents = 20'000;

 private:
  Result<StoredOwnership> read(const std::string& key, const std::string& value, std::int64_t revision) const;
  [[nodiscard]] boost::json::object we_lead() const;
  /// What is said last counts, whatever becomes of the requests before. Expired: we do not lead any more.
  Status write_latest(const std::string& path, const std::string& value);
  /// Every key below PREFIX/`path`, without that, and its value.
  Result<std::map<std::string, std::string>> all_below(const std::string& path);
  Status look_why(const RoleId& role, const Ownership& next, const boost::json::value& answer);

  EtcdClient etcd_;
  const Leadership leadership_;
  std::map<RoleId, StoredOwnership> known_;
  std::map<std::string, std::int64_t> revisions_;  ///< of what write_latest has written
  std::uint64_t trimmed_ = 0;                      ///< events up to this one were deleted
};

}  // namespace understudy::control
