/* SPDX-License-Identifier: Apache-2.0 */
/**
 * How a function of the C API fails.
 */
#ifndef UNDERSTUDY_C_STATUS_H
#define UNDERSTUDY_C_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum understudy_status {
  UNDERSTUDY_OK = 0,
  UNDERSTUDY_FAILED = 1,    /**< nobody reacts to more than the message */
  UNDERSTUDY_BAD_INPUT = 2, /**< an argument is wrong; nothing was changed */
  UNDERSTUDY_NOT_FOUND = 3, /**< no such record, store, table or region */
  UNDERSTUDY_REFUSED = 4,   /**< stale term, a second writer, no longer the writer */
  UNDERSTUDY_FULL = 5,      /**< the table's capacity is used up; nothing was changed */
  UNDERSTUDY_EXPIRED = 6,   /**< a deadline has passed */
  UNDERSTUDY_DAMAGED = 7    /**< bytes that cannot be what they claim to be */
} understudy_status;

/** One sentence about this thread's last failed call; "" before the first one. Valid until the next failed one. */
const char* understudy_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
