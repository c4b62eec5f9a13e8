// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The control-server's durable state: who owns what, and the event log. SQLite in one file.
///
/// Invariants: an ownership changes only by compare_and_set, in one transaction; the state's identity is made with the
/// file and never changes, so that agents notice an exchanged or emptied store; one process has the file at a time.
/// A crash leaves whole transactions behind. A power cut may take back the last ones (WAL, synchronous NORMAL: no flush
/// between a failure and its takeover); agents then hold newer terms than the store, and their word is adopted. That a
/// role is leased no more is flushed: its gate is opened for good after it. So is that its blade has let go of it.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/ownership.hpp"
#include "understudy/common/result.hpp"
#include "understudy/link/control_api_status.hpp"

namespace understudy::control {

/// One thread at a time.
class Store {
 public:
  /// Refused: another process has it. Damaged: not a state file, or of a newer version.
  static Result<std::unique_ptr<Store>> open(const std::string& path);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] const std::string& state_id() const;
  Result<std::vector<Ownership>> ownerships();

  /// Stores `next` if the role's term and reservation are the expected ones (0 and 0: not stored yet), and either grows
  /// or nothing but the lease is another.
  /// Refused: they are not, nothing was changed. Anything else: could not be written, may be tried again.
  Status compare_and_set(Term expected, Term expected_reserved, const Ownership& next);

  /// Small things that are kept beside the ownerships: one value for each key.
  Status keep(const std::string& key, const std::string& value);
  /// Every key that begins with `prefix`, without it.
  Result<std::map<std::string, std::string>> kept(const std::string& prefix);

  [[nodiscard]] std::uint64_t last_event_id() const;
  Status append(const std::vector<link::EventRecord>& events);
  /// At most `limit` events with an id above `after`, oldest first.
  Result<std::vector<link::EventRecord>> events_after(std::uint64_t after, std::size_t limit);

  /// The log keeps this many events at least; older ones go now and then.
  static constexpr std::uint64_t kKeptEvents = 100'000;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::control
