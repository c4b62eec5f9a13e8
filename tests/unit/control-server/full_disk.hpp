// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "edge/state_store.hpp"

namespace understudy::control {

/// A store whose disk is full as long as it is told to be.
class FullDisk final : public StateStore {
 public:
  [[nodiscard]] const std::string& state_id() const override { return id_; }
  Result<std::vector<Ownership>> ownerships() override {
    if (silent) { return failure("no answer"); }
    return std::vector<Ownership>{};
  }
  Status compare_and_set(Term, Term, const Ownership&) override {
    return conflict ? Status(failure("another term is stored", Errc::Refused)) : change();
  }
  Status keep(const std::string& key, const std::string& value) override {
    const auto done = change();
    if (done) { values[key] = value; }
    return done;
  }
  Result<std::map<std::string, std::string>> kept(const std::string&) override {
    ++reads;
    if (unreadable || reads <= bad_reads) { return failure("disk I/O error"); }
    return values;
  }
  Result<std::set<RoleId>> protected_roles() override { return std::set<RoleId>{}; }
  Status set_protected(const RoleId&, bool) override { return change(); }
  Result<std::uint64_t> last_event_id() override { return std::uint64_t{40}; }
  Status append(const std::vector<link::EventRecord>& events) override {
    if (const auto done = change(); !done) { return done; }
    written.insert(written.end(), events.begin(), events.end());
    return {};
  }
  Result<std::vector<link::EventRecord>> events_after(std::uint64_t, std::size_t) override { return written; }

  bool full = true;
  bool conflict = false;
  bool unreadable = false;
  bool silent = false;  ///< for all else, too
  int tries = 0;
  int reads = 0;
  int bad_reads = 0;  ///< the first ones
  std::map<std::string, std::string> values;
  std::vector<link::EventRecord> written;

 private:
  Status change() {
    ++tries;
    if (full) { return failure("database or disk is full"); }
    return {};
  }
  std::string id_ = "s";
};

}  // namespace understudy::control
