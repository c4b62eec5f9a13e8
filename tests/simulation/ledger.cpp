// SPDX-License-Identifier: Apache-2.0
#include "ledger.hpp"

#include "understudy/link/replication_resume.hpp"
#include "understudy/shm/crc32c.hpp"

namespace understudy::sim {

namespace {

struct Expected {
  Sequence sequence;
  std::uint64_t digest = 0;
  bool there = false;
};
using Tables = std::array<std::array<Expected, kKeysMax>, kTablesMax>;

std::string name_of(const shm::Store& store, shm::TableIndex table, unsigned key) {
  return store.schema().name + "/" + store.schema().tables[table].name + "/" + std::to_string(key);
}

}  // namespace

std::uint64_t digest_of(shm::Bytes value) {
  return (static_cast<std::uint64_t>(value.size()) << 32) | shm::crc32c(value);
}

void Ledger::add(unsigned store, Term term, Sequence sequence, const Change& change) {
  auto& log = logs_[store][term];
  if (log.changes.empty() || sequence.value != log.first + log.changes.size()) {
    log.first = sequence.value;  // a term that is used anew, where nothing remembered it
    log.changes.clear();
  }
  log.changes.push_back(change);
}

const Change* Ledger::find(unsigned store, Term term, Sequence sequence) const {
  const auto found = logs_[store].find(term);
  if (found == logs_[store].end()) { return nullptr; }
  const auto& log = found->second;
  if (sequence.value < log.first || sequence.value >= log.first + log.changes.size()) { return nullptr; }
  return &log.changes[sequence.value - log.first];
}

std::optional<std::string> Ledger::torn(const shm::Store& store, unsigned index) const {
  const auto committed = store.committed();
  if (store.syncing() || committed == Sequence{0}) { return std::nullopt; }
  const auto term = link::replication::term_at(store.history(), committed);
  if (!term) { return std::nullopt; }  // the history does not reach back so far
  const auto* last = find(index, *term, committed);
  if (last == nullptr || last->ends_transaction) { return std::nullopt; }
  return "store " + store.schema().name + " ends at " + std::to_string(committed.value) +
         ", in the middle of a transaction";
}

std::optional<std::string> Ledger::compare(const shm::Store& store, unsigned index) const {
  const auto committed = store.committed();
  const auto history = store.history();
  if (store.syncing() || committed == Sequence{0}) { return std::nullopt; }
  if (history.empty() || history.front().first.value > 1) { return std::nullopt; }
  Tables expected{};
  for (std::size_t h = 0; h < history.size(); ++h) {
    const auto end = h + 1 < history.size() ? history[h + 1].first.value : committed.value + 1;
    for (auto s = history[h].first.value; s < std::min(end, committed.value + 1); ++s) {
      const auto* change = find(index, history[h].term, Sequence{s});
      if (change == nullptr) {
        return "store " + store.schema().name + " holds change " + std::to_string(s) + " of term " +
               std::to_string(history[h].term.value) + ", which nobody has written";
      }
      expected[change->table][change->key] = {Sequence{s}, change->digest, !change->erases};
    }
  }
  std::optional<std::string> wrong;
  for (shm::TableIndex table = 0; table < store.schema().tables.size() && !wrong; ++table) {
    const auto scanned = store.scan(table, Sequence{0}, [&](const shm::Store::Record& record) {
      const auto key = key_of(index, table, record.key);
      auto* wanted = key ? &expected[table][*key] : nullptr;
      if (wanted == nullptr || !wanted->there) {
        wrong = name_of(store, table, key.value_or(kKeysMax)) + " is there and was erased";
      } else if (wanted->digest != digest_of(record.value)) {
        wrong = name_of(store, table, *key) + " has another value than change " +
                std::to_string(wanted->sequence.value) + " gave it";
      }
      if (wanted != nullptr) { wanted->there = false; }
      return !wrong;
    });
    if (!scanned) { return "table " + std::to_string(table) + " cannot be read: " + scanned.error().message; }
    for (unsigned key = 0; key < kKeysMax && !wrong; ++key) {
      if (!expected[table][key].there) { continue; }
      wrong = name_of(store, table, key) + " is missing, which change " +
              std::to_string(expected[table][key].sequence.value) + " has written";
    }
  }
  if (wrong) { *wrong += " (store at " + std::to_string(committed.value) + ")"; }
  return wrong;
}

std::optional<std::string> Ledger::is_torn(const RoleRegion& region) const {
  for (unsigned index = 0; index < kStores; ++index) {
    if (auto wrong = torn(region.store(index), index)) { return wrong; }
  }
  return std::nullopt;
}

std::optional<std::string> Ledger::what_is_wrong(const RoleRegion& region) const {
  if (auto wrong = is_torn(region)) { return wrong; }
  for (unsigned index = 0; index < kStores; ++index) {
    if (auto wrong = compare(region.store(index), index)) { return wrong; }
  }
  return std::nullopt;
}

}  // namespace understudy::sim
