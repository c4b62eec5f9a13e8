// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A mapping whose header has been checked, and the views into it. Everything here was read from the region once, at
/// opening; afterwards only counters, versions and payload are read from shared memory.

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "description.hpp"
#include "journal.hpp"
#include "table.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::shm {

/// Keeps the memory mapped and the file open (region.cpp: the only file that knows what maps it).
class Mapping {
 public:
  virtual ~Mapping() = default;
  [[nodiscard]] virtual std::byte* address() const = 0;
  /// Another open description of the same file, for a lock of its own; below 0 when there is none.
  [[nodiscard]] virtual int open_again() const = 0;
};

struct Region_impl {
  std::string path;
  Access access = Access::ReadOnly;
  RegionSchema schema;
  RegionPlan plan;
  std::uint64_t hash_seed = 0;
  std::unique_ptr<Mapping> mapping;
};

/// What the parts of one store share. Copied views, no state of its own.
struct Store::Impl {
  std::shared_ptr<Region_impl> region;
  std::size_t index = 0;
  layout::StoreControl* control = nullptr;
  Journal journal;
  std::vector<Table> tables;

  [[nodiscard]] const StoreSchema& schema() const { return region->schema.stores[index]; }
  [[nodiscard]] std::uint64_t committed() const { return words::load_acquire(&control->commit.committed); }

  /// Is the content between two states of the sender (rule 23)? A catch-up that reached its end counts as synced,
  /// also when its writer died before it could say so.
  [[nodiscard]] bool syncing() const {
    const std::uint64_t sync = words::load_acquire(&control->commit.sync);
    return sync != 0 && (sync == layout::sync_snapshot || sync > committed());
  }

  /// The committed value of a key; Changed only when it never held still (read_tries_max).
  Seen get(const Table& in, std::uint64_t home, const KeyWords& key, std::span<std::byte> value) const;

  /// Readers ignore versions above this. While syncing every record stands for itself.
  [[nodiscard]] std::uint64_t visible_limit() const {
    if (words::load_acquire(&control->commit.sync) != 0 && syncing()) { return ~std::uint64_t{0}; }
    return committed();
  }
};

/// A reader gives up a record after as many changes under its eyes; an honest writer is never that fast.
inline constexpr int read_tries_max = 100000;

}  // namespace understudy::shm
