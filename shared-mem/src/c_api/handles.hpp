// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the handles of the C API are, and how a Result becomes a status. A text that is NULL is refused before it
/// becomes a std::string (text_of). The only exception that can arise then is that memory is used up; nothing in a C
/// program catches it, so it ends the process.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "understudy/app/lifecycle.hpp"
#include "understudy/common/result.hpp"
#include "understudy/shm/arena.hpp"
#include "understudy/shm/region.hpp"
#include "understudy/understudy.h"

namespace understudy::c_api {

/// Schemas as C sees them. Keeps what its pointers lead to, and its place.
class DescribedStores {
 public:
  explicit DescribedStores(std::vector<shm::StoreSchema> stores);
  DescribedStores(const DescribedStores&) = delete;
  DescribedStores& operator=(const DescribedStores&) = delete;
  [[nodiscard]] const std::vector<understudy_store_schema>& all() const { return described_; }

 private:
  std::vector<shm::StoreSchema> stores_;
  std::vector<std::vector<understudy_table_schema>> tables_;
  std::vector<understudy_store_schema> described_;
};

}  // namespace understudy::c_api

struct understudy_region {
  understudy::shm::Region region;
  mutable std::unique_ptr<understudy::c_api::DescribedStores> described{};  ///< once it was asked for
};
struct understudy_store {
  understudy::shm::Store store;
  mutable std::unique_ptr<understudy::c_api::DescribedStores> described{};
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
  std::uint64_t position = 0;                 ///< the last change that was visited
  std::optional<understudy::Error> damage{};  ///< what it stopped at, for ever
};
struct understudy_lifecycle {
  understudy::app::Lifecycle lifecycle;
};

namespace understudy::c_api {

/// Remembers the text for understudy_last_error() of this thread.
understudy_status told(const Error& error);
inline understudy_status told(const Status& status) { return status ? UNDERSTUDY_OK : told(status.error()); }
/// `sequence` may be NULL.
understudy_status told_with(const Result<Sequence>& result, std::uint64_t* sequence);

/// What a caller has passed as `what`. BadInput: NULL.
Result<std::string> text_of(const char* passed, const char* what);

/// A new handle of what `result` holds; NULL and the status of its error otherwise.
template <class Handle, class Value>
understudy_status handed_out(Result<Value> result, Handle** handle) {
  *handle = nullptr;
  if (!result) { return told(result.error()); }
  *handle = new Handle{std::move(result).value()};
  return UNDERSTUDY_OK;
}

/// The table's description; nothing when there is no such table.
const shm::TableSchema* table_of(const shm::Store& store, std::uint32_t table);
Error no_table(const shm::Store& store, std::uint32_t table);

Result<shm::StoreSchema> schema_of(const understudy_store_schema* described);
Result<shm::RegionSchema> schema_of(const understudy_store_schema* stores, std::size_t count);

inline shm::Bytes bytes(const void* at, std::size_t size) { return {static_cast<const std::byte*>(at), size}; }
inline std::span<std::byte> bytes(void* at, std::size_t size) { return {static_cast<std::byte*>(at), size}; }

inline shm::Access access_of(int writable) { return writable != 0 ? shm::Access::ReadWrite : shm::Access::ReadOnly; }
inline std::optional<std::uint64_t> size_of(std::uint64_t size_bytes) {
  return size_bytes == 0 ? std::nullopt : std::optional(size_bytes);
}

}  // namespace understudy::c_api
