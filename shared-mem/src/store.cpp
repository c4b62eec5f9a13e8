// SPDX-License-Identifier: Apache-2.0
/// A reader's view of one store. Never waits: a record or mark that changes under its eyes is read again, a bounded
/// number of times.
#include <algorithm>
#include <array>

#include "region_impl.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::shm {
namespace {

// Messages are made out of line: what reads records has no room for strings.
[[gnu::cold, gnu::noinline]] Error changed_too_often() {
  return failure("the record changed faster than it could be read");
}
[[gnu::cold, gnu::noinline]] Error no_table(TableIndex table) {
  return failure("no table " + std::to_string(table), Errc::BadInput);
}
[[gnu::cold, gnu::noinline]] Error wrong_size(const TableSchema& table) {
  return failure("key or value has not the size of table \"" + table.name + "\"", Errc::BadInput);
}

[[gnu::cold, gnu::noinline]] Error no_record() { return failure("no such record", Errc::NotFound); }

bool grows(const std::vector<TermStart>& history) {
  return std::is_sorted(history.begin(), history.end(),
                        [](const TermStart& a, const TermStart& b) { return a.term < b.term || a.first < b.first; });
}

}  // namespace

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

template <bool Small>
[[gnu::always_inline]] inline Seen Store::Impl::get(TableIndex in, std::uint64_t home, const KeyWords& key,
                                                    std::span<std::byte> value) const {
  const std::uint64_t limit = visible_limit();
  const Seen seen = table(in).get_from<Small>(home, key, limit, value);
  if (seen == Seen::Present) [[likely]] { return seen; }
  // Absent is true of the instant of `limit` only if no later change hid what was there.
  return seen == Seen::Absent && visible_limit() == limit ? seen : get_again(in, home, key, value);
}

Seen Store::Impl::get_again(TableIndex in, std::uint64_t home, const KeyWords& key, std::span<std::byte> value) const {
  for (int tries = 0; tries < read_tries_max; ++tries) {
    const std::uint64_t limit = visible_limit();
    const Seen seen = table(in).get_from(home, key, limit, value);
    if (seen == Seen::Present || (seen == Seen::Absent && visible_limit() == limit)) { return seen; }
  }
  return Seen::Changed;
}

Status Store::get(TableIndex table, Bytes key, std::span<std::byte> value) const {
  const Impl& impl = *impl_;
  if (table >= impl.tables.size()) [[unlikely]] { return no_table(table); }
  const Table& in = impl.tables[table];
  if (key.size() != in.key_bytes() || value.size() != in.value_bytes()) [[unlikely]] {
    return wrong_size(impl.schema().tables[table]);
  }
  Seen seen;
  if (in.is_small()) [[likely]] {  // sizes as the compiler understands them: one word, whole words
    const KeyWords words(Bytes(key.data(), sizeof(Word)));
    seen = impl.get<true>(table, in.home_of<true>(words), words, value.first(value.size() / 8 * 8));
  } else {
    const KeyWords words(key);
    seen = impl.get<false>(table, in.home(words), words, value);
  }
  if (seen == Seen::Present) [[likely]] { return {}; }
  return seen == Seen::Absent ? no_record() : changed_too_often();
}

Store::Impl::Blob Store::Impl::get_blob(TableIndex table, const KeyWords& key, std::span<std::byte> value) const {
  return read_blob(table, value, [&](std::uint64_t limit, Word& ref, std::uint64_t& sequence) {
    return this->table(table).get(key, limit, std::as_writable_bytes(std::span(&ref, 1)), sequence);
  });
}

Result<std::size_t> Store::get_blob(TableIndex table, Bytes key, std::span<std::byte> value) const {
  const Impl& impl = *impl_;
  if (table >= impl.tables.size()) { return no_table(table); }
  const TableSchema& in = impl.schema().tables[table];
  if (in.kind != TableKind::Blob) { return failure("table \"" + in.name + "\" has no blobs", Errc::BadInput); }
  if (key.size() != in.key_bytes || value.size() < in.value_bytes) { return wrong_size(in); }
  const auto blob = impl.get_blob(table, KeyWords(key), value);
  if (blob.seen == Seen::Present) { return blob.bytes; }
  if (blob.damaged) { return blob_is_damaged(in); }
  return blob.seen == Seen::Absent ? no_record() : changed_too_often();
}

