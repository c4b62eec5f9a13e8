// SPDX-License-Identifier: Apache-2.0
/// A reader's view of one store. Never waits: a record or mark that changes under its eyes is read again, a bounded
/// number of times.
#include <algorithm>

#include "region_impl.hpp"
#include "small_records.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::shm {
namespace {

bool grows(const std::vector<TermStart>& history) {
  return std::is_sorted(history.begin(), history.end(),
                        [](const TermStart& a, const TermStart& b) { return a.term < b.term || a.first < b.first; });
}

}  // namespace

// Messages are made out of line: what reads records has no room for strings.
Error changed_too_often() {
  return failure("a record could not be read: it changes faster than that, or the bytes of its table are damaged");
}
Error no_record() { return failure("no such record", Errc::NotFound); }
Error no_table(TableIndex table) { return failure("no table " + std::to_string(table), Errc::BadInput); }
Error wrong_size(const TableSchema& table) {
  return failure("key or value has not the size of table \"" + table.name + "\"", Errc::BadInput);
}
Error not_of_blobs(const TableSchema& table) {
  return failure("table \"" + table.name + "\" has no blobs", Errc::BadInput);
}
Error blob_is_damaged(const TableSchema& table) {
  return failure("a record of table \"" + table.name + "\" refers to a slab that is not its own", Errc::Damaged);
}

const StoreSchema& Store::schema() const { return impl_->schema(); }

Result<TableIndex> Store::table(const std::string& name) const {
  const auto& tables = schema().tables;
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const auto& table) { return table.name == name; });
  if (found == tables.end()) {
    return failure("store \"" + schema().name + "\" has no table \"" + name + "\"", Errc::NotFound);
  }
  return static_cast<TableIndex>(found - tables.begin());
}

Seen Store::Impl::get(TableIndex in, std::uint64_t home, const KeyWords& key, std::span<std::byte> value) const {
  const std::uint64_t limit = visible_limit();
  const Seen seen = table(in).get_from(home, key, limit, value);
  if (seen == Seen::Present) [[likely]] { return seen; }
  return is_settled(seen, limit) ? as_told(seen) : get_again(in, home, key, value);
}

Seen Store::Impl::get_again(TableIndex in, std::uint64_t home, const KeyWords& key, std::span<std::byte> value,
                            LookBudget& budget) const {
  for (int tries = 0; budget.allows(tries); ++tries) {
    const std::uint64_t limit = visible_limit();
    const Seen seen = table(in).get_within(home, key, limit, value, budget.probes());
    if (is_settled(seen, limit)) { return as_told(seen); }
  }
  return Seen::Changed;
}

Seen Store::Impl::get_again(TableIndex in, std::uint64_t home, const KeyWords& key, std::span<std::byte> value) const {
  LookBudget budget = budget_of(in, 1);
  return get_again(in, home, key, value, budget);
}

/// Any record of any table.
Status Store::Impl::get_any(const Impl& impl, TableIndex table, Bytes key, std::span<std::byte> value) {
  if (table >= impl.tables.size()) { return no_table(table); }
  const Table& in = impl.tables[table];
  if (key.size() != in.key_bytes() || value.size() != in.value_bytes()) {
    return wrong_size(impl.schema().tables[table]);
  }
  const KeyWords words(key);
  const Seen seen = impl.get(table, in.home(words), words, value);
  if (seen == Seen::Present) [[likely]] { return {}; }
  return seen == Seen::Absent ? no_record() : changed_too_often();
}

/// A small record whose value has so many words, for what nearly every record is: in one of its first two slots, its
/// newest copy committed.
template <std::size_t Words>
bool Store::Impl::get_words(const Impl& impl, TableIndex table, const std::byte* key, std::byte* value) {
  const std::uint64_t limit = impl.visible_limit();
  return impl.table(table).get_words<Words>(words::at(key, 0), limit, value) == Seen::Present;
}

Status Store::Impl::get_small(const Impl& impl, TableIndex table, const std::byte* key, std::byte* value) {
  return get_any(impl, table, {key, sizeof(Word)}, {value, impl.small_bytes[table]});
}

void Store::Impl::choose_gets() {
  static constexpr Get of_words[] = {nullptr, get_words<1>, get_words<2>, get_words<3>, get_words<4>};
  for (std::size_t table = 0; table < tables.size(); ++table) {
    small_bytes[table] = tables[table].is_small() ? static_cast<std::uint32_t>(tables[table].value_bytes()) : 0;
    const std::size_t words = small_bytes[table] / sizeof(Word);
    get_of[table] = words < std::size(of_words) ? of_words[words] : nullptr;
  }
}

