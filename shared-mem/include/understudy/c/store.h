/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Stores: what anybody reads, and who may write.
 */
#ifndef UNDERSTUDY_C_STORE_H
#define UNDERSTUDY_C_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "understudy/c/region.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct understudy_store understudy_store;
typedef struct understudy_writer understudy_writer;

/** The store of that name. NOT_FOUND: there is none. */
understudy_status understudy_store_open(const understudy_region* region, const char* name, understudy_store** store);
/** Its writer, if it has one here, goes on. */
void understudy_store_close(understudy_store* store);
/** As it is described in the region. Valid as long as the handle. */
const understudy_store_schema* understudy_store_schema_of(const understudy_store* store);
/** The index of the table of that name, for all functions below. NOT_FOUND: there is none; `*table` stays as it is. */
understudy_status understudy_store_table(const understudy_store* store, const char* name, uint32_t* table);

/** The same, for a program that is built for keys and values of these sizes (of a blob table: for values of at most
 *  `value_bytes`). BAD_INPUT: the region's are others, the message names them; `*table` stays as it is. */
understudy_status understudy_store_table_sized(const understudy_store* store, const char* name, uint32_t key_bytes,
                                               uint32_t value_bytes, uint32_t* table);

/* `key` and `value` have exactly the table's sizes, in every function that does not say another one: the sizes that the
 * region's schema says. Whoever wrote the region chose them, so they are compared once with what the program is built
 * for: by understudy_lifecycle_open_store(), by `wanted` of understudy_region_open_wanted(), or by
 * understudy_store_table_sized(). Otherwise a get may write more bytes than `value` has. BAD_INPUT: no such table, or
 * one of another kind. */

/** Copies the committed value. NOT_FOUND: there is none; `value` may be written all the same. */
understudy_status understudy_store_get(const understudy_store* store, uint32_t table, const void* key, void* value);
/** `count` keys and values back to back; found[i] is 1 or 0. Several times as fast as one by one in a large table. Each
 *  record by itself is one that was committed; of two that one transaction has changed meanwhile one may be the old and
 *  the other the new: understudy_store_read_together(). */
understudy_status understudy_store_get_many(const understudy_store* store, uint32_t table, size_t count,
                                            const void* keys, void* values, uint8_t* found);
/** Of a blob table. `value` has room for the table's value_bytes; `*value_bytes` is set to the value's length. */
understudy_status understudy_store_get_blob(const understudy_store* store, uint32_t table, const void* key, void* value,
                                            size_t* value_bytes);
#define UNDERSTUDY_ABSENT 0xffffffffU /**< a length of understudy_store_get_blobs: there is no such record */
/** understudy_store_get_many() of a blob table, each record by itself: `values` has room for the table's value_bytes
 *  for each key, lengths[i] is set to the length of value i or to UNDERSTUDY_ABSENT. */
understudy_status understudy_store_get_blobs(const understudy_store* store, uint32_t table, size_t count,
                                             const void* keys, void* values, uint32_t* lengths);
/** Reads what it wants of the store, anew each time that it is called. */
typedef understudy_status (*understudy_read)(void* context);
/** What belongs together, from several records and tables, while the writer goes on: calls `read` until nothing was
 *  committed meanwhile; `*at`, which may be NULL, is the sequence that all of it was read at. What `read` returns
 *  counts once the store has stood still. EXPIRED: something was committed during each of `tries` calls (100 are many);
 *  whoever must have an answer reads less at once, or takes understudy_store_scan_ordered(). REFUSED: a mirror's copy
 *  that is syncing is at no sequence. */
understudy_status understudy_store_read_together(const understudy_store* store, understudy_read read, void* context,
                                                 int tries, uint64_t* at);
/** Returns 0 to end the scan. */
typedef int (*understudy_visit)(void* context, const void* key, const void* value, size_t value_bytes,
                                uint64_t sequence);
/** Returns 0 to end the scan. */
typedef int (*understudy_between)(void* context);
/** Every committed record that was written after `after`, in no order. Records that change meanwhile show their old or
 *  their new value, also two of one transaction: understudy_store_scan_ordered(). */
understudy_status understudy_store_scan(const understudy_store* store, uint32_t table, uint64_t after,
                                        understudy_visit visit, void* context);
