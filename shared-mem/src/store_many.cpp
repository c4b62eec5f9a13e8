// SPDX-License-Identifier: Apache-2.0
/// Many keys with one call: what one key waits for in memory comes beside what the others wait for.
///
///   home slots asked for ── the next slot where that is not the key's ──(slabs asked for)── each read
///
/// In stages for `keys_together` keys (table.hpp tells why); each record is read as get() reads it.
#include <algorithm>
#include <array>

#include "region_impl.hpp"
#include "small_records.hpp"

namespace understudy::shm {
namespace {

constexpr std::size_t slab_bytes_ahead = 256;

using Homes = std::array<std::uint64_t, keys_together>;

/// The first two stages.
template <bool OneWord>
[[gnu::always_inline]] inline void ask_for(const Table& in, Bytes keys, std::size_t key_bytes, Homes& homes) {
  const std::size_t count = keys.size() / key_bytes;
  const auto key_at = [&](std::size_t i) { return KeyWords(keys.subspan(i * key_bytes, key_bytes)); };
  for (std::size_t i = 0; i < count; ++i) {
    homes[i] = OneWord ? in.home_of<true>(key_at(i)) : in.home(key_at(i));
    in.prefetch_home(homes[i]);
  }
  for (std::size_t i = 0; i < count; ++i) { in.prefetch_further(homes[i], key_at(i)); }
}

}  // namespace

/// Keys of a get_many(), `keys_together` of them. `Words`: of a small record's value; 0: any record.
template <std::size_t Words>
[[gnu::always_inline]] inline Seen Store::Impl::get_together(TableIndex in, Bytes keys, std::span<std::byte> values,
                                                             std::span<std::uint8_t> found, LookBudget& budget) const {
  const Table& now = table(in);  // a rebuild may go on: then lines are asked for in vain, and found all the same
  const std::size_t key_bytes = Words != 0 ? sizeof(Word) : now.key_bytes();
  const std::size_t value_bytes = values.size() / found.size();
  const auto key_at = [&](std::size_t i) { return KeyWords(keys.subspan(i * key_bytes, key_bytes)); };
  Homes homes;  // NOLINT(cppcoreguidelines-pro-type-member-init): written first
  ask_for<Words != 0>(now, keys, key_bytes, homes);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto value = values.subspan(i * value_bytes, value_bytes);
    Seen seen = Seen::Changed;
    if constexpr (Words != 0) {
      const std::uint64_t limit = visible_limit();  // before the table is asked for
      seen = table(in).get_words_from<Words>(homes[i], words::at(keys.data(), i), limit, value.data());
      if (seen != Seen::Present) [[unlikely]] { seen = get_again(in, homes[i], key_at(i), value, budget); }
    } else {
      const std::uint64_t limit = visible_limit();
      std::uint64_t near = near_probes;
      seen = table(in).get_within(homes[i], key_at(i), limit, value, near);
      if (!is_settled(seen, limit)) [[unlikely]] { seen = get_again(in, homes[i], key_at(i), value, budget); }
      seen = as_told(seen);
    }
    if (seen == Seen::Changed) [[unlikely]] { return seen; }
    found[i] = seen == Seen::Present ? 1 : 0;
  }
  return Seen::Present;
}

Result<std::size_t> Store::get_many(TableIndex table, Bytes keys, std::span<std::byte> values,
                                    std::span<std::uint8_t> found) const {
  const Impl& impl = *impl_;
  if (table >= impl.tables.size()) { return no_table(table); }
  const Table& in = impl.tables[table];
  const std::size_t key_bytes = in.key_bytes();
  const std::size_t value_bytes = in.value_bytes();
  if (keys.size() != found.size() * key_bytes || values.size() != found.size() * value_bytes) {
    return wrong_size(impl.schema().tables[table]);
  }
  const bool of_three_words = impl.small_words(table, key_bytes, value_bytes) == 3;
  LookBudget budget = impl.budget_of(table, found.size());
  for (std::size_t first = 0; first < found.size(); first += keys_together) {
    const std::size_t count = std::min(keys_together, found.size() - first);
    const Bytes part = keys.subspan(first * key_bytes, count * key_bytes);
    const auto to = values.subspan(first * value_bytes, count * value_bytes);
    const auto told = found.subspan(first, count);
    const Seen seen = of_three_words ? impl.get_together<3>(table, part, to, told, budget)
                                     : impl.get_together<0>(table, part, to, told, budget);
    if (seen == Seen::Changed) { return changed_too_often(); }
  }
  return static_cast<std::size_t>(std::count(found.begin(), found.end(), std::uint8_t{1}));
}

/// Keys of a get_blobs(), `keys_together` of them. The last one read; all are when it is neither Changed nor damaged.
Store::Impl::Blob Store::Impl::get_blobs_together(TableIndex in, Bytes keys, std::span<std::byte> values,
                                                  std::span<std::uint32_t> lengths, LookBudget& budget) const {
  const Table& now = table(in);
  const std::size_t key_bytes = now.key_bytes();
  const std::size_t room = values.size() / lengths.size();
  const auto key_at = [&](std::size_t i) { return KeyWords(keys.subspan(i * key_bytes, key_bytes)); };
  Homes homes;  // NOLINT(cppcoreguidelines-pro-type-member-init): written first
  ask_for<false>(now, keys, key_bytes, homes);
  for (std::size_t i = 0; i < lengths.size(); ++i) {  // a guess: what it finds is looked at again
    Word ref = 0;
    std::uint64_t near = near_probes;
    if (now.get_within(homes[i], key_at(i), visible_limit(), std::as_writable_bytes(std::span(&ref, 1)), near) ==
        Seen::Present) {
      slabs[in].prefetch(ref, slab_bytes_ahead);
    }
  }
  Blob blob{Seen::Absent};
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    blob = get_blob(in, key_at(i), values.subspan(i * room, room), budget);
    if (blob.damaged || blob.seen == Seen::Changed) { return blob; }
    lengths[i] = blob.seen == Seen::Present ? static_cast<std::uint32_t>(blob.bytes) : absent;
  }
  return blob;
}

Result<std::size_t> Store::get_blobs(TableIndex table, Bytes keys, std::span<std::byte> values,
                                     std::span<std::uint32_t> lengths) const {
  const Impl& impl = *impl_;
  if (table >= impl.tables.size()) { return no_table(table); }
  const TableSchema& in = impl.schema().tables[table];
  if (in.kind != TableKind::Blob) { return not_of_blobs(in); }
  if (keys.size() != lengths.size() * in.key_bytes || values.size() != lengths.size() * in.value_bytes) {
    return wrong_size(in);
  }
  LookBudget budget = impl.budget_of(table, lengths.size());
  for (std::size_t first = 0; first < lengths.size(); first += keys_together) {
    const std::size_t count = std::min(keys_together, lengths.size() - first);
    const auto blob = impl.get_blobs_together(table, keys.subspan(first * in.key_bytes, count * in.key_bytes),
                                              values.subspan(first * in.value_bytes, count * in.value_bytes),
                                              lengths.subspan(first, count), budget);
    if (blob.damaged) { return blob_is_damaged(in); }
    if (blob.seen == Seen::Changed) { return changed_too_often(); }
  }
  return lengths.size() - static_cast<std::size_t>(std::count(lengths.begin(), lengths.end(), absent));
}

}  // namespace understudy::shm
