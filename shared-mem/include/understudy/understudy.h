/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The C API of libunderstudy: regions, stores, writers, journals, and an application's part of a failover.
 *
 *   understudy_lifecycle_open ── "activate" ──► understudy_store_become_writer ── put, erase, transactions
 *                                               understudy_store_commit_mirrored ── may the change be told outside?
 *
 * The meaning of each function is that of its C++ twin in understudy/shm/region.hpp and understudy/app/.
 *
 * Errors: a function that can fail returns an understudy_status; understudy_last_error() then has one sentence for a
 * person. Handles that a failed call should have made are set to NULL. NULL may be closed.
 * Threads: a handle is used by one thread at a time, different handles by different threads. The text of the last
 * error belongs to the thread. Nothing waits and nothing may be called from a signal handler.
 * Memory: bytes that are passed in are copied before the call returns; bytes passed to a callback are valid until it
 * returns. A store outlives its region's handle, a writer its store's.
 */
#ifndef UNDERSTUDY_UNDERSTUDY_H
#define UNDERSTUDY_UNDERSTUDY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum understudy_status {
  UNDERSTUDY_OK = 0,
  UNDERSTUDY_FAILED = 1,    /**< nobody reacts to more than the message */
  UNDERSTUDY_BAD_INPUT = 2, /**< an argument is wrong; nothing was changed */
  UNDERSTUDY_NOT_FOUND = 3, /**< no such record, store or table */
  UNDERSTUDY_REFUSED = 4,   /**< stale term, a second writer, no longer the writer */
  UNDERSTUDY_FULL = 5,      /**< the table's capacity is used up; nothing was changed */
  UNDERSTUDY_EXPIRED = 6,   /**< a deadline has passed */
  UNDERSTUDY_DAMAGED = 7    /**< bytes that cannot be what they claim to be */
} understudy_status;

/** One sentence about this thread's last failed call; "" before the first one. */
const char* understudy_last_error(void);

/* --- regions ---------------------------------------------------------------------------------------------------- */

typedef enum understudy_table_kind {
  UNDERSTUDY_TABLE_HASHED = 0, /**< any key, values of one size */
  UNDERSTUDY_TABLE_BLOB = 1,   /**< any key, values of 0 to value_bytes bytes */
  UNDERSTUDY_TABLE_DENSE = 2   /**< the key is a uint64_t below capacity */
} understudy_table_kind;

typedef struct understudy_table_schema {
  const char* name;           /**< 1-31 bytes */
  uint32_t key_bytes;         /**< 1-256 */
  uint32_t value_bytes;       /**< 1-4096; of a blob table the largest, 1-65536 */
  uint64_t capacity;          /**< records that fit for certain */
  understudy_table_kind kind; /**< 0: hashed */
  uint64_t capacity_max;      /**< what understudy_writer_rebuild brings; above capacity; 0: no rebuild */
} understudy_table_schema;

typedef struct understudy_store_schema {
  const char* name; /**< 1-31 bytes */
  const understudy_table_schema* tables;
  size_t table_count;     /**< 1-16 */
  uint64_t journal_bytes; /**< a power of two, at least 65536, and room for two largest changes */
  uint64_t arena_bytes;   /**< whole pages of 4096 bytes, with understudy_arena_table() among the tables; 0: no arena */
} understudy_store_schema;

typedef enum understudy_region_state {
  UNDERSTUDY_REGION_ABSENT = 0,
  UNDERSTUDY_REGION_FOREIGN = 1,
  UNDERSTUDY_REGION_OTHER_LAYOUT_VERSION = 2,
  UNDERSTUDY_REGION_OTHER_SCHEMA = 3,
  UNDERSTUDY_REGION_DAMAGED = 4,
  UNDERSTUDY_REGION_GOOD = 5,
  UNDERSTUDY_REGION_STALE_TERM = 6
} understudy_region_state;

typedef struct understudy_region understudy_region;
typedef struct understudy_store understudy_store;
typedef struct understudy_writer understudy_writer;
typedef struct understudy_journal understudy_journal;

/** `size_bytes`: a power of two of at least 1 MiB; 0: the smallest that holds the stores. Replaces an existing file. */
understudy_status understudy_region_create(const char* path, uint64_t size_bytes, const understudy_store_schema* stores,
                                           size_t store_count, understudy_region** region);