Status Store::get(TableIndex table, Bytes key, std::span<std::byte> value) const {
  const Impl& impl = *impl_;
  if (impl.small_words(table, key.size(), value.size()) != 0) [[likely]] {
    const Impl::Get how = impl.get_of[table];
    if (how != nullptr && how(impl, table, key.data(), value.data())) [[likely]] { return {}; }
    return Impl::get_small(impl, table, key.data(), value.data());
  }
  return Impl::get_any(impl, table, key, value);
}

Store::Impl::Blob Store::Impl::get_blob(TableIndex table, const KeyWords& key, std::span<std::byte> value,
                                        LookBudget& budget) const {
  return read_blob(table, value, budget, [&](std::uint64_t limit, Word& ref, std::uint64_t& sequence) {
    return this->table(table).get(key, limit, std::as_writable_bytes(std::span(&ref, 1)), sequence, budget.probes());
  });
}

Result<std::size_t> Store::get_blob(TableIndex table, Bytes key, std::span<std::byte> value) const {
  const Impl& impl = *impl_;
  if (table >= impl.tables.size()) { return no_table(table); }
  const TableSchema& in = impl.schema().tables[table];
  if (in.kind != TableKind::Blob) { return not_of_blobs(in); }
  if (key.size() != in.key_bytes || value.size() < in.value_bytes) { return wrong_size(in); }
  LookBudget budget = impl.budget_of(table, 1);
  const auto blob = impl.get_blob(table, KeyWords(key), value, budget);
  if (blob.seen == Seen::Present) { return blob.bytes; }
  if (blob.damaged) { return blob_is_damaged(in); }
  return blob.seen == Seen::Absent ? no_record() : changed_too_often();
}

std::uint64_t Store::count(TableIndex table) const {
  if (table >= impl_->tables.size()) { return 0; }
  const auto& copies = impl_->control->counts[table].copies;
  for (int tries = 0; tries < read_tries_max; ++tries) {
    const std::uint64_t limit = std::min(impl_->visible_limit(), layout::invalid_sequence - 1);
    const std::uint64_t sequences[2] = {words::load_acquire(&copies[0].sequence),
                                        words::load_acquire(&copies[1].sequence)};
    const bool second = sequences[1] <= limit && (sequences[0] > limit || sequences[1] > sequences[0]);
    const auto& copy = copies[second ? 1 : 0];
    if (sequences[second ? 1 : 0] > limit) { continue; }
    const std::uint64_t records = words::load(&copy.records);
    if (words::unchanged(&copy.sequence, sequences[second ? 1 : 0])) { return records; }
  }
  return 0;
}

/// After a rebuild the slot walked is as it was then, for ever, and what became of its key is in the larger table.
Seen Store::Impl::look_into_slot(TableIndex in, const Table& walked, const Word* at, std::uint64_t limit,
                                 std::span<std::byte> key, std::span<std::byte> value, std::uint64_t& sequence,
                                 LookBudget& budget) const {
  const Table& now = table(in);
  if (&now == &walked) { return walked.read(at, limit, key, value, sequence); }
  words::load_bytes(key, walked.key_of(at));
  return now.get(KeyWords(key), limit, value, sequence, budget.probes());
}

Store::Impl::Blob Store::Impl::read_slot(TableIndex table, const Table& walked, const Word* at,
                                         std::span<std::byte> key, std::span<std::byte> value,
                                         LookBudget& budget) const {
  Blob found{Seen::Absent};
  if (!Table::head(at).has_sequence()) { return found; }
  if (slabs[table].exist()) {
    return read_blob(table, value, budget, [&](std::uint64_t limit, Word& ref, std::uint64_t& sequence) {
      return look_into_slot(table, walked, at, limit, key, std::as_writable_bytes(std::span(&ref, 1)), sequence,
                            budget);
    });
  }
  found.bytes = value.size();
  for (int tries = 0; budget.allows(tries); ++tries) {
    const std::uint64_t limit = visible_limit();
    found.seen = look_into_slot(table, walked, at, limit, key, value, found.sequence, budget);
    if (found.seen == Seen::Absent && !Table::head(at).has_sequence()) { return found; }
    if (is_settled(found.seen, limit)) {
      found.seen = as_told(found.seen);
      return found;
    }
  }
  found.seen = Seen::Changed;
  return found;
}

Result<Sequence> Store::read_together(const std::function<Status()>& read, int tries) const {
  for (; tries > 0; --tries) {
    const std::uint64_t before = impl_->committed();
    if (syncing()) { return failure("store \"" + schema().name + "\" is not synced", Errc::Refused); }
    const Status done = read();
    words::fence_acquire();
    if (impl_->committed() != before || syncing()) { continue; }
    if (!done) { return done.error(); }
    return Sequence{before};
  }
  return failure("something was committed in store \"" + schema().name + "\" each time that it was read",
                 Errc::Expired);
}

