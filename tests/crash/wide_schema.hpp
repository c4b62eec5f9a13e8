// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a network appliance keeps: addresses, 5-tuples of IPv6 and IPv4, rule sets, pages. Keys of one word and of
/// several that are no whole number of them, values of several cache lines, blobs of more than a page, a dense table.

#include <array>

#include "image_check.hpp"
#include "store_model.hpp"

namespace understudy::shm::crash {

enum Wide : TableIndex { addresses, flows6, flows4, rules, pages };

inline constexpr std::uint32_t rule_bytes_max = 5000;
inline constexpr std::uint64_t wide_region_bytes = 2 << 20;

inline RegionSchema wide_schema() {
  return {{{"state",
            {{"addresses", 8, 24, 24, TableKind::Hashed, 60},
             {"flows6", 37, 200, 12, TableKind::Hashed, 24},
             {"flows4", 13, 40, 12, TableKind::Hashed, 24},
             {"rules", 16, rule_bytes_max, 6, TableKind::Blob, 12},
             {"pages", 8, 512, 8, TableKind::Dense}},
            64 << 10}}};
}
/// Records that each table has room for, before and after it was rebuilt.
inline const std::vector<std::size_t> wide_room{24, 12, 12, 6, 8};
inline const std::vector<std::size_t> wide_room_rebuilt{60, 24, 24, 12, 8};

inline std::size_t wide_value_bytes(TableIndex table, std::uint64_t seed) {
  static constexpr std::array<std::size_t, 5> fixed{24, 200, 40, 0, 512};
  return table == rules ? seed % (rule_bytes_max + 1) : fixed[table];
}

inline Pools wide_pools(const std::string& path) {
  Pools pools(5);
  pools[addresses] = neighbours(path, addresses, 48, octets_of);
  pools[flows6] = neighbours(path, flows6, 24, flow6_key);
  pools[flows4] = neighbours(path, flows4, 24, flow4_key);
  pools[rules] = neighbours(path, rules, 12, address_key);
  for (std::uint64_t page = 0; page < 8; ++page) { pools[pages].push_back(octets_of(page)); }
  return pools;
}

/// A sender whose transactions a mirror under test is brought.
struct WideSender {
  explicit WideSender(const RegionSchema& schema = wide_schema(), std::uint64_t region_bytes = wide_region_bytes)
      : region(Region::create(file.path(), region_bytes, schema).value()) {}

  ImageFile file{"wide-sender"};
  Region region;
  Store store = region.store("state").value();
  StoreWriter writer = store.become_writer(Term{1}).value();
  JournalReader journal{store, Sequence{0}};
};

}  // namespace understudy::shm::crash
