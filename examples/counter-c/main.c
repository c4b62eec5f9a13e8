/* SPDX-License-Identifier: Apache-2.0 */
/* The counter in C: goes on where it was, also after kill -9, and on another blade when an agent runs it. With the C++
 * one it shares its file: run ./counter, then ./counter-c. As a role's: ./counter-c --describe-store prints the lines
 * for group.toml. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "understudy/understudy.h"

static const understudy_table_schema table = {.name = "counters", .key_bytes = 8, .value_bytes = 8, .capacity = 16};
static const understudy_store_schema schema = {
    .name = "counter", .tables = &table, .table_count = 1, .journal_bytes = 64 * 1024};
#define MIRROR_DEADLINE_NS 500000000U /* meanwhile no order of the agent is heard */

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
    fprintf(stderr, "not active: %s\n", understudy_last_error()); /* alone nobody else tells it */
    understudy_lifecycle_failed(counter->lifecycle, understudy_last_error());
    return;
  }
  understudy_lifecycle_active(counter->lifecycle, term);
}

static void stop(void* context) { ((struct counter*)context)->stop = 1; }

/* One further. Only NOT_FOUND means that nothing was counted yet: whoever takes another status for 0 begins at 1 again
 * and writes it over what was there. */
static understudy_status count_up(const struct counter* counter, uint64_t* count, uint64_t* sequence) {
  const uint64_t key = 1;
  const understudy_status got = understudy_store_get(counter->store, 0, &key, count);
  if (got != UNDERSTUDY_OK && got != UNDERSTUDY_NOT_FOUND) return got;
  *count = got == UNDERSTUDY_OK ? *count + 1 : 1; /* of NOT_FOUND `count` may hold anything */
  return understudy_writer_put(counter->writer, 0, &key, count, sequence);
}

/* A count is told when a mirror holds it too, so that no takeover makes it untold; or there is none, and it says so. */
static void tell(const struct counter* counter, uint64_t sequence, uint64_t count) {
  const understudy_mirrored held = understudy_store_commit_mirrored_wait(counter->store, sequence, MIRROR_DEADLINE_NS);
  if (held == UNDERSTUDY_MIRRORED_EXPIRED) {
    fprintf(stderr, "not told: %s\n", understudy_last_error());
    return;
  }
  printf("%" PRIu64 "%s\n", count,
         held == UNDERSTUDY_MIRRORED_EXPOSED && understudy_lifecycle_has_agent(counter->lifecycle) ? " EXPOSED" : "");
  fflush(stdout);
}

static void count_and_tell(struct counter* counter) {
  uint64_t count = 0;
  uint64_t sequence = 0;
  if (count_up(counter, &count, &sequence) == UNDERSTUDY_OK) {
    tell(counter, sequence, count);
    return;
  }
  fprintf(stderr, "stands by: %s\n", understudy_last_error());
  stand_by(counter);
  understudy_lifecycle_lost_writer(counter->lifecycle, understudy_last_error());
}

/* What to write into group.toml below the [[role]] that this is the application of. */
static int describe_store(void) {
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length < 0) return 2;
  program[length] = '\0';
  printf("[role.application]\nname = \"counter\"\ncommand = [\"%s\"]\nstore = \"%s\"\njournal_kib = %" PRIu64 "\n",
         program, schema.name, schema.journal_bytes >> 10);
  printf("[[role.application.table]]\nname = \"%s\"\nkey_bytes = %" PRIu32 "\nvalue_bytes = %" PRIu32
         "\ncapacity = %" PRIu64 "\n",
         table.name, table.key_bytes, table.value_bytes, table.capacity);
  return 0;
}

int main(int argc, char** argv) {
  struct counter counter = {NULL, NULL, NULL, 0};
  const understudy_callbacks callbacks = {&counter, activate, NULL, stand_by, stop};
  int status = 0;

  if (argc == 2 && strcmp(argv[1], "--describe-store") == 0) return describe_store();
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
      count_and_tell(&counter);
    } else if (!understudy_lifecycle_has_agent(counter.lifecycle)) {
      status = 1; /* alone and not active: it has said why */
    }
  }
  stand_by(&counter);
  understudy_lifecycle_close(counter.lifecycle);
  return status;
}
