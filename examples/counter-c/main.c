/* SPDX-License-Identifier: Apache-2.0 */
/* The counter in C: goes on where it was, also after kill -9, and on another blade when an agent runs it. With the C++
 * one it shares its file: run ./counter, then ./counter-c. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "understudy/understudy.h"

struct counter {
  understudy_lifecycle* lifecycle;
  understudy_store* store;
  understudy_writer* writer; /* while this process is the active one */
  int stop;
};

static void stand_by(void* context) {
  struct counter* counter = context;
  understudy_writer_close(counter->writer);
  understudy_store_close(counter->store);
  counter->writer = NULL;
  counter->store = NULL;
}

static void activate(void* context, uint64_t term) {
  struct counter* counter = context;
  stand_by(counter); /* one writer at a time, also when it was us */
  if (understudy_lifecycle_open_store(counter->lifecycle, 1, &counter->store) != UNDERSTUDY_OK ||
      understudy_store_become_writer(counter->store, term, &counter->writer) != UNDERSTUDY_OK) {
    understudy_lifecycle_failed(counter->lifecycle, understudy_last_error());
    return;
  }
  understudy_lifecycle_active(counter->lifecycle, term);
}

static void stop(void* context) { ((struct counter*)context)->stop = 1; }

static void count_up(struct counter* counter) {
  const uint64_t key = 1;
  uint64_t count = 0; /* stays 0 when there is no record yet */
  (void)understudy_store_get(counter->store, 0, &key, &count);
  ++count;
  if (understudy_writer_put(counter->writer, 0, &key, &count, NULL) == UNDERSTUDY_OK) {
    printf("%" PRIu64 "\n", count);
    fflush(stdout);
  } else {
    stand_by(counter);
    understudy_lifecycle_lost_writer(counter->lifecycle, understudy_last_error());
  }
}

int main(void) {
  const understudy_table_schema table = {.name = "counters", .key_bytes = 8, .value_bytes = 8, .capacity = 16};
  const understudy_store_schema schema = {
      .name = "counter", .tables = &table, .table_count = 1, .journal_bytes = 64 * 1024};
  struct counter counter = {NULL, NULL, NULL, 0};
  const understudy_callbacks callbacks = {&counter, activate, NULL, stand_by, stop};
  int status = 0;

  if (understudy_lifecycle_open("/dev/shm/understudy-counter", &schema, 0, &counter.lifecycle) != UNDERSTUDY_OK) {
    fprintf(stderr, "%s\n", understudy_last_error());
    return 2;
  }
  understudy_lifecycle_set_callbacks(counter.lifecycle, &callbacks);
  understudy_lifecycle_ready(counter.lifecycle);

  while (!counter.stop && status == 0) {
    struct pollfd agent = {understudy_lifecycle_fd(counter.lifecycle), POLLIN, 0};
    if (poll(&agent, 1, 1000) > 0) understudy_lifecycle_dispatch(counter.lifecycle);
    if (counter.writer != NULL && understudy_lifecycle_duty(counter.lifecycle) == UNDERSTUDY_ACTIVE) {
      count_up(&counter);
    } else if (!understudy_lifecycle_has_agent(counter.lifecycle)) {
      status = 1; /* alone and not active: another one runs */
    }
  }
  stand_by(&counter);
  understudy_lifecycle_close(counter.lifecycle);
  return status;
}
