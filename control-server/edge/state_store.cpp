// SPDX-License-Identifier: Apache-2.0
#include "edge/state_store.hpp"

#include <sqlite3.h>

#include <random>

namespace understudy::control {

namespace {

constexpr const char* tables = R"(
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS identity(name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ownership(role TEXT PRIMARY KEY, term INTEGER NOT NULL, reserved INTEGER NOT NULL,
  blade TEXT NOT NULL, kind INTEGER NOT NULL, evidence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS event(id INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, severity INTEGER NOT NULL,
  kind TEXT NOT NULL, role TEXT NOT NULL, blade TEXT NOT NULL, phase TEXT NOT NULL, ms REAL NOT NULL, text TEXT NOT NULL);
)";

/// A prepared statement that ends with its scope.
class Statement {
 public:
  Statement(sqlite3* database, const char* sql) {
    good_ = sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr) == SQLITE_OK;
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  Statement& bind(std::int64_t value) {
    if (good_) { good_ = sqlite3_bind_int64(statement_, ++bound_, value) == SQLITE_OK; }
    return *this;
  }
  Statement& bind(std::uint64_t value) { return bind(static_cast<std::int64_t>(value)); }
  Statement& bind(double value) {
    if (good_) { good_ = sqlite3_bind_double(statement_, ++bound_, value) == SQLITE_OK; }
    return *this;
  }
  Statement& bind(const std::string& value) {
    if (good_) {
      good_ = sqlite3_bind_text(statement_, ++bound_, value.c_str(), static_cast<int>(value.size()),
                                SQLITE_TRANSIENT) == SQLITE_OK;
    }
    return *this;
  }
  int step() { return good_ ? sqlite3_step(statement_) : SQLITE_ERROR; }
  [[nodiscard]] std::int64_t integer(int column) { return sqlite3_column_int64(statement_, column); }
  [[nodiscard]] double real(int column) { return sqlite3_column_double(statement_, column); }
  [[nodiscard]] std::string text(int column) {
    const auto* bytes = sqlite3_column_text(statement_, column);
    return bytes != nullptr ? reinterpret_cast<const char*>(bytes) : "";
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  bool good_ = false;
};

std::string random_name() {
  std::random_device random;
  std::string name;
  for (int i = 0; i < 32; ++i) { name += "0123456789abcdef"[random() % 16]; }
  return name;
}

}  // namespace

Error StateStore::problem(const std::string& what) const {
  return failure(what + ": " + sqlite3_errmsg(database_) + "; no ownership can change until the store works again");
}

Result<std::unique_ptr<StateStore>> StateStore::open(const std::string& path) {
  sqlite3* database = nullptr;
  if (sqlite3_open(path.c_str(), &database) != SQLITE_OK) {
    const std::string why = sqlite3_errmsg(database);
    sqlite3_close(database);
    return failure("the state store " + path + " cannot be opened: " + why + "; write a path that this user may create",
                   Errc::BadInput);
  }
  std::unique_ptr<StateStore> store(new StateStore(database));
  sqlite3_busy_timeout(database, 2000);
  if (auto done = store->prepare_tables(); !done) { return done.error(); }
  return store;
}

StateStore::~StateStore() { sqlite3_close(database_); }

Status StateStore::run(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) { return problem("the state store"); }
  return {};
}

Status StateStore::prepare_tables() {
  if (auto done = run(tables); !done) { return done; }
  Statement read(database_, "SELECT name FROM identity");
  if (read.step() == SQLITE_ROW) {
    identity_ = read.text(0);
    return {};
  }
  identity_ = random_name();
  Statement write(database_, "INSERT INTO identity(name) VALUES(?)");
  if (write.bind(identity_).step() != SQLITE_DONE) { return problem("the state store's identity"); }
  return {};
}

Result<std::vector<Ownership>> StateStore::ownerships() {
  std::vector<Ownership> found;
  Statement read(database_, "SELECT role, term, reserved, blade, kind, evidence FROM ownership");
  int row = SQLITE_DONE;
  while ((row = read.step()) == SQLITE_ROW) {
    Ownership each;
    each.role = RoleId{read.text(0)};
    each.term = Term{static_cast<std::uint64_t>(read.integer(1))};
    each.reserved = Term{static_cast<std::uint64_t>(read.integer(2))};
    each.place = {BladeId{read.text(3)}, read.integer(4) == 0 ? PlaceKind::Host : PlaceKind::Mirror};
    each.evidence = static_cast<link::StopEvidence>(read.integer(5));
    found.push_back(std::move(each));
  }
  if (row != SQLITE_DONE) { return problem("reading the ownerships"); }
  return found;
}

Status StateStore::compare_and_set(Term expected, Term expected_reserved, const Ownership& next) {
  Statement update(database_, R"(
    INSERT INTO ownership(role, term, reserved, blade, kind, evidence)
      SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (?7 = 0 AND ?8 = 0) OR EXISTS (SELECT 1 FROM ownership WHERE role = ?1)
    ON CONFLICT(role) DO UPDATE SET term = excluded.term, reserved = excluded.reserved, blade = excluded.blade,
      kind = excluded.kind, evidence = excluded.evidence
      WHERE ownership.term = ?7 AND ownership.reserved = ?8)");
  update.bind(next.role.value)
      .bind(next.term.value)
      .bind(next.reserved.value)
      .bind(next.place.blade.value)
      .bind(std::int64_t{next.place.kind == PlaceKind::Mirror})
      .bind(static_cast<std::int64_t>(next.evidence))
      .bind(expected.value)
      .bind(expected_reserved.value);
  if (update.step() != SQLITE_DONE) { return problem("storing the ownership of " + next.role.value); }
  if (sqlite3_changes(database_) != 1) {
    return failure("the store holds another ownership of " + next.role.value + " than term " +
                       std::to_string(expected.value) + "; nothing was changed",
                   Errc::Refused);
  }
  return {};
}

Result<link::EventRecord> StateStore::append(link::EventRecord event) {
  Statement insert(database_,
                   "INSERT INTO event(time_ns, severity, kind, role, blade, phase, ms, text) VALUES(?,?,?,?,?,?,?,?)");
  insert.bind(event.time_ns)
      .bind(static_cast<std::int64_t>(event.severity))
      .bind(event.kind)
      .bind(event.role.value)
      .bind(event.blade.value)
      .bind(event.phase)
      .bind(event.ms)
      .bind(event.text);
  if (insert.step() != SQLITE_DONE) { return problem("writing the event log"); }
  event.id = static_cast<std::uint64_t>(sqlite3_last_insert_rowid(database_));
  return event;
}

std::vector<link::EventRecord> StateStore::events_after(std::uint64_t after, std::size_t limit) {
  std::vector<link::EventRecord> events;
  Statement read(
      database_,
      "SELECT id, time_ns, severity, kind, role, blade, phase, ms, text FROM event WHERE id > ? ORDER BY id LIMIT ?");
  read.bind(after).bind(static_cast<std::uint64_t>(limit));
  while (read.step() == SQLITE_ROW) {
    link::EventRecord event;
    event.id = static_cast<std::uint64_t>(read.integer(0));
    event.time_ns = read.integer(1);
    event.severity = static_cast<link::Severity>(read.integer(2));
    event.kind = read.text(3);
    event.role = RoleId{read.text(4)};
    event.blade = BladeId{read.text(5)};
    event.phase = read.text(6);
    event.ms = read.real(7);
    event.text = read.text(8);
    events.push_back(std::move(event));
  }
  return events;
}

}  // namespace understudy::control
