// SPDX-License-Identifier: Apache-2.0
#include "role_region.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "understudy/shm/crc32c.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::sim {

namespace {

namespace layout = shm::layout;

constexpr std::uint64_t journal_bytes = layout::journal_bytes_min;
constexpr std::uint64_t region_bytes = layout::region_bytes_min;
/// Where a record lies follows from it, and so the order of a scan: the same in every run.
constexpr std::uint64_t hash_seed = 0x9e3779b97f4a7c15;

template <class T>
T must(Result<T> result) {
  if (!result) { std::fprintf(stderr, "the simulator cannot make a region: %s\n", result.error().message.c_str()); }
  return std::move(result).value();
}

}  // namespace

const shm::RegionSchema& region_schema() {
  static const shm::RegionSchema schema{{
      {"net",
       {{"flows", 8, 24, kKeysMax, shm::TableKind::Hashed}, {"neighbours", 8, 16, 16, shm::TableKind::Dense}},
       journal_bytes},
      {"application",
       {{"records", 16, 40, kKeysMax, shm::TableKind::Hashed},
        {"notes", 8, 120, 12, shm::TableKind::Blob},
        {"pages", 8, kPageBytes, 6, shm::TableKind::Dense}},
       journal_bytes},
  }};
  return schema;
}

unsigned keys_of(unsigned store, shm::TableIndex table) {
  return static_cast<unsigned>(region_schema().stores[store].tables[table].capacity);
}

std::vector<std::byte> key_bytes(unsigned store, shm::TableIndex table, unsigned key) {
  std::vector<std::byte> bytes(region_schema().stores[store].tables[table].key_bytes);
  bytes[0] = static_cast<std::byte>(key);
  return bytes;
}

std::optional<unsigned> key_of(unsigned store, shm::TableIndex table, shm::Bytes bytes) {
  const auto key = static_cast<unsigned>(bytes[0]);
  if (key >= keys_of(store, table)) { return std::nullopt; }
  const bool rest_zero = std::all_of(bytes.begin() + 1, bytes.end(), [](std::byte one) { return one == std::byte{}; });
  return rest_zero ? std::optional(key) : std::nullopt;
}

/// A file in memory, long enough for a region. Whoever still maps the region keeps it from being used again.
struct RegionMemory {
  RegionMemory() : fd(::memfd_create("understudy-simulate", MFD_CLOEXEC)) {
    if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(region_bytes)) != 0) {
      std::perror("the simulator has no memory for a region");
      std::abort();
    }
    void* mapped = ::mmap(nullptr, region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
      std::perror("the simulator cannot map a region");
      std::abort();
    }
    address = static_cast<std::byte*>(mapped);
  }
  ~RegionMemory() {
    ::munmap(address, region_bytes);
    ::close(fd);
  }
  RegionMemory(const RegionMemory&) = delete;
  RegionMemory& operator=(const RegionMemory&) = delete;
  const int fd;
  std::byte* address = nullptr;
};

namespace {

/// An empty region's bytes, as the product formats them, but for the seed.
std::vector<std::byte> formatted() {
  const RegionMemory memory;
  { [[maybe_unused]] const auto made = must(shm::Region::format(memory.fd, region_bytes, region_schema())); }
  std::size_t used = region_bytes;
  while (used > 0 && memory.address[used - 1] == std::byte{}) { --used; }
  // Everything behind the last store's tables is never touched; what a store may write is part of the image.
  layout::RegionHeader header;
  std::memcpy(&header, memory.address, sizeof header);
  for (std::size_t s = 0; s < header.store_count; ++s) {
    const auto& store = header.stores[s];
    for (std::size_t t = 0; t < store.table_count; ++t) {
      const auto& table = store.tables[t];
      const std::uint64_t slots =
          table.slots_offset +
          table.slot_count * 8 *
              (1 + (table.key_bytes + 7) / 8 + 2 * ((std::max<std::uint32_t>(table.value_bytes, 8) + 7) / 8) + 8);
      used = std::max<std::size_t>(used, std::max(slots, table.slabs_offset + table.slab_count * table.slab_bytes));
    }
  }
  header.hash_seed = hash_seed;
  header.magic = 0;
  header.description_crc32c = 0;
  header.description_crc32c = shm::crc32c(std::as_bytes(std::span(&header, 1)));
  header.magic = layout::region_magic;
  std::memcpy(memory.address, &header, sizeof header);
  return {memory.address, memory.address + std::min<std::size_t>(used, region_bytes)};
}

std::vector<std::unique_ptr<RegionMemory>>& idle() {
  static std::vector<std::unique_ptr<RegionMemory>> memories;
  return memories;
}

std::shared_ptr<RegionMemory> take_memory() {
  static const auto image = formatted();
  auto& memories = idle();
  std::unique_ptr<RegionMemory> memory;
  if (memories.empty()) {
    memory = std::make_unique<RegionMemory>();
  } else {
    memory = std::move(memories.back());
    memories.pop_back();
  }
  std::memcpy(memory->address, image.data(), image.size());
  return {memory.release(), [](RegionMemory* used) { idle().emplace_back(used); }};
}

}  // namespace

RoleRegion::RoleRegion(std::uint64_t number)
    : id(number),
      memory_(take_memory()),
      region_(must(shm::Region::open(memory_->fd, shm::Access::ReadWrite, region_bytes))) {
  for (const auto& schema : region_schema().stores) { stores_.push_back(must(region_.store(schema.name))); }
}

Term RoleRegion::writer() const {
  Term highest;
  for (const auto& store : stores_) { highest = std::max(highest, store.term()); }
  return highest;
}

std::uint64_t RoleRegion::committed() const {
  std::uint64_t all = 0;
  for (const auto& store : stores_) { all += store.committed().value; }
  return all;
}

bool RoleRegion::syncing() const {
  return std::any_of(stores_.begin(), stores_.end(), [](const shm::Store& store) { return store.syncing(); });
}

Status RoleRegion::begin_writing(Term term) {
  writers.clear();  // one of our own would refuse us
  for (const auto& store : stores_) {
    if (auto can = store.can_become_writer(term); !can) { return can; }
  }
  for (const auto& store : stores_) {
    auto writer = store.become_writer(term);
    if (!writer) {
      writers.clear();
      return writer.error();
    }
    writer->never_wait();  // its sender lives on the same thread
    writers.push_back(std::move(writer).value());
  }
  return {};
}

}  // namespace understudy::sim
