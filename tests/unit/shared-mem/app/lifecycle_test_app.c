/* SPDX-License-Identifier: Apache-2.0 */
/* A C application for the supervisor's tests: does what it is told, or, by its argument, something of it not.
 *   never-quiesces  loses-writer  needs-quiescing */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "understudy/understudy.h"

struct application {
  understudy_lifecycle* lifecycle;
  understudy_store* store;
  understudy_writer* writer;
  const char* told;
  int stop;
};

static int told(const struct application* application, const char* word) {
  return strcmp(application->told, word) == 0;
}

static void close_store(void* context) {
  struct application* application = context;
  understudy_writer_close(application->writer);
  understudy_store_close(application->store);
  application->writer = NULL;
  application->store = NULL;
}

static void activate(void* context, uint64_t term) {
  struct application* application = context;
  close_store(application);
  if (!understudy_lifecycle_connected(application->lifecycle)) {
    understudy_lifecycle_failed(application->lifecycle, "nobody is there to have ordered this");
    return;
  }
  if (understudy_lifecycle_open_store(application->lifecycle, 1, &application->store) != UNDERSTUDY_OK ||
      understudy_store_become_writer(application->store, term, &application->writer) != UNDERSTUDY_OK) {
    understudy_lifecycle_failed(application->lifecycle, understudy_last_error());
    return;
  }
  understudy_lifecycle_active(application->lifecycle, term);
  if (told(application, "loses-writer")) {
    close_store(application);
    understudy_lifecycle_lost_writer(application->lifecycle, "a newer writer");
  }
}

static void quiesce(void* context) {
  struct application* application = context;
  close_store(application);
  if (!told(application, "never-quiesces")) understudy_lifecycle_quiesced(application->lifecycle);
}

static void stop(void* context) { ((struct application*)context)->stop = 1; }

int main(int argc, char** argv) {
  struct application application = {NULL, NULL, NULL, argc > 1 ? argv[1] : "", 0};
  const understudy_callbacks callbacks = {&application, activate, quiesce, close_store, stop};
  const understudy_store_schema schema = {"things", NULL, 0, 0, 0}; /* an agent's region has its own */
  if (understudy_lifecycle_open("", &schema, 0, &application.lifecycle) != UNDERSTUDY_OK) {
    fprintf(stderr, "%s\n", understudy_last_error());
    return 2;
  }
  understudy_lifecycle_set_callbacks(application.lifecycle, &callbacks);
  if (told(&application, "needs-quiescing")) understudy_lifecycle_needs_quiescing(application.lifecycle);
  understudy_lifecycle_ready(application.lifecycle);
  while (!application.stop) {
    struct pollfd agent = {understudy_lifecycle_fd(application.lifecycle), POLLIN, 0};
    (void)poll(&agent, 1, -1);
    understudy_lifecycle_dispatch(application.lifecycle);
  }
  close_store(&application);
  understudy_lifecycle_close(application.lifecycle);
  return 0;
}
