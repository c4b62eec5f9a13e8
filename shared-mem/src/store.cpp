// SPDX-License-Identifier: Apache-2.0
/// A reader's view of one store. Never waits: a record or mark that changes under its eyes is read again, a bounded
/// number of times.
#include <algorithm>

#include "region_impl.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::shm {
namespace {

bool grows(const std::vector<TermStart>& history) {
  return std::is_sorted(history.begin(), history.end(),
                        [](const TermStart& a, const TermStart& b) { return a.term < b.term || a.first < b.first; });
}

}  // namespace

// Messages are made out of line: what reads records has no room for strings.
Error changed_too_often() { return failure("the record changed faster than it could be read"); }
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

Seen Store::Impl::get_again(TableIndex in, std::uint64_t home, const KeyWords& key, std::span<std::byte> value) const {
  for (int tries = 0; tries < read_tries_max; ++tries) {
    const std::uint64_t limit = visible_limit();
    const Seen seen = table(in).get_from(home, key, limit, value);
    if (is_settled(seen, limit)) { return as_told(seen); }
  }
  return Seen::Changed;
}

/// As get() of a small record (Table::is_small) of so many words, for those that are as nearly all are: present, and
/// their newest copy committed. Changed: not that.
template <std::size_t Words>
[[gnu::noinline]] Seen Store::Impl::get_words(TableIndex in, const std::byte* key, std::byte* value) const {
  const std::uint64_t limit = visible_limit();
  return table(in).get_words<Words>(words::at(key, 0), limit, value);
}

template <std::size_t Words>
[[gnu::always_inline]] inline Seen Store::Impl::get_small(TableIndex in, Bytes key, std::span<std::byte> value) const {
  const Seen seen = get_words<Words>(in, key.data(), value.data());
  if (seen == Seen::Present) [[likely]] { return seen; }
  const KeyWords words(key);
  return get_again(in, tables[in].home(words), words, value);
}

Status Store::get(TableIndex table, Bytes key, std::span<std::byte> value) const {
  const Impl& impl = *impl_;
  Seen seen = Seen::Changed;
  switch (impl.small_words(table, key.size(), value.size())) {
    case 1:
      seen = impl.get_small<1>(table, key, value);
      break;
    case 2:
      seen = impl.get_small<2>(table, key, value);
      break;
    case 3:
      seen = impl.get_small<3>(table, key, value);
      break;
    case 4:
      seen = impl.get_small<4>(table, key, value);
      break;
    default: {
      if (table >= impl.tables.size()) [[unlikely]] { return no_table(table); }
      const Table& in = impl.tables[table];
      if (key.size() != in.key_bytes() || value.size() != in.value_bytes()) [[unlikely]] {
        return wrong_size(impl.schema().tables[table]);
      }
      const KeyWords words(key);
      seen = impl.get(table, in.home(words), words, value);
    }
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
  if (in.kind != TableKind::Blob) { return not_of_blobs(in); }
  if (key.size() != in.key_bytes || value.size() < in.value_bytes) { return wrong_size(in); }
  const auto blob = impl.get_blob(table, KeyWords(key), value);
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
                                 std::span<std::byte> key, std::span<std::byte> value, std::uint64_t& sequence) const {
  const Table& now = table(in);
  if (&now == &walked) { return walked.read(at, limit, key, value, sequence); }
  words::load_bytes(key, walked.key_of(at));
  return now.get(KeyWords(key), limit, value, sequence);
}

Store::Impl::Blob Store::Impl::read_slot(TableIndex table, const Table& walked, const Word* at,
                                         std::span<std::byte> key, std::span<std::byte> value) const {
  Blob found{Seen::Absent};
  if (!Table::head(at).has_sequence()) { return found; }
  if (slabs[table].exist()) {
    return read_blob(table, value, [&](std::uint64_t limit, Word& ref, std::uint64_t& sequence) {
      return look_into_slot(table, walked, at, limit, key, std::as_writable_bytes(std::span(&ref, 1)), sequence);
    });
  }
  found.bytes = value.size();
  for (int tries = 0; tries < read_tries_max; ++tries) {
    const std::uint64_t limit = visible_limit();
    found.seen = look_into_slot(table, walked, at, limit, key, value, found.sequence);
    if (found.seen == Seen::Absent && !Table::head(at).has_sequence()) { return found; }
    if (is_settled(found.seen, limit)) {
      found.seen = as_told(found.seen);
      return found;
    }
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