/** The same; `between` is called every 4096 slots, also where nothing is visited: for a program that has other things
 * to do meanwhile. */
understudy_status understudy_store_scan_between(const understudy_store* store, uint32_t table, uint64_t after,
                                                understudy_visit visit, understudy_between between, void* context);
/** Every record as it was at one committed sequence (`*at`, may be NULL), in the order of the keys' bytes, while the
 *  writer goes on. Takes memory for a copy of the table. EXPIRED: lapped by the journal again and again. REFUSED: a
 *  mirror's copy that is syncing. */
understudy_status understudy_store_scan_ordered(const understudy_store* store, uint32_t table, understudy_visit visit,
                                                void* context, uint64_t* at);
/** Records at one committed sequence; 0 also for no such table, and when none of 100,000 looks found the
 *  count at rest (foreign bytes: a writer is not that fast). */
uint64_t understudy_store_count(const understudy_store* store, uint32_t table);
uint64_t understudy_store_capacity(const understudy_store* store, uint32_t table);     /**< 0: no such table */
uint64_t understudy_store_refused_full(const understudy_store* store, uint32_t table); /**< puts refused as full */
uint64_t understudy_store_committed(const understudy_store* store);    /**< the sequence of the last committed change */
uint64_t understudy_store_purged_up_to(const understudy_store* store); /**< deletions up to it are no longer known */
uint64_t understudy_store_term(const understudy_store* store);         /**< of the present writer */
uint64_t understudy_store_epoch(const understudy_store* store);        /**< grows with every writer */

/** `term` wrote the changes from sequence `first` on. */
typedef struct understudy_term_start {
  uint64_t term;
  uint64_t first;
} understudy_term_start;
/** Writes the terms that wrote, oldest first, `room` of them at most; returns how many there are. */
size_t understudy_store_history(const understudy_store* store, understudy_term_start* starts, size_t room);

/** 1: a mirror's copy that is not whole; it is in no committed state. */
int understudy_store_syncing(const understudy_store* store);
/** What the mirror has acknowledged (`*acknowledged`, may be NULL). Returns 0 when there is no mirror: the role is
 *  exposed. */
int understudy_store_mirrored(const understudy_store* store, uint64_t* acknowledged);
/** 1: the mirror falls behind, and the writer is asked to wait for it. */
int understudy_store_throttled(const understudy_store* store);
/** How long the store's writers have waited for mirrors so far, in all, in nanoseconds. */
uint64_t understudy_store_writer_waited(const understudy_store* store);

/** May a change be told to the outside yet? */
typedef enum understudy_mirrored {
  UNDERSTUDY_MIRRORED_NOW = 0,     /**< the mirror holds it */
  UNDERSTUDY_MIRRORED_EXPOSED = 1, /**< there is no mirror; whoever answers now should say so */
  UNDERSTUDY_MIRRORED_WAIT = 2,
  UNDERSTUDY_MIRRORED_EXPIRED = 3 /**< the deadline passed; the change is made here all the same */
} understudy_mirrored;
/** commit(mirrored), for who has other things to do: ask again about every millisecond while it says WAIT; the deadline
 *  is the caller's. Never EXPIRED. */
understudy_mirrored understudy_store_commit_mirrored(const understudy_store* store, uint64_t sequence);
/** commit(mirrored): sleeps until the mirror holds `sequence`, there is no mirror (any more), or `timeout_ns` have
 * passed (0: does not sleep). Never WAIT. EXPIRED: understudy_last_error() says how far the mirror is and whether it
 * moves. `sequence`: of a committed change; one that is never committed expires. */
understudy_mirrored understudy_store_commit_mirrored_wait(const understudy_store* store, uint64_t sequence,
                                                          uint64_t timeout_ns);

/** REFUSED: `term` is below the store's, another writer on this system holds it, or its lock could not be asked for (no
 *  descriptor left, no /proc); the former writer may go on. DAMAGED: what the store holds cannot be gone on with. The
 *  former writer's next commit is REFUSED. */
understudy_status understudy_store_become_writer(const understudy_store* store, uint64_t term,
                                                 understudy_writer** writer);
/** Would understudy_store_become_writer() be refused now, and why? Changes nothing: for who wants several or none. */
understudy_status understudy_store_can_become_writer(const understudy_store* store, uint64_t term);

#ifdef __cplusplus
}
#endif
#endif
