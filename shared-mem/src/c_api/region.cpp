// SPDX-License-Identifier: Apache-2.0
// The C API of regions: each function is its C++ twin with other argument types.
#include "handles.hpp"

namespace us = understudy;
namespace shm = understudy::shm;
using us::c_api::access_of;
using us::c_api::handed_out;
using us::c_api::size_of;
using us::c_api::told;

namespace {

us::Result<shm::Wanted> wanted_of(const understudy_wanted* wanted) {
  shm::Wanted known;
  if (wanted == nullptr) { return known; }
  known.lowest_term = us::Term{wanted->lowest_term};
  if (wanted->stores != nullptr) {
    auto schema = us::c_api::schema_of(wanted->stores, wanted->store_count);
    if (!schema) { return schema.error(); }
    known.schema = std::move(schema).value();
  }
  return known;
}

understudy_region_state state_of(shm::RegionState state) {
  switch (state) {
    case shm::RegionState::Absent:
      return UNDERSTUDY_REGION_ABSENT;
    case shm::RegionState::Foreign:
      return UNDERSTUDY_REGION_FOREIGN;
    case shm::RegionState::OtherLayoutVersion:
      return UNDERSTUDY_REGION_OTHER_LAYOUT_VERSION;
    case shm::RegionState::OtherSchema:
      return UNDERSTUDY_REGION_OTHER_SCHEMA;
    case shm::RegionState::Damaged:
      return UNDERSTUDY_REGION_DAMAGED;
    case shm::RegionState::StaleTerm:
      return UNDERSTUDY_REGION_STALE_TERM;
    case shm::RegionState::Good:
      return UNDERSTUDY_REGION_GOOD;
    case shm::RegionState::Unreadable:
      break;
  }
  return UNDERSTUDY_REGION_UNREADABLE;
}

/// `make(path, size, schema)` makes a region; 0 bytes: as many as it needs.
template <class Make>
understudy_status made(const char* path, uint64_t size_bytes, const understudy_store_schema* stores, size_t store_count,
                       understudy_region** region, const Make& make) {
  *region = nullptr;
  const auto name = us::c_api::text_of(path, "the new region's path");
  if (!name) { return told(name.error()); }
  const auto schema = us::c_api::schema_of(stores, store_count);
  if (!schema) { return told(schema.error()); }
  if (size_bytes == 0) {
    const auto needed = shm::Region::size_needed(*schema);
    if (!needed) { return told(needed.error()); }
    size_bytes = needed.value();
  }
  return handed_out(make(*name, size_bytes, *schema), region);
}

}  // namespace

const char* understudy_region_state_name(understudy_region_state state) {
  for (const auto twin : {shm::RegionState::Absent, shm::RegionState::Foreign, shm::RegionState::OtherLayoutVersion,
                          shm::RegionState::OtherSchema, shm::RegionState::Damaged, shm::RegionState::StaleTerm,
                          shm::RegionState::Good}) {
    if (state_of(twin) == state) { return shm::to_string(twin); }
  }
  return shm::to_string(shm::RegionState::Unreadable);
}

understudy_status understudy_region_size_needed(const understudy_store_schema* stores, size_t store_count,
                                                uint64_t* size_bytes) {
  const auto schema = us::c_api::schema_of(stores, store_count);
  if (!schema) { return told(schema.error()); }
  const auto needed = shm::Region::size_needed(*schema);
  if (needed) { *size_bytes = needed.value(); }
  return needed ? UNDERSTUDY_OK : told(needed.error());
}

understudy_status understudy_region_create(const char* path, uint64_t size_bytes, const understudy_store_schema* stores,
                                           size_t store_count, understudy_region** region) {
  return understudy_region_create_at(path, size_bytes, 0, stores, store_count, region);
}

understudy_status understudy_region_create_at(const char* path, uint64_t size_bytes, uint64_t offset,
                                              const understudy_store_schema* stores, size_t store_count,
                                              understudy_region** region) {
  return made(path, size_bytes, stores, store_count, region,
              [&](const std::string& name, std::uint64_t bytes, const shm::RegionSchema& schema) {
                return shm::Region::create(name, bytes, schema, offset);
              });
}

