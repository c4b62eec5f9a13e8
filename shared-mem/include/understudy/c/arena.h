/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The arena: memory of the application's own, replicated at its checkpoints.
 */
#ifndef UNDERSTUDY_C_ARENA_H
#define UNDERSTUDY_C_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "understudy/c/writer.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The table that a store with an arena of `arena_bytes` (whole pages of 4096 bytes) must have, and the journal that
 *  takes any of its checkpoints. */
understudy_table_schema understudy_arena_table(uint64_t arena_bytes);
/** The smallest journal that holds a checkpoint in which every page of such an arena has changed. */
uint64_t understudy_arena_journal_bytes(uint64_t arena_bytes);

typedef struct understudy_arena understudy_arena;
typedef enum understudy_find_changes {
  UNDERSTUDY_FIND_AUTOMATIC = 0, /**< userfaultfd where kernel and mapping allow it, else comparison: what this process
                                      has written through understudy_arena_memory(), this mapping, and nothing else */
  UNDERSTUDY_FIND_BY_COMPARISON = 1 /**< each page with its last checkpoint, whoever wrote it */
} understudy_find_changes;

/** The area as it was at the last checkpoint. The writer must outlive it. NOT_FOUND: the store has no arena. REFUSED:
 *  no longer the writer, not synced, or attached by this writer already. DAMAGED: its pages are of several checkpoints,
 *  since somebody has forced an unfinished copy to serve. What another process writes in the area, or this one through
 *  another mapping, is not seen unless UNDERSTUDY_FIND_BY_COMPARISON finds it. What lies in the area is as trusted as
 *  who wrote it, after a movement a guest: nobody has checked its offsets and sizes. understudy/shm/arena.hpp says what
 *  may lie in it. */
understudy_status understudy_arena_attach(understudy_writer* writer, understudy_find_changes find,
                                          understudy_arena** arena);
/** The same, and pages of several checkpoints are no reason to refuse: for who begins an empty arena in it, or looks
 *  with care what can be saved. The next checkpoint makes it one whole again. */
understudy_status understudy_arena_attach_mixed(understudy_writer* writer, understudy_find_changes find,
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

#ifdef __cplusplus
}
#endif
#endif
