// SPDX-License-Identifier: Apache-2.0
/// What the application of a role does while it is served: it changes its records through the product's own writer.
#include <cstring>

#include "world.hpp"

namespace understudy::sim {

namespace {

/// Of every size that a table takes; no two changes write the same.
std::vector<std::byte> value_of(unsigned store, shm::TableIndex table, Random& random) {
  const auto& schema = region_schema().stores[store].tables[table];
  const bool blob = schema.kind == shm::TableKind::Blob;
  std::vector<std::byte> bytes(blob ? random.below(schema.value_bytes + 1) : schema.value_bytes);
  for (std::size_t at = 0; at < std::min<std::size_t>(bytes.size(), 40); at += 8) {
    const auto word = random.next();
    std::memcpy(bytes.data() + at, &word, std::min<std::size_t>(8, bytes.size() - at));
  }
  if (bytes.size() > 48) { std::memcpy(bytes.data() + bytes.size() - 8, bytes.data(), 8); }
  return bytes;
}

/// One application at work on one store.
class Work {
 public:
  Work(World& world, Ledger& ledger, RoleRegion& region, unsigned store)
      : world_(world),
        ledger_(ledger),
        writer_(region.writers[store]),
        store_(store),
        term_(region.store(store).term()) {}

  Status one_change() {
    const auto table = some_table();
    const unsigned key = random().below(keys_of(store_, table));
    const bool erases = random().chance(0.2);
    if (random().chance(0.2)) { return transaction(); }
    auto done = change(table, key, erases);
    if (!done && done.error().code == Errc::NotFound) { done = change(table, key, false); }
    if (!done) { return done.error(); }
    ledger_.add(store_, term_, done.value(), last_);
    return {};
  }

 private:
  Random& random() { return world_.content_random; }
  shm::TableIndex some_table() {
    const auto tables = static_cast<unsigned>(region_schema().stores[store_].tables.size());
    if (store_ == 0) { return random().below(tables); }
    if (world_.settings.pages && random().chance(0.8)) { return kPagesTable; }
    return random().below(kPagesTable);
  }
  Result<Sequence> change(shm::TableIndex table, unsigned key, bool erases) {
    const auto bytes = key_bytes(store_, table, key);
    last_ = Change{static_cast<std::uint8_t>(table), static_cast<std::uint8_t>(key), erases, true, 0};
    if (erases) { return writer_.erase(table, bytes); }
    const auto value = value_of(store_, table, random());
    last_.digest = digest_of(value);
    return writer_.put(table, bytes, value);
  }
  /// Two to five changes, of different keys.
  Status transaction() {
    if (auto begun = writer_.begin(); !begun) { return begun; }
    std::vector<std::pair<Sequence, Change>> changes;
    const unsigned from = random().below(kKeysMax);
    const unsigned count = 2 + random().below(4);
    for (unsigned i = 0; i < count; ++i) {
      const auto table = some_table();
      const unsigned keys = keys_of(store_, table);
      if (i >= keys) { break; }
      const auto done = change(table, (from + i) % keys, random().chance(0.2));
      if (!done && done.error().code == Errc::NotFound) { continue; }  // nothing to erase
      if (!done && done.error().code == Errc::BadInput) { continue; }  // the key is in it already
      if (!done) {
        [[maybe_unused]] const auto forgotten = writer_.rollback();
        return done.error();
      }
      changes.emplace_back(done.value(), last_);
      changes.back().second.ends_transaction = false;
    }
    if (random().chance(0.1)) { return writer_.rollback(); }
    const auto committed = writer_.commit();
    if (!committed) { return committed.error(); }
    if (changes.empty()) { return {}; }
    changes.back().second.ends_transaction = true;
    world_.exercised.transactions += changes.size() > 1 ? 1U : 0U;
    for (const auto& [sequence, one] : changes) { ledger_.add(store_, term_, sequence, one); }
    return {};
  }