/** `writable`: 0 maps it read-only. `size_bytes`: 0: as the file says; an ivshmem BAR needs it. */
understudy_status understudy_region_open(const char* path, int writable, uint64_t size_bytes,
                                         understudy_region** region);
/** What a descriptor refers to (a memfd, a file in /dev/shm, device-dax), from byte `offset` on: a multiple of 4096.
 * The descriptor stays the caller's, who may close it at once. `size_bytes`: 0: all that is there. BAD_INPUT: not open,
 * or not for writing where `writable`. */
understudy_status understudy_region_open_fd(int fd, int writable, uint64_t size_bytes, uint64_t offset,
                                            understudy_region** region);
/** Writes an empty region into memory that exists already; `size_bytes`: a power of two of at least 1 MiB. */
understudy_status understudy_region_format_fd(int fd, uint64_t size_bytes, uint64_t offset,
                                              const understudy_store_schema* stores, size_t store_count,
                                              understudy_region** region);
/** What the caller knows of the region that it wants. */
typedef struct understudy_wanted {
  uint64_t lowest_term;                  /**< a store last written under a lower one: STALE_TERM; 0 accepts any */
  const understudy_store_schema* stores; /**< another schema than these: OTHER_SCHEMA; NULL accepts any */
  size_t store_count;
} understudy_wanted;
/** As understudy_region_open; `wanted` may be NULL. REFUSED: stale term. */
understudy_status understudy_region_open_wanted(const char* path, int writable, uint64_t size_bytes,
                                                const understudy_wanted* wanted, understudy_region** region);
/** `wanted` may be NULL; a schema in it that cannot be is OTHER_SCHEMA. */
understudy_region_state understudy_region_inspect(const char* path, uint64_t size_bytes,
                                                  const understudy_wanted* wanted);
/** Maps every page now instead of at its first access; understudy_region_create() has done it. Tens of milliseconds a
 *  GiB. */
void understudy_region_prefault(const understudy_region* region);
void understudy_region_close(understudy_region* region);

/* --- reading ---------------------------------------------------------------------------------------------------- */

understudy_status understudy_store_open(const understudy_region* region, const char* name, understudy_store** store);
void understudy_store_close(understudy_store* store);
understudy_status understudy_store_table(const understudy_store* store, const char* name, uint32_t* table);

/** `key` and `value` have exactly the table's sizes, in every function below that does not say another one. */
understudy_status understudy_store_get(const understudy_store* store, uint32_t table, const void* key, void* value);
/** `count` keys and values back to back; found[i] is 1 or 0. */
understudy_status understudy_store_get_many(const understudy_store* store, uint32_t table, size_t count,
                                            const void* keys, void* values, uint8_t* found);
/** Of a blob table. `value` has room for the table's value_bytes; `*value_bytes` is set to the value's length. */
understudy_status understudy_store_get_blob(const understudy_store* store, uint32_t table, const void* key, void* value,
                                            size_t* value_bytes);
/** Returns 0 to end the scan. */
typedef int (*understudy_visit)(void* context, const void* key, const void* value, size_t value_bytes,
                                uint64_t sequence);
/** Every committed record that was written after `after`, in no order. */
understudy_status understudy_store_scan(const understudy_store* store, uint32_t table, uint64_t after,
                                        understudy_visit visit, void* context);
/** Every record as it was at one committed sequence (`*at`, may be NULL), in the order of the keys' bytes, while the
 *  writer goes on. EXPIRED: lapped by the journal again and again. */
understudy_status understudy_store_scan_ordered(const understudy_store* store, uint32_t table, understudy_visit visit,
                                                void* context, uint64_t* at);
uint64_t understudy_store_count(const understudy_store* store, uint32_t table);        /**< 0 also for no such table */
uint64_t understudy_store_capacity(const understudy_store* store, uint32_t table);     /**< 0: no such table */
uint64_t understudy_store_refused_full(const understudy_store* store, uint32_t table); /**< puts refused as full */
uint64_t understudy_store_committed(const understudy_store* store);
uint64_t understudy_store_term(const understudy_store* store);

/* --- writing ---------------------------------------------------------------------------------------------------- */

/** REFUSED: `term` is below the store's, or another writer on this system holds it. */
understudy_status understudy_store_become_writer(const understudy_store* store, uint64_t term,
                                                 understudy_writer** writer);
