// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The durable truth in SQLite: who owns which role, and the event log. One process uses the file.
///
///   ownership  one row a role, changed by compare-and-set of (term, reserved)
///   event      the log, ids never used twice
///   identity   a random name made with the file: agents pin it (rule 7)
///
/// WAL with synchronous NORMAL: a committed ownership survives this process; a power loss of the control-server's box
/// may take the last moments, which the terms that agents hold then tell (rule 7).

#include <memory>
#include <string>
#include <vector>

#include "core/ownership.hpp"
#include "understudy/common/result.hpp"
#include "understudy/link/control_api_status.hpp"

struct sqlite3;

namespace understudy::control {

class StateStore {
 public:
  static Result<std::unique_ptr<StateStore>> open(const std::string& path);
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;
  ~StateStore();

  [[nodiscard]] const std::string& identity() const { return identity_; }
  Result<std::vector<Ownership>> ownerships();
  /// Refused: the store holds another (term, reserved) than expected; nothing was changed.
  Status compare_and_set(Term expected, Term expected_reserved, const Ownership& next);
  Result<link::EventRecord> append(link::EventRecord event);
  std::vector<link::EventRecord> events_after(std::uint64_t after, std::size_t limit);

 private:
  explicit StateStore(sqlite3* database) : database_(database) {}
  Status run(const char* sql);
  Status prepare_tables();
  Error problem(const std::string& what) const;

  sqlite3* database_;
  std::string identity_;
};

}  // namespace understudy::control
