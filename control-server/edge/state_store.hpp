// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The durable state of a group, wherever it is: who owns what, and the event log. Store (store.hpp) is one file of one
/// control-server, EtcdStore (etcd_store.hpp) is what several share.
///
/// Invariants: an ownership changes only by compare_and_set, all or nothing; the state's identity is made with the
/// state and never changes, so that agents notice an exchanged or emptied one.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/stored_ownership.hpp"
#include "understudy/common/result.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::control {

/// One thread at a time.
class StateStore {
 public:
  StateStore() = default;
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;
  virtual ~StateStore() = default;

  [[nodiscard]] virtual const std::string& state_id() const = 0;
  virtual Result<std::vector<Ownership>> ownerships() = 0;

  /// Stores `next` if the role's term and reservation are the expected ones (0 and 0: not stored yet), and either grows
  /// or nothing but the lease is another.
  /// Refused: they are not, nothing was changed. Anything else: could not be written, may be tried again.
  virtual Status compare_and_set(Term expected, Term expected_reserved, const Ownership& next) = 0;

  /// Small things that are kept beside the ownerships: one value for each key.
  virtual Status keep(const std::string& key, const std::string& value) = 0;
  /// Every key that begins with `prefix`, without it.
  virtual Result<std::map<std::string, std::string>> kept(const std::string& prefix) = 0;

  /// The roles whose mirror is synced, by the last word of whoever decided.
  virtual Result<std::set<RoleId>> protected_roles() = 0;
  /// That it is not any more is on the disk when this answers: a power cut must not take it back.
  virtual Status set_protected(const RoleId& role, bool is) = 0;

  virtual Result<std::uint64_t> last_event_id() = 0;
  virtual Status append(const std::vector<link::EventRecord>& events) = 0;
  /// At most `limit` events with an id above `after`, oldest first.
  virtual Result<std::vector<link::EventRecord>> events_after(std::uint64_t after, std::size_t limit) = 0;
};

/// Of a state that is new: nobody else's.
std::string make_state_id();

}  // namespace understudy::control