Status Store::scan(TableIndex table, Sequence after, const std::function<bool(const Record&)>& visit,
                   const std::function<bool()>& between) const {
  if (table >= impl_->tables.size()) { return no_table(table); }
  const TableSchema& described = impl_->schema().tables[table];
  const Table& in = impl_->table(table);
  std::vector<std::byte> key(described.key_bytes);
  std::vector<std::byte> value(described.value_bytes);
  LookBudget budget = impl_->budget_of(table, in.slot_count());
  for (std::uint64_t index = 0; index < in.slot_count(); ++index) {
    if (index % scan_step == 0 && between && !between()) { break; }
    const auto found = impl_->read_slot(table, in, in.slot(index), key, value, budget);
    if (found.damaged) { return blob_is_damaged(described); }
    if (found.seen == Seen::Changed) { return changed_too_often(); }
    if (found.seen != Seen::Present || found.sequence <= after.value) { continue; }
    if (!visit(Record{key, Bytes(value).first(found.bytes), Sequence{found.sequence}})) { break; }
  }
  return {};
}

std::uint64_t Store::capacity(TableIndex table) const {
  if (table >= impl_->tables.size()) { return 0; }
  const TableSchema& described = impl_->schema().tables[table];
  return impl_->is_grown(table) ? described.capacity_max : described.capacity;
}

std::uint64_t Store::refused_full(TableIndex table) const {
  return table < impl_->tables.size() ? words::load_acquire(&impl_->control->tables[table].refused_full) : 0;
}

Sequence Store::committed() const { return Sequence{impl_->committed()}; }
Sequence Store::purged_up_to() const { return Sequence{words::load_acquire(&impl_->control->commit.purged_up_to)}; }
Term Store::term() const { return Term{words::load_acquire(&impl_->control->writer.term)}; }
std::uint64_t Store::epoch() const { return words::load_acquire(&impl_->control->writer.epoch); }
bool Store::syncing() const { return impl_->syncing(); }

std::vector<TermStart> Store::history() const {
  const auto& shared = impl_->control->history;
  std::vector<TermStart> history;
  for (int tries = 0; tries < read_tries_max; ++tries) {
    history.clear();
    const std::uint64_t count = words::load_acquire(&shared.count);
    const std::uint64_t kept = std::min<std::uint64_t>(count, layout::history_kept);
    for (std::uint64_t i = count - kept; i < count; ++i) {
      const auto& entry = shared.entries[i % layout::history_entries];
      const TermStart start{Term{words::load(&entry.term)}, Sequence{words::load(&entry.first)}};
      // Told once; and where a later term begins too, one has written nothing: terms are being renamed.
      if (!history.empty() && history.back().term == start.term) { continue; }
      if (!history.empty() && history.back().first == start.first) { history.pop_back(); }
      history.push_back(start);
    }
    if (words::unchanged(&shared.count, count) && grows(history)) { return history; }
  }
  return {};
}

Store::Mirrored Store::mirrored() const {
  const Word word = words::load_acquire(&impl_->control->mirror.mirrored);
  return {(word & 1) != 0, Sequence{word >> 1}};
}

Status Store::set_mirrored(Mirrored state) {
  if (impl_->region->access != Access::ReadWrite) { return open_for_reading_only(*impl_->region); }
  words::publish(&impl_->control->mirror.mirrored,
                 (state.acknowledged.value << 1) | (state.protected_by_mirror ? 1U : 0U));
  return {};
}

bool Store::throttled() const { return words::load_acquire(&impl_->control->mirror.throttle) != 0; }

/// Until it holds: the writer may lap the position before it sees the request.
Status Store::throttle_writer() {
  if (impl_->region->access != Access::ReadWrite) { return open_for_reading_only(*impl_->region); }
  constexpr int requests_max = 1000;
  for (int i = 0; i < requests_max; ++i) {
    const auto end = impl_->journal.end_of(impl_->committed());
    if (!end || *end % 8 != 0) { continue; }  // a commit is under way
    words::publish(&impl_->control->mirror.throttle, *end | (static_cast<Word>(i) % layout::throttle_beat_mask + 1));
    if (!impl_->journal.lapped(*end)) { break; }
  }
  return {};
}

Status Store::release_writer() {
  if (impl_->region->access != Access::ReadWrite) { return open_for_reading_only(*impl_->region); }
  words::publish(&impl_->control->mirror.throttle, 0);
  return {};
}

Duration Store::writer_waited() const {
  constexpr std::uint64_t longest_us = std::uint64_t{1} << 50;  // whatever is there, nanoseconds hold it
  return std::chrono::microseconds(std::min(words::load_acquire(&impl_->control->writer.waited_us), longest_us));
}

Error open_for_reading_only(const Region_impl& region) {
  return failure("region " + region.path + " is open for reading only", Errc::Refused);
}

}  // namespace understudy::shm
