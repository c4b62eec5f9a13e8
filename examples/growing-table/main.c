/* SPDX-License-Identifier: Apache-2.0 */
/* The growing table in C: growing-table-c FILE ORDERS */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "understudy/understudy.h"

struct order {
  uint64_t customer;
  uint64_t cents;
};

/* [grow] */
static understudy_status put_order(understudy_store* store, understudy_writer* writer, uint64_t id,
                                   const struct order* order) {
  understudy_status put = understudy_writer_put(writer, 0, &id, order, NULL);
  if (put != UNDERSTUDY_FULL) return put;
  const uint64_t room = understudy_store_capacity(store, 0);
  const understudy_status grown = understudy_writer_rebuild(writer, 0);
  if (grown != UNDERSTUDY_OK) return grown; /* nothing reserved, or another writer */
  /* The same room as before: it has grown before, and now it is full indeed. */
  return understudy_store_capacity(store, 0) == room ? put : understudy_writer_put(writer, 0, &id, order, NULL);
}
/* [grow] */

static int failed(void) {
  fprintf(stderr, "%s\n", understudy_last_error());
  return 1;
}

int main(int argc, char** argv) {
  const understudy_table_schema table = {.name = "orders",
                                         .key_bytes = sizeof(uint64_t),
                                         .value_bytes = sizeof(struct order),
                                         .capacity = 1000,
                                         .capacity_max = 100000};
  const understudy_store_schema schema = {
      .name = "shop", .tables = &table, .table_count = 1, .journal_bytes = 256 * 1024};
  understudy_region* region = NULL;
  understudy_store* store = NULL;
  understudy_writer* writer = NULL;
  int status = 0;

  if (argc != 3) {
    fprintf(stderr, "usage: growing-table-c FILE ORDERS\n");
    return 2;
  }
  if (understudy_region_create(argv[1], 0, &schema, 1, &region) != UNDERSTUDY_OK ||
      understudy_store_open(region, "shop", &store) != UNDERSTUDY_OK ||
      understudy_store_become_writer(store, 1, &writer) != UNDERSTUDY_OK) {
    status = failed();
  }
  const uint64_t wanted = strtoull(argv[2], NULL, 10);
  for (uint64_t i = 0; i < wanted && status == 0; ++i) {
    const struct order order = {i % 7, 100 * i};
    if (put_order(store, writer, i, &order) != UNDERSTUDY_OK) status = failed();
  }
  if (status == 0) {
    printf("%" PRIu64 " orders, room for %" PRIu64 "\n", understudy_store_count(store, 0),
           understudy_store_capacity(store, 0));
  }
  understudy_writer_close(writer);
  understudy_store_close(store);
  understudy_region_close(region);
  return status;
}
