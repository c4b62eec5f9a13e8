/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Regions: made, found, looked at.
 */
#ifndef UNDERSTUDY_C_REGION_H
#define UNDERSTUDY_C_REGION_H

#include <stddef.h>
#include <stdint.h>

#include "understudy/c/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum understudy_table_kind {
  UNDERSTUDY_TABLE_HASHED = 0, /**< any key, values of one size */
  UNDERSTUDY_TABLE_BLOB = 1,   /**< any key, values of 0 to value_bytes bytes */
  UNDERSTUDY_TABLE_DENSE = 2   /**< the key is a uint64_t below capacity */
} understudy_table_kind;

typedef struct understudy_table_schema {
  const char* name;           /**< 1-31 bytes */
  uint32_t key_bytes;         /**< 1-256; of a dense table 8 */
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

/** What opening found. Only GOOD opens. */
typedef enum understudy_region_state {
  UNDERSTUDY_REGION_ABSENT = 0,               /**< there is no such file: whoever wants one may make it (create_new) */
  UNDERSTUDY_REGION_FOREIGN = 1,              /**< something else, or memory that may hold no region */
  UNDERSTUDY_REGION_OTHER_LAYOUT_VERSION = 2, /**< of a version of this library with another layout */
  UNDERSTUDY_REGION_OTHER_SCHEMA = 3,         /**< not the stores and tables that are wanted */
  UNDERSTUDY_REGION_DAMAGED = 4,              /**< a region once, by its first bytes; the rest does not fit */
  UNDERSTUDY_REGION_GOOD = 5,
  UNDERSTUDY_REGION_STALE_TERM = 6, /**< last written under a term below the wanted one */
  UNDERSTUDY_REGION_UNREADABLE = 7  /**< it could not be looked at (no permission, no descriptor left): may be any */
} understudy_region_state;

/** "of another schema". Valid for ever. */
const char* understudy_region_state_name(understudy_region_state state);

typedef struct understudy_region understudy_region;

/** What the caller knows of the region that it wants. */
typedef struct understudy_wanted {
  uint64_t lowest_term;                  /**< a store last written under a lower one: STALE_TERM; 0 accepts any */
  const understudy_store_schema* stores; /**< another schema than these: OTHER_SCHEMA; NULL accepts any */
  size_t store_count;
} understudy_wanted;

/** Where a region lies: in a file (in /dev/shm, an ivshmem BAR, device-dax, a file on fs-dax), or in what a descriptor
 *  refers to, which stays the caller's, who may close it at once. */
typedef struct understudy_memory {
  const char* path;    /**< NULL: `fd` */
  int fd;              /**< looked at only when `path` is NULL */
  uint64_t size_bytes; /**< 0: all that is there; an ivshmem BAR needs it */
  uint64_t offset;     /**< the region's first byte: a multiple of 4096 */
} understudy_memory;

/** The smallest power of two that holds `stores`. BAD_INPUT: a schema that cannot be. */
understudy_status understudy_region_size_needed(const understudy_store_schema* stores, size_t store_count,
                                                uint64_t* size_bytes);
/** `size_bytes`: a power of two of at least 1 MiB; 0: the smallest that holds the stores. Replaces an existing file.
 *  BAD_INPUT: size or schema do not fit. FULL: the file system has no room. */
understudy_status understudy_region_create(const char* path, uint64_t size_bytes, const understudy_store_schema* stores,
                                           size_t store_count, understudy_region** region);
/** The same with the region at byte `offset` of the file, a multiple of 4096. */
understudy_status understudy_region_create_at(const char* path, uint64_t size_bytes, uint64_t offset,
                                              const understudy_store_schema* stores, size_t store_count,
                                              understudy_region** region);
/** The same, but what has the name stays as it is: REFUSED. For whoever makes a region because it is absent: of several
 *  that do so at once one succeeds, and the others open what it made. */
understudy_status understudy_region_create_new(const char* path, uint64_t size_bytes, uint64_t offset,
                                               const understudy_store_schema* stores, size_t store_count,
                                               understudy_region** region);
/** `writable`: 0 maps it read-only. `size_bytes`: 0: as the file says; an ivshmem BAR needs it. NOT_FOUND: absent.
 *  REFUSED: stale term, or memory that may hold no region. DAMAGED: another state that is not good. FAILED, BAD_INPUT:
 *  unreadable. The same for every function that opens. */
understudy_status understudy_region_open(const char* path, int writable, uint64_t size_bytes,
                                         understudy_region** region);
/** What a descriptor refers to (a memfd, a file in /dev/shm, device-dax), from byte `offset` on: a multiple of 4096.
 *  The descriptor stays the caller's, who may close it at once. `size_bytes`: 0: all that is there. BAD_INPUT: not
 * open, or not for writing where `writable`. */
understudy_status understudy_region_open_fd(int fd, int writable, uint64_t size_bytes, uint64_t offset,
                                            understudy_region** region);
/** As understudy_region_open; `wanted` may be NULL. */
understudy_status understudy_region_open_wanted(const char* path, int writable, uint64_t size_bytes,
                                                const understudy_wanted* wanted, understudy_region** region);
/** Any memory, by path or descriptor, at an offset. `wanted` may be NULL. `*found`, which may be NULL, is set to what
 * it was, whatever is returned. */
understudy_status understudy_region_open_memory(const understudy_memory* memory, int writable,
                                                const understudy_wanted* wanted, understudy_region_state* found,
                                                understudy_region** region);
/** Writes an empty region into memory that exists already, whatever it held; nobody else may use it meanwhile.
 *  `size_bytes`: a power of two of at least 1 MiB. */
understudy_status understudy_region_format_fd(int fd, uint64_t size_bytes, uint64_t offset,
                                              const understudy_store_schema* stores, size_t store_count,
                                              understudy_region** region);
/** The same of any memory; its size_bytes must be told. */
understudy_status understudy_region_format_memory(const understudy_memory* memory,
                                                  const understudy_store_schema* stores, size_t store_count,
                                                  understudy_region** region);
/** What opening would find. Changes nothing. `wanted` may be NULL; a schema in it that cannot be is OTHER_SCHEMA. */
understudy_region_state understudy_region_inspect(const char* path, uint64_t size_bytes,
                                                  const understudy_wanted* wanted);
/** The same of any memory. */
understudy_region_state understudy_region_inspect_memory(const understudy_memory* memory,
                                                         const understudy_wanted* wanted);
/** Its stores as they are described in the region, `*store_count` of them. Valid as long as the handle. */
const understudy_store_schema* understudy_region_schema(const understudy_region* region, size_t* store_count);
/** As it was opened; "descriptor 7" when by one. Valid as long as the handle. */
const char* understudy_region_path(const understudy_region* region);
/** Maps every page now instead of at its first access; understudy_region_create() has done it. Tens of milliseconds a
 *  GiB. */
void understudy_region_prefault(const understudy_region* region);
/** The memory stays mapped for the stores that were opened from it. */
void understudy_region_close(understudy_region* region);

#ifdef __cplusplus
}
#endif
#endif
