// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The durable state of a group with one control-server: SQLite in one file. The embedded default.
///
/// Invariants: an ownership changes in one transaction; one process has the file at a time.
/// A crash leaves whole transactions behind. A power cut may take back the last ones (WAL, synchronous NORMAL: no flush
/// between a failure and its takeover); agents then hold newer terms than the store, and their word is adopted. That a
/// role is leased no more is flushed: its gate is opened for good after it. So is that its blade has let go of it.

#include <memory>
#include <string>
#include <vector>

#include "edge/state_store.hpp"

namespace understudy::control {

/// One thread at a time.
class Store : public StateStore {
 public:
  /// Refused: another process has it. Damaged: not a state file, or of a newer version.
  static Result<std::unique_ptr<Store>> open(const std::string& path);
  ~Store() override;

  [[nodiscard]] const std::string& state_id() const override;
  Result<std::vector<Ownership>> ownerships() override;
  Status compare_and_set(Term expected, Term expected_reserved, const Ownership& next) override;
  Status keep(const std::string& key, const std::string& value) override;
  Result<std::map<std::string, std::string>> kept(const std::string& prefix) override;
  Result<std::set<RoleId>> protected_roles() override;
  Status set_protected(const RoleId& role, bool is) override;
  Result<std::uint64_t> last_event_id() override;
  Status append(const std::vector<link::EventRecord>& events) override;
  Result<std::vector<link::EventRecord>> events_after(std::uint64_t after, std::size_t limit) override;

  /// The log keeps this many events at least; older ones go now and then.
  static constexpr std::uint64_t kKeptEvents = 100'000;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::control