understudy_status understudy_region_create_new(const char* path, uint64_t size_bytes, uint64_t offset,
                                               const understudy_store_schema* stores, size_t store_count,
                                               understudy_region** region) {
  return made(path, size_bytes, stores, store_count, region,
              [&](const std::string& name, std::uint64_t bytes, const shm::RegionSchema& schema) {
                return shm::Region::create_new(name, bytes, schema, offset);
              });
}

understudy_status understudy_region_format_fd(int fd, uint64_t size_bytes, uint64_t offset,
                                              const understudy_store_schema* stores, size_t store_count,
                                              understudy_region** region) {
  const understudy_memory memory{nullptr, fd, size_bytes, offset};
  return understudy_region_format_memory(&memory, stores, store_count, region);
}

understudy_status understudy_region_format_memory(const understudy_memory* memory,
                                                  const understudy_store_schema* stores, size_t store_count,
                                                  understudy_region** region) {
  *region = nullptr;
  const auto schema = us::c_api::schema_of(stores, store_count);
  if (!schema) { return told(schema.error()); }
  return handed_out(memory->path != nullptr
                        ? shm::Region::format(memory->path, memory->size_bytes, *schema, memory->offset)
                        : shm::Region::format(memory->fd, memory->size_bytes, *schema, memory->offset),
                    region);
}

understudy_status understudy_region_open(const char* path, int writable, uint64_t size_bytes,
                                         understudy_region** region) {
  return understudy_region_open_wanted(path, writable, size_bytes, nullptr, region);
}

understudy_status understudy_region_open_fd(int fd, int writable, uint64_t size_bytes, uint64_t offset,
                                            understudy_region** region) {
  const understudy_memory memory{nullptr, fd, size_bytes, offset};
  return understudy_region_open_memory(&memory, writable, nullptr, nullptr, region);
}

understudy_status understudy_region_open_wanted(const char* path, int writable, uint64_t size_bytes,
                                                const understudy_wanted* wanted, understudy_region** region) {
  const understudy_memory memory{path, -1, size_bytes, 0};
  return understudy_region_open_memory(&memory, writable, wanted, nullptr, region);
}

understudy_status understudy_region_open_memory(const understudy_memory* memory, int writable,
                                                const understudy_wanted* wanted, understudy_region_state* found,
                                                understudy_region** region) {
  *region = nullptr;
  auto state = shm::RegionState::OtherSchema;
  const auto known = wanted_of(wanted);
  if (found != nullptr) { *found = state_of(state); }
  if (!known) { return told(known.error()); }
  const auto access = access_of(writable);
  const auto size = size_of(memory->size_bytes);
  auto opened = memory->path != nullptr ? shm::Region::open(memory->path, access, size, memory->offset, *known, &state)
                                        : shm::Region::open(memory->fd, access, size, memory->offset, *known, &state);
  if (found != nullptr) { *found = state_of(state); }
  return handed_out(std::move(opened), region);
}

understudy_region_state understudy_region_inspect(const char* path, uint64_t size_bytes,
                                                  const understudy_wanted* wanted) {
  const understudy_memory memory{path, -1, size_bytes, 0};
  return understudy_region_inspect_memory(&memory, wanted);
}

understudy_region_state understudy_region_inspect_memory(const understudy_memory* memory,
                                                         const understudy_wanted* wanted) {
  const auto known = wanted_of(wanted);
  if (!known) { return UNDERSTUDY_REGION_OTHER_SCHEMA; }
  const auto size = size_of(memory->size_bytes);
  return state_of(memory->path != nullptr ? shm::Region::inspect(memory->path, size, memory->offset, *known)
                                          : shm::Region::inspect(memory->fd, size, memory->offset, *known));
}

const understudy_store_schema* understudy_region_schema(const understudy_region* region, size_t* store_count) {
  auto& described = region->described;
  if (!described) { described = std::make_unique<us::c_api::DescribedStores>(region->region.schema().stores); }
  *store_count = described->all().size();
  return described->all().data();
}

const char* understudy_region_path(const understudy_region* region) { return region->region.path().c_str(); }

void understudy_region_prefault(const understudy_region* region) {
  if (region != nullptr) { region->region.prefault(); }
}

void understudy_region_close(understudy_region* region) { delete region; }
