// SPDX-License-Identifier: Apache-2.0
#include "received.hpp"

#include <algorithm>

#include "writer.hpp"

namespace understudy::shm {

ReceivedGroup::ReceivedGroup() = default;
ReceivedGroup::~ReceivedGroup() = default;

std::span<const Change> ReceivedGroup::changes() const { return changes_; }

/// What is wrong with the entry at the start of `rest`, or nothing; then it becomes `change`.
inline const char* ReceivedGroup::read_entry(Bytes rest, Change& change, std::uint64_t& size) const {
  EntryView entry;
  if (const char* wrong = view_entry(rest, entry); wrong != nullptr) { return wrong; }
  const auto& header = entry.header;
  if (header.table >= shapes_.size()) { return "an entry is of no table"; }
  const Shape& shape = shapes_[header.table];
  const bool is_put = header.op == layout::op_put;
  const bool fits = header.key_bytes == shape.key_bytes && header.value_bytes <= shape.value_max &&
                    (!is_put || header.value_bytes >= shape.value_min);
  if (!fits) { return "an entry does not fit its table"; }
  // Also of a deletion, which finds nothing to change in the table: an arena's page is addressed by it.
  if (shape.keys != 0 && KeyWords(entry.key).words[0] >= shape.keys) { return "an entry's key is beyond its table"; }
  change.sequence = header.sequence;
  change.op = header.op;
  change.ends_transaction = (header.flags & layout::flag_ends_transaction) != 0;
  change.table = header.table;
  change.key = entry.key;
  change.value = entry.value;
  size = entry.size;
  return nullptr;
}

/// Adds the changes of the transaction at `at` and moves it behind them.
bool ReceivedGroup::read_transaction(Bytes entries, std::size_t& at) {
  const std::size_t first = changes_.size();
  for (;;) {
    Change& change = changes_.emplace_back();
    std::uint64_t size = 0;
    const char* wrong = read_entry(entries.subspan(at), change, size);
    if (wrong == nullptr && changes_.size() - first > 1 && change.sequence != (&change - 1)->sequence + 1) {
      wrong = "sequences jump";
    }
    if (wrong != nullptr) [[unlikely]] {
      damage_ = wrong;
      return false;
    }
    at += size;
    blobs_ += shapes_[change.table].is_blob ? 1U : 0U;
    if (change.ends_transaction) { return true; }
  }
}

/// Asks for the slots of the changes from `first` on and looks which earlier changes they supersede. False: they have a
/// key twice among themselves; nothing is superseded then.
bool ReceivedGroup::accept(std::size_t first, std::span<const Table> tables) {
  marks_.resize(changes_.size());
  for (std::size_t i = first; i < changes_.size(); ++i) {
    Change& change = changes_[i];
    const Table& in = tables[change.table];
    change.hash = in.home(KeyWords(change.key));
    in.prefetch_home(change.hash);
    std::uint16_t& newest = newest_[change.hash % heads];
    marks_[i] = {newest, 0};
    for (std::size_t other = newest; other != 0; other = marks_[other - 1].earlier) {
      const Change& earlier = changes_[other - 1];
      if (earlier.hash != change.hash || earlier.table != change.table ||
          !std::ranges::equal(earlier.key, change.key)) {
        continue;
      }
      if (other - 1 >= first) { return false; }
      marks_[i].supersedes = static_cast<std::uint16_t>(other);
      break;  // what came before that one is superseded already
    }
    newest = static_cast<std::uint16_t>(i + 1);
  }
  for (std::size_t i = first; i < changes_.size(); ++i) {
    if (marks_[i].supersedes != 0) { changes_[marks_[i].supersedes - 1].superseded = true; }
  }
  return true;
}

/// The pages of an arena's checkpoint, in ascending order.
bool ReceivedGroup::is_checkpoint(std::size_t first, const Limits& limits) const {
  if (!limits.arena) { return false; }
  std::optional<std::uint64_t> before;
  for (const Change& change : std::span(changes_).subspan(first)) {
    if (change.table != *limits.arena || change.op != layout::op_put) { return false; }
    const std::uint64_t page = KeyWords(change.key).words[0];
    if (before && page <= *before) { return false; }
    before = page;
  }
  return true;
}

void ReceivedGroup::start(const StoreSchema& schema) {
  if (schema_ != &schema) {
    schema_ = &schema;
    shapes_.clear();
    for (const TableSchema& table : schema.tables) {
      const bool is_blob = table.kind == TableKind::Blob;
      shapes_.push_back({table.key_bytes, is_blob ? 0 : table.value_bytes, table.value_bytes, is_blob,
                         table.kind == TableKind::Dense ? table.capacity : 0});
    }
  }
  changes_.clear();
  marks_.clear();
  newest_.fill(0);
  transactions_ = 0;
  blobs_ = 0;
  allowed_ = true;
}

Status ReceivedGroup::read(Bytes entries, const StoreSchema& schema, std::span<const Table> tables,
                           const Limits& limits) {
  start(schema);
  const std::uint64_t bytes_max = std::min(limits.ring_bytes / 2, layout::transaction_bytes_max);
  std::size_t end = 0;
  do {
    const std::size_t first = changes_.size();
    const bool alone = first == 0;
    std::size_t at = end;
    const bool sound = read_transaction(entries, at);
    if (!sound && alone) { return failure("received journal bytes are damaged: " + damage_, Errc::Damaged); }
    const bool follows = sound && (alone || changes_[first].sequence == changes_[first - 1].sequence + 1);
    // Each blob takes a slab before any is free again.
    bool joins = follows && (alone || (at <= bytes_max && blobs_ <= StoreWriter::max_transaction));
    if (joins && is_checkpoint(first, limits)) {
      marks_.resize(changes_.size());
      allowed_ = at <= limits.ring_bytes / 2;
    } else if (joins) {
      const bool small = changes_.size() - first <= StoreWriter::max_transaction && at - end <= bytes_max;
      const bool wanted = small && accept(first, tables);
      if (alone) { allowed_ = wanted; }
      joins = alone || wanted;
    }
    if (!joins) {
      changes_.resize(first);
      marks_.resize(first);
      break;
    }
    end = at;
    ++transactions_;
    if (!allowed_ || changes_.back().sequence <= limits.held) { break; }
  } while (changes_.size() < limits.changes && end < entries.size());
  bytes_ = entries.first(end);
  return {};
}

}  // namespace understudy::shm
