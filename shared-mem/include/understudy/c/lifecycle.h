/* SPDX-License-Identifier: Apache-2.0 */
/**
 * An application's part of a failover. understudy/app/lifecycle.hpp has the picture of its duties.
 */
#ifndef UNDERSTUDY_C_LIFECYCLE_H
#define UNDERSTUDY_C_LIFECYCLE_H

#include <stdint.h>

#include "understudy/c/store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum understudy_duty {
  UNDERSTUDY_STANDING_BY = 0, /**< reads at most: somebody else writes the store */
  UNDERSTUDY_ACTIVE = 1,      /**< the store's writer, serves */
  UNDERSTUDY_QUIESCING = 2,   /**< takes nothing new, finishes what is under way */
  UNDERSTUDY_STOPPING = 3     /**< ends */
} understudy_duty;

/** For the log. Valid for ever. */
const char* understudy_duty_name(understudy_duty duty);

typedef struct understudy_lifecycle understudy_lifecycle;

/** Called from understudy_lifecycle_dispatch() only; each may be NULL: quiesce and stand_by count as done at once then.
 */
typedef struct understudy_callbacks {
  void* context;
  void (*activate)(void* context, uint64_t term); /**< become the writer under the term, then report it active */
  void (*quiesce)(void* context);                 /**< finish what is under way, then report it quiesced */
  void (*stand_by)(void* context);                /**< close the writer; done when it returns */
  void (*stop)(void* context);                    /**< end soon */
} understudy_callbacks;

/** With an agent (UNDERSTUDY_AGENT is set) its region is used; alone: `path` with the one store `schema`, made when
 *  absent, `size_bytes` as for understudy_region_create. `schema` is what the program is built for, and
 *  understudy_lifecycle_open_store() holds the agent's region to it. An agent that is not there (yet) is no error: the
 *  application stands by and tries again. BAD_INPUT: a variable is missing or not what it should be; or `path` is NULL
 *  where it is used, that is, neither UNDERSTUDY_AGENT nor UNDERSTUDY_REGION is set. */
understudy_status understudy_lifecycle_open(const char* path, const understudy_store_schema* schema,
                                            uint64_t size_bytes, understudy_lifecycle** lifecycle);
/** Leaves the agent; stores that were opened from it stay open. */
void understudy_lifecycle_close(understudy_lifecycle* lifecycle);
/** `callbacks` are copied. Alone, the first dispatch with a callback to activate calls it. */
void understudy_lifecycle_set_callbacks(understudy_lifecycle* lifecycle, const understudy_callbacks* callbacks);
/** A descriptor that is readable when dispatch has something to do; the same for ever. */
int understudy_lifecycle_fd(const understudy_lifecycle* lifecycle);
/** Hears the agent and calls the callbacks. Bounded work; never blocks. */
void understudy_lifecycle_dispatch(understudy_lifecycle* lifecycle);
/** What the application is to do now. */
understudy_duty understudy_lifecycle_duty(const understudy_lifecycle* lifecycle);
/** The last term this application was active under; 0: none. */
uint64_t understudy_lifecycle_term(const understudy_lifecycle* lifecycle);
int understudy_lifecycle_has_agent(const understudy_lifecycle* lifecycle); /**< 0: alone */
int understudy_lifecycle_connected(const understudy_lifecycle* lifecycle); /**< 1: to the agent, at this moment */
/** The region's file, and the store in it. Valid as long as the handle. */
const char* understudy_lifecycle_region_path(const understudy_lifecycle* lifecycle);
/** The name of the store that is this application's. Valid as long as the handle. */
const char* understudy_lifecycle_store_name(const understudy_lifecycle* lifecycle);
/** The store in a fresh mapping; its writer needs `writable`. Fails as understudy_region_open. DAMAGED also: of another
 *  schema than the one given to understudy_lifecycle_open(), by number, names, kinds and sizes of keys and values of
 *  its tables; capacities, the journal's and the arena's size are the group's to choose. So every get and put of a
 *  store that was opened here has the sizes that the program is built for, whatever group.toml says and a guest has
 *  written. Without tables in that schema nothing is compared, and every size is the region's word:
 *  understudy_store_table_sized(). */
understudy_status understudy_lifecycle_open_store(const understudy_lifecycle* lifecycle, int writable,
                                                  understudy_store** store);
/** Before understudy_lifecycle_ready(): a movement may freeze this application only after its
 *  understudy_lifecycle_quiesced(); one whose deadline passes first is rolled back. */
void understudy_lifecycle_needs_quiescing(understudy_lifecycle* lifecycle);

/* The application's reports. Each is sent now, or with the next connection to the agent. Alone nobody hears them, and
 * nobody raises an alarm when a table is full (understudy_store_refused_full()): the application tells it itself. */

/** Standing by and able to become active. */
void understudy_lifecycle_ready(understudy_lifecycle* lifecycle);
/** Serves under `term`. */
void understudy_lifecycle_active(understudy_lifecycle* lifecycle, uint64_t term);
/** Nothing is under way any more. Heard only while quiescing. */
void understudy_lifecycle_quiesced(understudy_lifecycle* lifecycle);
/** A put was REFUSED: stands by again. `reason`, here and below: one sentence for a person. */
void understudy_lifecycle_lost_writer(understudy_lifecycle* lifecycle, const char* reason);
/** Could not do the last order; stays as it is. */
void understudy_lifecycle_failed(understudy_lifecycle* lifecycle, const char* reason);
/** It serves on, and knows that another place would serve better (a card, a sensor of this blade out of its bounds).
 *  Said until understudy_lifecycle_fit(). */
void understudy_lifecycle_unfit(understudy_lifecycle* lifecycle, const char* reason);
/** What understudy_lifecycle_unfit() said holds no longer. */
void understudy_lifecycle_fit(understudy_lifecycle* lifecycle);

#ifdef __cplusplus
}
#endif
#endif
