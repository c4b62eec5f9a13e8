// SPDX-License-Identifier: Apache-2.0
#include "edge/store.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "edge/clock.hpp"

namespace understudy::control {
namespace {

constexpr int kSchemaVersion = 2;
constexpr std::chrono::seconds kOpeningPatience{3};  ///< with locks of others, before anybody is led
constexpr std::chrono::milliseconds kPatience{200};  ///< with locks of others, while the loop stands
const std::string kProtectedKey = "protected/";
const std::string kYes = "yes";
constexpr const char* kSchema = R"(
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE ownership (
    role TEXT PRIMARY KEY, term INTEGER NOT NULL, blade TEXT NOT NULL, kind INTEGER NOT NULL,
    evidence INTEGER NOT NULL, reserved INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
    leased INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
  CREATE TABLE event (
    id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, severity INTEGER NOT NULL, kind TEXT NOT NULL,
    role TEXT NOT NULL, blade TEXT NOT NULL, phase TEXT NOT NULL, ms REAL NOT NULL, text TEXT NOT NULL);
)";
/// From version 1, which knew no leases: nothing that it holds is leased.
constexpr const char* kFromVersion1 = "ALTER TABLE ownership ADD COLUMN leased INTEGER NOT NULL DEFAULT 0";

/// A prepared statement: bind in order, step, read columns in order.
class Statement {
 public:
  Statement(sqlite3* database, const std::string& sql) : database_(database) {
    sqlite3_prepare_v2(database, sql.c_str(), -1, &statement_, nullptr);
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  Statement& bind(const std::string& text) {
    sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& bind(std::int64_t number) {
    sqlite3_bind_int64(statement_, ++bound_, number);
    return *this;
  }
  Statement& bind_real(double number) {
    sqlite3_bind_double(statement_, ++bound_, number);
    return *this;
  }
  /// True: a row is there.
  Result<bool> step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) { return true; }
    if (code == SQLITE_DONE) { return false; }
    return failure("state store: " + std::string(sqlite3_errmsg(database_)));
  }
  Status run() {
    const auto stepped = step();
    sqlite3_reset(statement_);
    bound_ = 0;
    if (!stepped) { return stepped.error(); }
    return {};
  }
  [[nodiscard]] std::int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }
  [[nodiscard]] double real(int column) const { return sqlite3_column_double(statement_, column); }
  [[nodiscard]] std::string text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes != nullptr ? std::string(bytes) : std::string();
  }

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

std::int64_t to_sql(Term term) { return static_cast<std::int64_t>(term.value); }
Term to_term(std::int64_t number) { return Term{static_cast<std::uint64_t>(number)}; }

const std::string kSelectOwnership = "SELECT role, term, blade, kind, evidence, reserved, leased FROM ownership";
/// Of the row that `statement`, a kSelectOwnership, stands at.
Result<Ownership> read_ownership(const Statement& statement) {
  const auto kind = statement.number(3);
  const auto evidence = statement.number(4);
  const auto leased = statement.number(6);
  const auto last_evidence = static_cast<std::int64_t>(link::StopEvidence::LeaseRanOut);
  if (kind < 0 || kind > 1 || evidence < 0 || evidence > last_evidence || leased < 0 || leased > 1) {
    return failure("the state store holds an impossible ownership of " + statement.text(0), Errc::Damaged);
  }
  return Ownership{RoleId{statement.text(0)},
                   to_term(statement.number(1)),
                   {BladeId{statement.text(2)}, static_cast<PlaceKind>(kind)},
                   static_cast<link::StopEvidence>(evidence),
                   to_term(statement.number(5)),
                   leased == 1};
}

}  // namespace

struct Store::Impl {
  sqlite3* database = nullptr;
  int lock_fd = -1;
  std::string state_id;
  std::uint64_t last_event = 0;

  ~Impl() {
    sqlite3_close(database);
    if (lock_fd >= 0) { close(lock_fd); }
  }