Result<std::size_t> Store::get_many(TableIndex table, Bytes keys, std::span<std::byte> values,
                                    std::span<std::uint8_t> found) const {
  constexpr std::size_t ahead = keys_ahead;
  const Impl& impl = *impl_;
  if (table >= impl.tables.size()) { return no_table(table); }
  const Table& in = impl.tables[table];
  const std::size_t key_bytes = in.key_bytes();
  const std::size_t value_bytes = in.value_bytes();
  if (keys.size() != found.size() * key_bytes || values.size() != found.size() * value_bytes) {
    return wrong_size(impl.schema().tables[table]);
  }
  const Table& now =
      impl.table(table);  // a rebuild may go on: then lines are asked for in vain, and found all the same
  const auto key_at = [&](std::size_t i) { return KeyWords(keys.subspan(i * key_bytes, key_bytes)); };
  std::array<std::uint64_t, ahead> homes;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  const auto ask_for = [&](std::size_t i) {
    homes[i % ahead] = in.home(key_at(i));
    now.prefetch_home(homes[i % ahead]);
  };
  for (std::size_t i = 0; i < std::min(ahead, found.size()); ++i) { ask_for(i); }
  std::size_t present = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::uint64_t home = homes[i % ahead];
    if (i + ahead < found.size()) { ask_for(i + ahead); }
    const Seen seen = impl.get<false>(table, home, key_at(i), values.subspan(i * value_bytes, value_bytes));
    if (seen == Seen::Changed) { return changed_too_often(); }
    found[i] = seen == Seen::Present ? 1 : 0;
    present += found[i];
  }
  return present;
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
                                 std::span<std::byte> key, std::span<std::byte> value, std::uint64_t& sequence) const {
  const Table& now = table(in);
  if (&now == &walked) { return walked.read(at, limit, key, value, sequence); }
  words::load_bytes(key, walked.key_of(at));
  return now.get(KeyWords(key), limit, value, sequence);
}

Store::Impl::Blob Store::Impl::read_slot(TableIndex table, const Table& walked, const Word* at,
                                         std::span<std::byte> key, std::span<std::byte> value) const {
  Blob found{Seen::Absent};
  if (!Table::versions(at).has_sequence()) { return found; }
  if (slabs[table].exist()) {
    return read_blob(table, value, [&](std::uint64_t limit, Word& ref, std::uint64_t& sequence) {
      return look_into_slot(table, walked, at, limit, key, std::as_writable_bytes(std::span(&ref, 1)), sequence);
    });
  }
  found.bytes = value.size();
  for (int tries = 0; tries < read_tries_max; ++tries) {
    const std::uint64_t limit = visible_limit();
    found.seen = look_into_slot(table, walked, at, limit, key, value, found.sequence);
    if (found.seen == Seen::Present) { return found; }
    const bool settled = !Table::versions(at).has_sequence() || visible_limit() == limit;
    if (found.seen == Seen::Absent && settled) { return found; }
  }
  found.seen = Seen::Changed;
  return found;
}

Status Store::scan(TableIndex table, Sequence after, const std::function<bool(const Record&)>& visit) const {
  if (table >= impl_->tables.size()) { return no_table(table); }
  const TableSchema& described = impl_->schema().tables[table];
  const Table& in = impl_->table(table);
  std::vector<std::byte> key(described.key_bytes);
  std::vector<std::byte> value(described.value_bytes);
  for (std::uint64_t index = 0; index < in.slot_count(); ++index) {
    const auto found = impl_->read_slot(table, in, in.slot(index), key, value);
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
    const std::uint64_t kept = std::min<std::uint64_t>(count, layout::history_entries);
    for (std::uint64_t i = count - kept; i < count; ++i) {
      const auto& entry = shared.entries[i % layout::history_entries];
      history.push_back({Term{words::load(&entry.term)}, Sequence{words::load(&entry.first)}});
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
  if (impl_->region->access != Access::ReadWrite) {
    return failure("region " + impl_->region->path + " is open for reading only", Errc::Refused);
  }
  words::publish(&impl_->control->mirror.mirrored,
                 (state.acknowledged.value << 1) | (state.protected_by_mirror ? 1U : 0U));
  return {};
}

}  // namespace understudy::shm
