/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The journal: every committed change, in commit order.
 */
#ifndef UNDERSTUDY_C_JOURNAL_H
#define UNDERSTUDY_C_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "understudy/c/store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct understudy_journal understudy_journal;

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

/** Follows the changes after `after`: 0 from the first, understudy_store_committed() from now on. */
understudy_status understudy_journal_open(const understudy_store* store, uint64_t after, understudy_journal** journal);
void understudy_journal_close(understudy_journal* journal); /**< the store's handle stays as it is */
/** Calls `visit` for some of the next changes, whole transactions only; `*changes` is their number, 0 when there is
 *  nothing new. EXPIRED: the journal was lapped, and what was lost of it no journal has any more; whoever keeps a copy
 *  begins it anew, as at the very first:
 *    1. from = understudy_store_committed(store), before anything else;
 *    2. understudy_store_scan(store, table, 0, ...) of every table: keep what is shown;
 *    3. drop from the copy what no scan has shown: a deletion is shown by nothing else;
 *    4. understudy_journal_open(store, from, ...), and follow: a put is put, an erased key is dropped if it is there.
 *  With `from` taken after the scan, changes in between would be lost. The scan may show changes behind `from`, and 4
 *  brings them again: until it has come to the committed sequence of after the scan, the copy may be ahead in some
 *  records. DAMAGED: it holds what no writer of these tables writes; none of what this call read is visited, and every
 *  further one says so too. */
understudy_status understudy_journal_read(understudy_journal* journal, understudy_visit_change visit, void* context,
                                          size_t* changes);
/** The sequence of the last change that was visited; where to go on with another handle. */
uint64_t understudy_journal_position(const understudy_journal* journal);

#ifdef __cplusplus
}
#endif
#endif
