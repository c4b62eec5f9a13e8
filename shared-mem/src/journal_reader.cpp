// SPDX-License-Identifier: Apache-2.0
/// Follows a journal from any process or kernel. Order of a read: commit point, bytes, then the question whether they
/// were overtaken while they were copied (J1).
#include <algorithm>
#include <array>
#include <cstring>

#include "region_impl.hpp"

namespace understudy::shm {

struct JournalReader::Impl {
  std::shared_ptr<Store::Impl> store;
  std::uint64_t sequence = 0;  ///< last one handed out
  std::uint64_t position = 0;  ///< where the next one begins, once placed
  bool placed = false;
  bool lapped = false;  ///< stays so: what was missed does not come back
  Word beat = 0;        ///< of the last request to the writer: two of them are never the same word

  /// Finds the position for `sequence`; false when it is gone from the ring or was never in it.
  bool place(std::uint64_t committed) {
    const auto found =
        sequence == committed ? store->journal.end_of(committed) : store->journal.find(sequence + 1, committed);
    if (!found) { return false; }
    position = *found;
    placed = true;
    return true;
  }
};

JournalReader::JournalReader(const Store& store, Sequence after) : impl_(std::make_shared<Impl>()) {
  impl_->store = store.impl_;
  impl_->sequence = after.value;
}

Sequence JournalReader::position() const { return Sequence{impl_->sequence}; }

namespace {

/// Whole transactions at the start of `bytes`, of this store's tables, sequences without gaps up to `committed`.
struct Whole {
  std::size_t bytes = 0;
  std::uint64_t last = 0;
  bool sound = true;
};

Whole whole_transactions(Bytes bytes, EntrySizes sizes, std::uint64_t after, std::uint64_t committed) {
  Whole whole;
  std::size_t at = 0;
  std::uint64_t sequence = after;
  while (bytes.size() - at >= sizeof(layout::JournalEntryHeader) && sequence < committed) {
    const std::byte* header = bytes.data() + at;
    const std::uint64_t size = sizes.of(header);
    if (size == 0 || words::at(header, 0) != sequence + 1) [[unlikely]] {
      whole.sound = false;
      return whole;
    }
    if (size > bytes.size() - at) { return whole; }
    at += size;
    ++sequence;
    if (sizes.ends_transaction()) {
      whole.bytes = at;
      whole.last = sequence;
    }
  }
  return whole;
}

/// So many bytes are asked for, so that what is copied ends where an entry does if all are as large as the first.
std::uint64_t bytes_wanted(const Journal& journal, std::uint64_t position, std::uint64_t max_bytes) {
  std::array<std::byte, sizeof(layout::JournalEntryHeader)> header{};
  journal.copy(position, header);
  const std::uint64_t entry = EntrySizes().of(header.data());  // 0: whoever reads the entries will tell
  if (entry == 0) { return std::max<std::uint64_t>(max_bytes & ~std::uint64_t{7}, header.size()); }
  return std::max(entry, max_bytes / entry * entry);
}

}  // namespace

Result<JournalReader::Chunk> JournalReader::read(std::size_t max_bytes, std::vector<std::byte> memory) {
  auto& impl = *impl_;
  const auto& store = *impl.store;
  const auto lapped = [&] {
    impl.lapped = true;
    return Chunk{State::Lapped, {}, {}, {}};
  };
  if (impl.lapped) { return lapped(); }
  std::uint64_t committed = 0;
  std::optional<std::uint64_t> end;
  for (int tries = 0; !end && tries < read_tries_max; ++tries) {
    committed = store.committed();
    end = store.journal.end_of(committed);
  }
  if (!end) { return failure("the journal has no end: damaged, or its copy is being synced", Errc::Damaged); }
  if (committed < impl.sequence) { return lapped(); }  // another history than the one followed so far
  if (!impl.placed && !impl.place(committed)) {
    if (impl.sequence == committed) { return Chunk{}; }  // moved on between the two looks: next time
    return lapped();
  }
  if (store.journal.lapped(impl.position)) { return lapped(); }
  if (committed == impl.sequence) { return Chunk{}; }

  const std::uint64_t available = *end - impl.position;
  if (available > store.journal.ring_bytes()) { return lapped(); }
  // An arena's checkpoint may be larger than any other transaction.
  const std::uint64_t transaction_max = std::max(layout::transaction_bytes_max, store.journal.ring_bytes() / 2);
  Chunk chunk{State::Entries, std::move(memory), Sequence{impl.sequence + 1}, {}};
  for (std::uint64_t want = bytes_wanted(store.journal, impl.position, max_bytes);;
       want = std::min(4 * want, transaction_max)) {
    store.journal.copy(impl.position, std::min(available, want), chunk.bytes);
    if (store.journal.lapped(impl.position)) { return lapped(); }
    const Whole whole = whole_transactions(chunk.bytes, EntrySizes(store.schema().tables), impl.sequence, committed);
    if (!whole.sound) { return failure("the journal holds bytes that no writer writes", Errc::Damaged); }
    if (whole.bytes == 0) {  // a transaction larger than asked for
      if (want >= std::min(available, transaction_max)) { break; }
      continue;
    }
    chunk.bytes.resize(whole.bytes);
    chunk.last = Sequence{whole.last};
    impl.position += whole.bytes;
    impl.sequence = whole.last;
    return chunk;
  }
  return failure("the journal holds a transaction without an end", Errc::Damaged);
}

Status JournalReader::throttle_writer() {
  auto& impl = *impl_;
  const auto& store = *impl.store;
  if (store.region->access != Access::ReadWrite) { return open_for_reading_only(*store.region); }
  const bool placed = impl.placed || impl.place(store.committed());
  if (!placed || impl.lapped || store.journal.lapped(impl.position)) { return {}; }
  impl.beat = impl.beat % layout::throttle_beat_mask + 1;
  words::publish(&store.control->mirror.throttle, impl.position | impl.beat);
  return {};
}

WholeEntries whole_entries(Bytes entries, std::size_t max_bytes) {
  WholeEntries whole;
  const Bytes within = entries.first(std::min(entries.size(), max_bytes));
  EntrySizes sizes;
  while (within.size() - whole.bytes >= sizeof(layout::JournalEntryHeader)) {
    const std::uint64_t size = sizes.of(within.data() + whole.bytes);
    if (size == 0 || size > within.size() - whole.bytes) { break; }
    whole.bytes += size;
    ++whole.count;
    if (sizes.ends_transaction()) { whole.transaction_bytes = whole.bytes; }
  }
  return whole;
}

Status for_each_entry(Bytes chunk, const std::function<void(const JournalEntry&)>& visit) {
  while (!chunk.empty()) {
    EntryView entry;
    if (const char* wrong = view_entry(chunk, entry); wrong != nullptr) {
      return failure(std::string("journal bytes are damaged: ") + wrong, Errc::Damaged);
    }
    const auto& header = entry.header;
    visit(JournalEntry{Sequence{header.sequence}, header.table,
                       header.op == layout::op_put ? JournalEntry::Op::Put : JournalEntry::Op::Erase, entry.key,
                       entry.value, (header.flags & layout::flag_ends_transaction) != 0});
    chunk = chunk.subspan(entry.size);
  }
  return {};
}

}  // namespace understudy::shm
