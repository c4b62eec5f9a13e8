// SPDX-License-Identifier: Apache-2.0
/// Follows a journal from any process or kernel. Order of a read: commit point, bytes, then the question whether they
/// were overtaken while they were copied (J1).
#include <algorithm>
#include <cstring>

#include "region_impl.hpp"

namespace understudy::shm {

struct JournalReader::Impl {
  std::shared_ptr<Store::Impl> store;
  std::uint64_t sequence = 0;  ///< last one handed out
  std::uint64_t position = 0;  ///< where the next one begins, once placed
  bool placed = false;
  bool lapped = false;  ///< stays so: what was missed does not come back

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

/// Whole transactions at the start of `bytes`, sequences without gaps up to `committed`.
struct Whole {
  std::size_t bytes = 0;
  std::uint64_t last = 0;
  bool sound = true;
};

Whole whole_transactions(Bytes bytes, std::uint64_t after, std::uint64_t committed) {
  Whole whole;
  std::size_t at = 0;
  std::uint64_t sequence = after;
  SizeGuess guess;
  while (bytes.size() - at >= sizeof(layout::JournalEntryHeader) && sequence < committed) {
    layout::JournalEntryHeader header;
    std::memcpy(&header, bytes.data() + at, sizeof header);
    const auto size = entry_size(header);
    if (!size || header.sequence != sequence + 1) {
      whole.sound = false;
      return whole;
    }
    if (*size > bytes.size() - at) { return whole; }
    at += guess.is(*size);
    ++sequence;
    if ((header.flags & layout::flag_ends_transaction) != 0) {
      whole.bytes = at;
      whole.last = sequence;
    }
  }
  return whole;
}

}  // namespace

Result<JournalReader::Chunk> JournalReader::read(std::size_t max_bytes) {
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
  Chunk chunk{State::Entries, {}, Sequence{impl.sequence + 1}, {}};
  for (std::uint64_t want :
       {std::uint64_t{max_bytes} & ~std::uint64_t{7}, layout::transaction_bytes_max, transaction_max}) {
    if (want < max_bytes) { continue; }
    chunk.bytes.resize(std::min(available, want));
    store.journal.copy(impl.position, chunk.bytes);
    if (store.journal.lapped(impl.position)) { return lapped(); }
    const Whole whole = whole_transactions(chunk.bytes, impl.sequence, committed);
    if (!whole.sound) { return failure("the journal holds bytes that no writer writes", Errc::Damaged); }
    if (whole.bytes == 0) { continue; }  // a transaction larger than asked for; larger than any, a checkpoint
    chunk.bytes.resize(whole.bytes);
    chunk.last = Sequence{whole.last};
    impl.position += whole.bytes;
    impl.sequence = whole.last;
    return chunk;
  }
  return failure("the journal holds a transaction without an end", Errc::Damaged);
}

WholeEntries whole_entries(Bytes entries, std::size_t max_bytes) {
  WholeEntries whole;
  const Bytes within = entries.first(std::min(entries.size(), max_bytes));
  SizeGuess guess;
  while (within.size() - whole.bytes >= sizeof(layout::JournalEntryHeader)) {
    layout::JournalEntryHeader header;
    std::memcpy(&header, within.data() + whole.bytes, sizeof header);
    const auto size = entry_size(header);
    if (!size || *size > within.size() - whole.bytes) { break; }
    whole.bytes += guess.is(*size);
    ++whole.count;
    if ((header.flags & layout::flag_ends_transaction) != 0) { whole.transaction_bytes = whole.bytes; }
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