void understudy_writer_close(understudy_writer* writer);
/** `sequence` may be NULL. Inside a transaction it is not set: the commit has the sequence. */
understudy_status understudy_writer_put(understudy_writer* writer, uint32_t table, const void* key, const void* value,
                                        uint64_t* sequence);
/** `count` keys and values back to back, each a transaction by itself: as `count` puts, several times as fast in a
 *  large table. Ends at the first that is refused; those before it are committed. Not inside a transaction. */
understudy_status understudy_writer_put_many(understudy_writer* writer, uint32_t table, size_t count, const void* keys,
                                             const void* values, uint64_t* sequence);
/** Of a blob table: `value_bytes` from 0 to the table's. */
understudy_status understudy_writer_put_blob(understudy_writer* writer, uint32_t table, const void* key,
                                             const void* value, size_t value_bytes, uint64_t* sequence);
understudy_status understudy_writer_erase(understudy_writer* writer, uint32_t table, const void* key,
                                          uint64_t* sequence);
/** Gives the table its capacity_max while readers go on; takes as long as writing every record anew. */
understudy_status understudy_writer_rebuild(understudy_writer* writer, uint32_t table);
#define UNDERSTUDY_TRANSACTION_MAX 64 /**< changes of one transaction, each key once; 1 MiB or half of the journal */
understudy_status understudy_writer_begin(understudy_writer* writer);
understudy_status understudy_writer_commit(understudy_writer* writer, uint64_t* sequence);
understudy_status understudy_writer_rollback(understudy_writer* writer);

/** May a change be told to the outside yet? */
typedef enum understudy_mirrored {
  UNDERSTUDY_MIRRORED_NOW = 0,     /**< the mirror holds it */
  UNDERSTUDY_MIRRORED_EXPOSED = 1, /**< there is no mirror; whoever answers now should say so */
  UNDERSTUDY_MIRRORED_WAIT = 2
} understudy_mirrored;
/** commit(mirrored): ask again about every millisecond while it says WAIT; the deadline is the caller's. */
understudy_mirrored understudy_store_commit_mirrored(const understudy_store* store, uint64_t sequence);

/* --- the arena: memory of the application's own, replicated at its checkpoints -------------------------------------
 */

/** The table that a store with an arena of `arena_bytes` (whole pages of 4096 bytes) must have, and the journal that
 *  takes any of its checkpoints. */
understudy_table_schema understudy_arena_table(uint64_t arena_bytes);
uint64_t understudy_arena_journal_bytes(uint64_t arena_bytes);

typedef struct understudy_arena understudy_arena;
typedef enum understudy_find_changes {
  UNDERSTUDY_FIND_AUTOMATIC = 0,    /**< userfaultfd where kernel and mapping allow it, else comparison */
  UNDERSTUDY_FIND_BY_COMPARISON = 1 /**< each page with its last checkpoint */
} understudy_find_changes;

/** The area as it was at the last checkpoint. The writer must outlive it. NOT_FOUND: the store has no arena. REFUSED:
 * no longer the writer, or not synced. understudy/shm/arena.hpp says what may lie in the area. */
understudy_status understudy_arena_attach(understudy_writer* writer, understudy_find_changes find,
                                          understudy_arena** arena);
/** Without understudy_arena_detach(): what was written after the last checkpoint is as if it had never been. */
void understudy_arena_close(understudy_arena* arena);
/** Page aligned; NULL and 0 bytes after understudy_arena_detach(). `bytes` may be NULL. */
void* understudy_arena_memory(const understudy_arena* arena, size_t* bytes);
int understudy_arena_is_empty(const understudy_arena* arena); /**< 1: no checkpoint was ever made, all zeros */
/** What lies in the area now becomes the last checkpoint, at once or not at all; no thread writes in it meanwhile.
 *  `sequence`, for understudy_store_commit_mirrored(), may be NULL. FULL: more pages have changed than the journal can
 *  take at once, the message names the size that is needed. */
understudy_status understudy_arena_checkpoint(understudy_arena* arena, uint64_t* sequence);
/** A checkpoint after which the area is not written until it is attached again: for the quiesce of a movement. */
understudy_status understudy_arena_detach(understudy_arena* arena, uint64_t* sequence);
/** How changed pages are found, for the log. Valid as long as the handle. */
const char* understudy_arena_method(const understudy_arena* arena);

/* --- the journal ------------------------------------------------------------------------------------------------ */

