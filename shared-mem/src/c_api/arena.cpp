// SPDX-License-Identifier: Apache-2.0
// The C API of arenas: each function is its C++ twin with other argument types.
#include "handles.hpp"

namespace us = understudy;
namespace shm = understudy::shm;

using us::c_api::told_with;

understudy_table_schema understudy_arena_table(uint64_t arena_bytes) {
  const uint64_t pages = arena_bytes / shm::arena_page_bytes;
  return {shm::arena_table_name, sizeof(uint64_t), shm::arena_page_bytes, pages, UNDERSTUDY_TABLE_DENSE, 0};
}

uint64_t understudy_arena_journal_bytes(uint64_t arena_bytes) { return shm::arena_journal_bytes(arena_bytes); }

namespace {

understudy_status attached(understudy_writer* writer, understudy_find_changes find, shm::MixedPages mixed,
                           understudy_arena** arena) {
  const auto how = find == UNDERSTUDY_FIND_BY_COMPARISON ? shm::FindChanges::ByComparison : shm::FindChanges::Automatic;
  const auto status = us::c_api::handed_out(shm::Arena::attach(writer->writer, how, mixed), arena);
  if (status == UNDERSTUDY_OK) { (*arena)->method = (*arena)->arena.method(); }
  return status;
}

}  // namespace

understudy_status understudy_arena_attach(understudy_writer* writer, understudy_find_changes find,
                                          understudy_arena** arena) {
  return attached(writer, find, shm::MixedPages::Refused, arena);
}

understudy_status understudy_arena_attach_mixed(understudy_writer* writer, understudy_find_changes find,
                                                understudy_arena** arena) {
  return attached(writer, find, shm::MixedPages::Accepted, arena);
}

void understudy_arena_close(understudy_arena* arena) { delete arena; }

void* understudy_arena_memory(const understudy_arena* arena, size_t* bytes) {
  const auto memory = arena->arena.memory();
  if (bytes != nullptr) { *bytes = memory.size(); }
  return memory.data();
}

int understudy_arena_is_empty(const understudy_arena* arena) { return arena->arena.empty() ? 1 : 0; }

understudy_status understudy_arena_checkpoint(understudy_arena* arena, uint64_t* sequence) {
  return told_with(arena->arena.checkpoint(), sequence);
}

understudy_status understudy_arena_detach(understudy_arena* arena, uint64_t* sequence) {
  return told_with(arena->arena.detach(), sequence);
}

const char* understudy_arena_method(const understudy_arena* arena) { return arena->method.c_str(); }