  Status execute(const char* sql) {
    if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK) { return {}; }
    return failure("state store: " + std::string(sqlite3_errmsg(database)));
  }

  /// All or nothing.
  template <class Action>
  Status transaction(Action action) {
    if (auto begun = execute("BEGIN IMMEDIATE"); !begun) { return begun; }
    Status done = action();
    if (done) { done = execute("COMMIT"); }
    if (!done) { (void)execute("ROLLBACK"); }
    return done;
  }

  Status lock(const std::string& path) {
    const std::string name = path + ".lock";
    lock_fd = ::open(name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (lock_fd < 0) { return failure("cannot open " + name + ": " + std::strerror(errno)); }
    // A killed predecessor's command that was just being started holds it until its exec().
    const auto deadline = std::chrono::steady_clock::now() + kOpeningPatience;
    do {
      if (flock(lock_fd, LOCK_EX | LOCK_NB) == 0) { return {}; }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    } while (std::chrono::steady_clock::now() < deadline);
    return failure("the state store " + path + " belongs to a running control-server", Errc::Refused);
  }

  Status prepare() {
    // First of all: somebody who looks into the file, or a predecessor's end, holds it for a moment.
    sqlite3_busy_timeout(database, static_cast<int>(std::chrono::milliseconds(kOpeningPatience).count()));
    for (const auto* sql : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL"}) {
      if (auto done = execute(sql); !done) { return done; }
    }
    Statement version(database, "PRAGMA user_version");
    const auto row = version.step();
    if (!row) { return row.error(); }
    const auto found = version.number(0);
    if (found > kSchemaVersion) {
      return failure("the state store is of version " + std::to_string(found) + ", this program knows " +
                         std::to_string(kSchemaVersion),
                     Errc::Damaged);
    }
    if (found == kSchemaVersion) { return {}; }
    return transaction([this, found]() -> Status {
      if (auto made = found == 0 ? create() : execute(kFromVersion1); !made) { return made; }
      return execute(("PRAGMA user_version=" + std::to_string(kSchemaVersion)).c_str());
    });
  }

  Status create() {
    if (auto made = execute(kSchema); !made) { return made; }
    return Statement(database, "INSERT INTO meta VALUES ('state_id', ?)").bind(make_state_id()).run();
  }

  Status load() {
    Statement id(database, "SELECT value FROM meta WHERE key = 'state_id'");
    const auto row = id.step();
    if (!row) { return row.error(); }
    if (!row.value()) { return failure("the state store has no identity", Errc::Damaged); }
    state_id = id.text(0);
    Statement last(database, "SELECT COALESCE(MAX(id), 0) FROM event");
    if (const auto found = last.step(); !found) { return found.error(); }
    last_event = static_cast<std::uint64_t>(last.number(0));
    return {};
  }

  Result<std::optional<Ownership>> find(const RoleId& role) {
    Statement statement(database, kSelectOwnership + " WHERE role = ?");
    const auto row = statement.bind(role.value).step();
    if (!row) { return row.error(); }
    if (!row.value()) { return std::optional<Ownership>(); }
    auto read = read_ownership(statement);
    if (!read) { return read.error(); }
    return std::optional(std::move(read).value());
  }

  Status replace(Term expected, Term expected_reserved, const Ownership& next) {
    const auto found = find(next.role);
    if (!found) { return found.error(); }
    Ownership now = found.value().value_or(Ownership{});
    now.role = next.role;
    if (auto allowed = check_change(now, expected, expected_reserved, next); !allowed) { return allowed; }
    return Statement(
               database,
               "INSERT OR REPLACE INTO ownership (role, term, blade, kind, evidence, reserved, changed_ns, leased) "
               "VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(next.role.value)
        .bind(to_sql(next.term))
        .bind(next.place.blade.value)
        .bind(static_cast<std::int64_t>(next.place.kind))
        .bind(static_cast<std::int64_t>(next.evidence))
        .bind(to_sql(next.reserved))
        .bind(wall_now_ns())
        .bind(next.leased ? 1 : 0)
        .run();
  }

  Status insert(const std::vector<link::EventRecord>& events) {
    Statement statement(database, "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (const auto& event : events) {
      statement.bind(static_cast<std::int64_t>(event.id))
          .bind(event.time_ns)
          .bind(static_cast<std::int64_t>(event.severity))
          .bind(event.kind)
          .bind(event.role.value)
          .bind(event.blade.value)
          .bind(event.phase)
          .bind_real(event.ms)
          .bind(event.text);
      if (auto done = statement.run(); !done) { return done; }
      last_event = event.id;
      if (event.id % 10'000 == 0 && event.id > kKeptEvents) {
        const auto oldest = static_cast<std::int64_t>(event.id - kKeptEvents);
        if (auto done = Statement(database, "DELETE FROM event WHERE id <= ?").bind(oldest).run(); !done) {
          return done;
        }
      }
    }
    return {};
  }

  /// What `write` commits, and all before it, is on the disk when this ends.
  template <class Write>
  Status flushed(bool flushes, Write write) {
    if (!flushes) { return write(); }
    if (auto set = execute("PRAGMA synchronous=FULL"); !set) { return set; }
    const Status done = write();
    (void)execute("PRAGMA synchronous=NORMAL");  // else writes are only slower
    return done;
  }
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  if (auto locked = impl->lock(path); !locked) { return locked.error(); }
  if (sqlite3_open_v2(path.c_str(), &impl->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr) !=
      SQLITE_OK) {
    return failure("cannot open the state store " + path + ": " + sqlite3_errmsg(impl->database));
  }
  if (auto prepared = impl->prepare(); !prepared) {
    return failure(path + ": " + prepared.error().message, prepared.error().code);
  }
  if (auto loaded = impl->load(); !loaded) {
    return failure(path + ": " + loaded.error().message, loaded.error().code);
  }
  sqlite3_busy_timeout(impl->database, static_cast<int>(kPatience.count()));
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

const std::string& Store::state_id() const { return impl_->state_id; }
Result<std::uint64_t> Store::last_event_id() { return impl_->last_event; }
Status Store::keep(const std::string& key, const std::string& value) {
  return Statement(impl_->database, "INSERT OR REPLACE INTO meta VALUES (?, ?)").bind("kept/" + key).bind(value).run();
}

Result<std::map<std::string, std::string>> Store::kept(const std::string& prefix) {
  const std::string whole = "kept/" + prefix;
  Statement statement(impl_->database, "SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?");
  statement.bind(static_cast<std::int64_t>(whole.size())).bind(whole);
  std::map<std::string, std::string> found;
  while (true) {
    const auto row = statement.step();
    if (!row) { return row.error(); }
    if (!row.value()) { return found; }
    found[statement.text(0).substr(whole.size())] = statement.text(1);
  }
}

Result<std::vector<Ownership>> Store::ownerships() {
  std::vector<Ownership> found;
  Statement statement(impl_->database, kSelectOwnership);
  while (true) {
    const auto row = statement.step();
    if (!row) { return row.error(); }
    if (!row.value()) { return found; }
    auto read = read_ownership(statement);
    if (!read) { return read.error(); }
    found.push_back(std::move(read).value());
  }
}

Status Store::compare_and_set(Term expected, Term expected_reserved, const Ownership& next) {
  // Past this moment a gate is opened that nothing closes by itself (rule 3): not even a power cut may take it back.
  const auto stored = impl_->find(next.role);
  if (!stored) { return stored.error(); }
  const bool exposes = stored.value() && stored.value()->leased && !next.leased && next.term == stored.value()->term;
  // Nor may a blade that has let go of its role be taken for its owner: it has nothing of it, and its mirror serves.
  const bool let_go = next.place.kind == PlaceKind::Mirror && next.evidence == link::StopEvidence::StoodDown;
  return impl_->flushed(exposes || let_go, [&] {
    return impl_->transaction([&] { return impl_->replace(expected, expected_reserved, next); });
  });
}

Result<std::set<RoleId>> Store::protected_roles() {
  const auto found = kept(kProtectedKey);
  if (!found) { return found.error(); }
  std::set<RoleId> roles;
  for (const auto& [role, is] : found.value()) {
    if (is == kYes) { roles.insert(RoleId{role}); }
  }
  return roles;
}

Status Store::set_protected(const RoleId& role, bool is) {
  return impl_->flushed(!is, [&] { return keep(kProtectedKey + role.value, is ? kYes : "no"); });
}

Status Store::append(const std::vector<link::EventRecord>& events) {
  const auto before = impl_->last_event;
  const auto done = impl_->transaction([&] { return impl_->insert(events); });
  if (!done) { impl_->last_event = before; }
  return done;
}

Result<std::vector<link::EventRecord>> Store::events_after(std::uint64_t after, std::size_t limit) {
  Statement statement(impl_->database,
                      "SELECT id, time_ns, severity, kind, role, blade, phase, ms, text FROM event WHERE id > ? "
                      "ORDER BY id LIMIT ?");
  const auto from = std::min<std::uint64_t>(after, static_cast<std::uint64_t>(INT64_MAX));
  statement.bind(static_cast<std::int64_t>(from)).bind(static_cast<std::int64_t>(limit));
  std::vector<link::EventRecord> found;
  while (true) {
    const auto row = statement.step();
    if (!row) { return row.error(); }
    if (!row.value()) { return found; }
    found.push_back({static_cast<std::uint64_t>(statement.number(0)), statement.number(1),
                     static_cast<link::Severity>(statement.number(2)), statement.text(3), RoleId{statement.text(4)},
                     BladeId{statement.text(5)}, statement.text(6), statement.real(7), statement.text(8)});
  }
}

}  // namespace understudy::control
