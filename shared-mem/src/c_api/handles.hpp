// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the handles of the C API are, and how a Result becomes a status. The only exception that can arise is that
/// memory is used up; nothing in a C program catches it, so it ends the process.

#include <string>

#include "understudy/common/result.hpp"
#include "understudy/shm/arena.hpp"
#include "understudy/shm/region.hpp"
#include "understudy/understudy.h"

struct understudy_region {
  understudy::shm::Region region;
};
struct understudy_store {
  understudy::shm::Store store;
};
struct understudy_writer {
  understudy::shm::StoreWriter writer;
};
struct understudy_arena {
  understudy::shm::Arena arena;
  std::string method{};
};
struct understudy_journal {
  understudy::shm::Store store;
  understudy::shm::JournalReader reader;
};

namespace understudy::c_api {

/// Remembers the text for understudy_last_error() of this thread.
understudy_status told(const Error& error);
inline understudy_status told(const Status& status) { return status ? UNDERSTUDY_OK : told(status.error()); }

/// A new handle of what `result` holds; NULL and the status of its error otherwise.
template <class Handle, class Value>
understudy_status handed_out(Result<Value> result, Handle** handle) {
  *handle = nullptr;
  if (!result) { return told(result.error()); }
  *handle = new Handle{std::move(result).value()};
  return UNDERSTUDY_OK;
}

Result<shm::StoreSchema> schema_of(const understudy_store_schema* described);
Result<shm::RegionSchema> schema_of(const understudy_store_schema* stores, std::size_t count);

inline shm::Access access_of(int writable) { return writable != 0 ? shm::Access::ReadWrite : shm::Access::ReadOnly; }

}  // namespace understudy::c_api
