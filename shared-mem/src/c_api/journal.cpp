// SPDX-License-Identifier: Apache-2.0
// The C API of journals.
#include "handles.hpp"

namespace us = understudy;
namespace shm = understudy::shm;
using us::c_api::told;

understudy_status understudy_journal_open(const understudy_store* store, uint64_t after, understudy_journal** journal) {
  *journal = new understudy_journal{store->store, shm::JournalReader(store->store, us::Sequence{after}), after};
  return UNDERSTUDY_OK;
}

void understudy_journal_close(understudy_journal* journal) { delete journal; }

uint64_t understudy_journal_position(const understudy_journal* journal) { return journal->position; }

namespace {

/// Remembered: the reader has gone on, and behind damaged bytes nobody knows what was missed.
understudy_status damaged(understudy_journal* journal, const us::Error& error) {
  if (error.code == us::Errc::Damaged) { journal->damage = error; }
  return told(error);
}

}  // namespace

understudy_status understudy_journal_read(understudy_journal* journal, understudy_visit_change visit, void* context,
                                          size_t* changes) {
  constexpr std::size_t chunk_bytes = 64 * 1024;
  *changes = 0;
  if (journal->damage) { return told(*journal->damage); }
  const auto chunk = journal->reader.read(chunk_bytes);
  if (!chunk) { return damaged(journal, chunk.error()); }
  if (chunk->state == shm::JournalReader::State::Lapped) {
    return told(us::failure("the journal of \"" + journal->store.schema().name + "\" was lapped", us::Errc::Expired));
  }
  if (chunk->state == shm::JournalReader::State::Nothing) { return UNDERSTUDY_OK; }
  const auto walked = shm::for_each_entry(chunk->bytes, [&](const shm::JournalEntry& entry) {
    const bool erased = entry.op == shm::JournalEntry::Op::Erase;
    const understudy_change change{entry.sequence.value,
                                   entry.table,
                                   erased ? 1 : 0,
                                   entry.key.data(),
                                   erased ? nullptr : entry.value.data(),
                                   entry.value.size(),
                                   entry.ends_transaction ? 1 : 0};
    ++*changes;
    visit(context, &change);
  });
  if (!walked) { return damaged(journal, walked.error()); }
  journal->position = chunk->last.value;
  return UNDERSTUDY_OK;
}
