/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The C API of libunderstudy: regions, stores, writers, journals, and an application's part of a failover.
 *
 *   understudy_lifecycle_open ── "activate" ──► understudy_store_become_writer ── put, erase, transactions
 *                                               understudy_store_commit_mirrored_wait ── may it be told outside?
 *
 * The meaning of each function is that of its C++ twin in understudy/shm/region.hpp and understudy/app/.
 *
 * Errors: a function that can fail returns an understudy_status; understudy_last_error() then has one sentence for a
 * person. Handles that a failed call should have made are set to NULL. NULL may be closed. A path or a name that is
 * NULL is BAD_INPUT.
 * Threads: a handle is used by one thread at a time, different handles by different threads. The text of the last
 * error belongs to the thread. Nothing may be called from a signal handler.
 * fork(): the child may read, by the handles that it has or by new ones. A writer stays the parent's: each of the
 * child's calls that would write is REFUSED, and closing the handle changes nothing; so with an arena, in whose memory
 * the child writes nothing. The child may become the writer itself once its parent is not any more. (A child of a bare
 * clone() is not noticed: it must write nothing, and keeps the store's lock until it ends or becomes another program.)
 * Waiting: two things wait. understudy_store_commit_mirrored_wait() does for as long as it is told. What writes (put,
 * put_many, put_blob, erase, commit, checkpoint, detach) may wait for a mirror that falls behind, 200 ms each and 5
 * minutes in all at most (understudy/c/writer.h). Making, formatting and prefaulting a region take as long as the
 * kernel needs for its memory, up to a second a GiB. Memory: bytes that are passed in are copied before the call
 * returns; bytes passed to a callback are valid until it returns. A store outlives its region's handle, a writer its
 * store's.
 *
 * In C++ and not here, since only agents, who copy regions between places, use it:
 *   Store::set_mirrored  Store::throttle_writer  Store::release_writer  JournalReader::throttle_writer
 *   StoreWriter::apply  StoreWriter::begin_sync  StoreWriter::apply_snapshot_record  StoreWriter::end_sync
 *   StoreWriter::extend_history  Store::can_be_served_under  whole_entries  region_offset
 */
#ifndef UNDERSTUDY_UNDERSTUDY_H
#define UNDERSTUDY_UNDERSTUDY_H

#include "understudy/c/arena.h"
#include "understudy/c/journal.h"
#include "understudy/c/lifecycle.h"
#include "understudy/c/region.h"
#include "understudy/c/status.h"
#include "understudy/c/store.h"
#include "understudy/c/writer.h"

#endif
