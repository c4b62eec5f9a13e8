/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The one writer of a store: puts, erases, transactions.
 */
#ifndef UNDERSTUDY_C_WRITER_H
#define UNDERSTUDY_C_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "understudy/c/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A put, erase or commit may wait for the store's mirror when its agent asks for it, since this writer has lapped it
 * again and again: at most 200 ms each (put_many: as that many puts), for at most 5 minutes in all.
 * REFUSED, in every function: no longer the writer, or a mirror's copy that is not synced; nothing was changed.
 * What a transaction refuses (FULL, BAD_INPUT, NOT_FOUND) is left out of it and leaves the rest as it was: the
 * transaction is still open, and whoever does not want it without that change calls understudy_writer_rollback(). */

/** Gives the store up: another may become its writer. An open transaction is forgotten. */
void understudy_writer_close(understudy_writer* writer);
/** For a writer on the very thread that ships its changes to the mirror: it would wait for itself. */
void understudy_writer_never_wait(understudy_writer* writer);
/** Makes the record, or gives it another value. `sequence` may be NULL. Inside a transaction it is not set: the commit
 *  has the sequence. FULL: at capacity; nothing was changed. */
understudy_status understudy_writer_put(understudy_writer* writer, uint32_t table, const void* key, const void* value,
                                        uint64_t* sequence);
/** `count` keys and values back to back, each a transaction by itself: as `count` puts, several times as fast in a
 *  large table. Ends at the first that is refused; those before it are committed. Not inside a transaction. */
understudy_status understudy_writer_put_many(understudy_writer* writer, uint32_t table, size_t count, const void* keys,
                                             const void* values, uint64_t* sequence);
/** Of a blob table: `value_bytes` from 0 to the table's. */
understudy_status understudy_writer_put_blob(understudy_writer* writer, uint32_t table, const void* key,
                                             const void* value, size_t value_bytes, uint64_t* sequence);
/** NOT_FOUND: there is no such record; nothing is committed then. `sequence` as understudy_writer_put. */
understudy_status understudy_writer_erase(understudy_writer* writer, uint32_t table, const void* key,
                                          uint64_t* sequence);
/** Gives the table its capacity_max, once, while readers go on; takes as long as writing every record anew. What to do
 *  when a put is refused as FULL (examples/growing-table). OK also when it was done before: the capacity tells.
 *  BAD_INPUT: none was reserved, or a transaction is open. */
understudy_status understudy_writer_rebuild(understudy_writer* writer, uint32_t table);
#define UNDERSTUDY_TRANSACTION_MAX 64 /**< changes of one transaction, each key once; 1 MiB or half of the journal */
/** The changes until understudy_writer_commit() become visible together. BAD_INPUT: one is open already. */
understudy_status understudy_writer_begin(understudy_writer* writer);
/** `*sequence`, which may be NULL: of its last change, for understudy_store_commit_mirrored(); of an empty one the last
 *  committed. A commit that is refused ends the transaction, and nothing of it is ever seen. BAD_INPUT: none is open.
 */
understudy_status understudy_writer_commit(understudy_writer* writer, uint64_t* sequence);
/** Forgets the open transaction; nothing of it was ever in the region. BAD_INPUT: none is open. */
understudy_status understudy_writer_rollback(understudy_writer* writer);
int understudy_writer_in_transaction(const understudy_writer* writer); /**< 1: one is open */
uint64_t understudy_writer_committed(const understudy_writer* writer); /**< the sequence of its last commit */
/** An operator forces a mirror's copy that is not synced to serve: what is there counts as committed, the journal
 * starts anew. */
understudy_status understudy_writer_accept_unsynced(understudy_writer* writer);

#ifdef __cplusplus
}
#endif
#endif