  World& world_;
  Ledger& ledger_;
  shm::StoreWriter& writer_;
  const unsigned store_;
  const Term term_;
  Change last_;
};

}  // namespace

/// Mostly one change; now and then many at once, more than a short journal holds.
void World::change(unsigned role, RoleRegion& region) {
  if (region.writers.empty()) { return; }
  unsigned changes = 1 + content_random.below(2);
  if (content_random.chance(settings.pages ? 0.03 : 0.01)) { changes = 8 + content_random.below(24); }
  for (unsigned i = 0; i < changes; ++i) {
    Work work(*this, ledgers_[role], region, content_random.below(kStores));
    const auto done = work.one_change();
    exercised.changes += done ? 1U : 0U;
    if (done || done.error().code == Errc::Refused) { continue; }  // another has taken the region over
    violate(Invariant::WholeCopy, role_ids_[role].value + ": its application cannot write: " + done.error().message);
    return;
  }
}

void World::write(unsigned role) {
  for (auto& blade : blades) {
    auto& place = blade->places[role];
    auto& region = blade->regions[role];
    if (blade->machine.runs() && place.app_running && region && place.app_active == region->writer() &&
        place.gate_open) {
      change(role, *region);
      if (place.moved) { place.installed = region->committed(); }
    }
  }
  auto& guest = *guests[role];
  auto& region = blades[standby()]->regions[role];
  if (guest.machine.runs() && guest.app_running && region && guest.app_active == region->writer() && guest.tap_open) {
    change(role, *region);
    guest.installed = region->committed();
  }
}

// --- what the region must hold ---

bool World::holds(const RoleRegion& region, unsigned store, const Record& record) const {
  const auto& held = region.store(store);
  return !held.syncing() && held.committed().value >= record.sequence &&
         link::replication::term_at(held.history(), Sequence{record.sequence}) == record.term;
}
bool World::holds_promised(const RoleRegion& region, unsigned role) const {
  for (unsigned store = 0; store < kStores; ++store) {
    const auto& promise = promised_[role][store];
    if (promise.sequence != 0 && !holds(region, store, promise)) { return false; }
  }
  return true;
}
bool World::something_promised(unsigned role) const {
  return std::any_of(promised_[role].begin(), promised_[role].end(),
                     [](const Record& record) { return record.sequence != 0; });
}

void World::mirrored_up_to(unsigned role, const RoleRegion& region) {
  for (unsigned store = 0; store < kStores; ++store) {
    const auto mirrored = region.store(store).mirrored();
    if (mirrored.protected_by_mirror) { promise(role, region, store, mirrored.acknowledged); }
  }
}

void World::check_acknowledged(unsigned role, const RoleRegion& active, const RoleRegion& mirror) {
  for (unsigned store = 0; store < kStores; ++store) {
    const auto told = active.store(store).mirrored();
    const auto term = link::replication::term_at(active.store(store).history(), told.acknowledged);
    if (!told.protected_by_mirror || !term || mirror.store(store).syncing()) { continue; }
    if (holds(mirror, store, {*term, told.acknowledged.value})) { continue; }
    violate(Invariant::MirroredKept, role_ids_[role].value + ": change " + std::to_string(told.acknowledged.value) +
                                         " of store " + active.store(store).schema().name +
                                         " is acknowledged, and its mirror has applied " +
                                         std::to_string(mirror.store(store).committed().value));
  }
}

void World::promise(unsigned role, const RoleRegion& region, unsigned store, Sequence sequence) {
  if (sequence == Sequence{0}) { return; }
  const auto term = link::replication::term_at(region.store(store).history(), sequence);
  if (term) { promised_[role][store] = {*term, sequence.value}; }
}

void World::check_whole(unsigned role, const RoleRegion& region, const std::string& where) {
  if (store_damaged_) { return; }  // a term may be new again, and its changes with it
  ++exercised.compared;
  if (const auto wrong = ledgers_[role].what_is_wrong(region)) {
    violate(Invariant::WholeCopy, role_ids_[role].value + ": the copy " + where + ": " + *wrong);
  }
}
void World::check_not_torn(unsigned role, const RoleRegion& region, const std::string& where) {
  if (store_damaged_) { return; }
  if (const auto wrong = ledgers_[role].is_torn(region)) {
    violate(Invariant::WholeCopy, role_ids_[role].value + ": the copy " + where + ": " + *wrong);
  }
}

}  // namespace understudy::sim