typedef struct understudy_change {
  uint64_t sequence;
  uint32_t table;
  int erased;        /**< 1: `value` is NULL */
  const void* key;   /**< of the table's size */
  const void* value; /**< of the table's size, of a blob table of value_bytes */
  size_t value_bytes;
  int ends_transaction;
} understudy_change;
typedef void (*understudy_visit_change)(void* context, const understudy_change* change);

/** Follows the changes after `after`. */
understudy_status understudy_journal_open(const understudy_store* store, uint64_t after, understudy_journal** journal);
void understudy_journal_close(understudy_journal* journal);
/** Calls `visit` for some of the next changes, whole transactions only; `*changes` is their number, 0 when there is
 *  nothing new. EXPIRED: the journal was lapped; scan the tables and follow from the committed sequence. DAMAGED: it
 *  holds what no writer of these tables writes; none of that is visited. */
understudy_status understudy_journal_read(understudy_journal* journal, understudy_visit_change visit, void* context,
                                          size_t* changes);

/* --- an application's part of a failover -------------------------------------------------------------------------- */

typedef enum understudy_duty {
  UNDERSTUDY_STANDING_BY = 0, /**< reads at most: somebody else writes the store */
  UNDERSTUDY_ACTIVE = 1,      /**< the store's writer, serves */
  UNDERSTUDY_QUIESCING = 2,   /**< takes nothing new, finishes what is under way */
  UNDERSTUDY_STOPPING = 3
} understudy_duty;

typedef struct understudy_lifecycle understudy_lifecycle;

/** Called from understudy_lifecycle_dispatch() only; each may be NULL. */
typedef struct understudy_callbacks {
  void* context;
  void (*activate)(void* context, uint64_t term); /**< become the writer under the term, then report it active */
  void (*quiesce)(void* context);                 /**< finish what is under way, then report it quiesced */
  void (*stand_by)(void* context);                /**< close the writer; done when it returns */
  void (*stop)(void* context);                    /**< end soon */
} understudy_callbacks;

/** With an agent (UNDERSTUDY_AGENT is set) its region is used; alone: `path` with the one store `schema`, made when
 *  absent, `size_bytes` as for understudy_region_create. */
understudy_status understudy_lifecycle_open(const char* path, const understudy_store_schema* schema,
                                            uint64_t size_bytes, understudy_lifecycle** lifecycle);
void understudy_lifecycle_close(understudy_lifecycle* lifecycle);
void understudy_lifecycle_set_callbacks(understudy_lifecycle* lifecycle, const understudy_callbacks* callbacks);
int understudy_lifecycle_fd(const understudy_lifecycle* lifecycle); /**< readable when dispatch has something to do */
void understudy_lifecycle_dispatch(understudy_lifecycle* lifecycle);
understudy_duty understudy_lifecycle_duty(const understudy_lifecycle* lifecycle);
uint64_t understudy_lifecycle_term(const understudy_lifecycle* lifecycle);
int understudy_lifecycle_has_agent(const understudy_lifecycle* lifecycle);
/** The store in a fresh mapping; its writer needs `writable`. */
understudy_status understudy_lifecycle_open_store(const understudy_lifecycle* lifecycle, int writable,
                                                  understudy_store** store);
/** Before understudy_lifecycle_ready(): a movement may freeze this application only after its
 *  understudy_lifecycle_quiesced(); one whose deadline passes first is rolled back. */
void understudy_lifecycle_needs_quiescing(understudy_lifecycle* lifecycle);
/* The application's reports. */
void understudy_lifecycle_ready(understudy_lifecycle* lifecycle);
void understudy_lifecycle_active(understudy_lifecycle* lifecycle, uint64_t term);
void understudy_lifecycle_quiesced(understudy_lifecycle* lifecycle);
void understudy_lifecycle_lost_writer(understudy_lifecycle* lifecycle, const char* reason);
void understudy_lifecycle_failed(understudy_lifecycle* lifecycle, const char* reason);
/** It serves on, and knows that another place would serve better (a card, a sensor of this blade out of its bounds).
 *  Said until understudy_lifecycle_fit(). */
void understudy_lifecycle_unfit(understudy_lifecycle* lifecycle, const char* reason);
void understudy_lifecycle_fit(understudy_lifecycle* lifecycle);

#ifdef __cplusplus
}
#endif
#endif
