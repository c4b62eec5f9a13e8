// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One role's region on one blade: shared memory as the product formats, maps and writes it, with two stores.
///
///   "net"          flows (hashed), neighbours (dense)             what a collector would write
///   "application"  records (hashed), notes (blobs), pages (dense, 4 KiB: a few of them go once round the journal)
///
/// The memory of a region that is gone is used again for the next one, formatted anew: a history makes dozens.

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "understudy/shm/region.hpp"

namespace understudy::sim {

inline constexpr unsigned kStores = 2;
inline constexpr unsigned kTablesMax = 3;
inline constexpr unsigned kKeysMax = 24;  ///< of a table
inline constexpr unsigned kPagesTable = 2;
/// Puts of this table lap a journal that no other table's changes lap within a history.
inline constexpr std::uint32_t kPageBytes = 4096;

[[nodiscard]] const shm::RegionSchema& region_schema();
[[nodiscard]] unsigned keys_of(unsigned store, shm::TableIndex table);
[[nodiscard]] std::vector<std::byte> key_bytes(unsigned store, shm::TableIndex table, unsigned key);
/// Nothing: not a key that was ever written.
[[nodiscard]] std::optional<unsigned> key_of(unsigned store, shm::TableIndex table, shm::Bytes bytes);

struct RegionMemory;

class RoleRegion {
 public:
  /// Aborts where the machine has no memory for it: nothing is simulated then.
  explicit RoleRegion(std::uint64_t number);

  const std::uint64_t id;  ///< of this file
  bool trusted = true;     ///< a mirror's: it was whole once, and what could take over from it is there
  /// Of the place that serves; where a mirror follows, its receiver is the writer.
  std::vector<shm::StoreWriter> writers;

  [[nodiscard]] const shm::Region& file() const { return region_; }
  [[nodiscard]] const shm::Store& store(unsigned index) const { return stores_[index]; }
  /// Of the present writer; the highest of its stores'.
  [[nodiscard]] Term writer() const;
  /// Changes in all stores.
  [[nodiscard]] std::uint64_t committed() const;
  [[nodiscard]] bool syncing() const;
  /// Becomes the writer of all stores, or of none.
  [[nodiscard]] Status begin_writing(Term term);
  void stop_writing() { writers.clear(); }

 private:
  std::shared_ptr<RegionMemory> memory_;
  shm::Region region_;
  std::vector<shm::Store> stores_;
};

}  // namespace understudy::sim
