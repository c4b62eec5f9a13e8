// SPDX-License-Identifier: Apache-2.0
#pragma once
/// StoreSink: changes of the kernel become changes of the store "net", and nothing else does. A value that says the
/// same (same_in_kernel) is not written, so a collector that starts where an Installer has just worked records nothing;
/// after a dump, records of what no longer exists are erased. What a dump tells is compared with the store many records
/// at once, all of it by end_dump(): what that costs is bounded whatever the store's bytes are.

#include <array>
#include <cstdint>
#include <unordered_set>
#include <vector>

#include "understudy/net/collector.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::net {

struct StoreSinkCounters {
  std::uint64_t written = 0;
  std::uint64_t erased = 0;
  std::uint64_t unchanged = 0;
  std::uint64_t full = 0;    ///< records that found no room: those flows are not protected (an alarm)
  std::uint64_t failed = 0;  ///< any other refusal
};

class StoreSink final : public ChangeSink {
 public:
  /// `writer` must be of a store made with net_store_schema() and outlive the sink.
  explicit StoreSink(shm::StoreWriter& writer) : writer_(writer) {}

  void route(const RouteKey& key, const RouteValue* value) override;
  void neighbor(const NeighborKey& key, const NeighborValue* value) override;
  void flow(const FlowChange& change) override;
  void begin_dump(DumpScope scope) override;
  void end_dump() override;

  /// The first failure that was not Full; after it nothing is recorded any more. Refused means that somebody else is
  /// the writer now: stop collecting. Any other is of a store whose bytes are damaged.
  [[nodiscard]] const Status& health() const { return health_; }
  [[nodiscard]] const StoreSinkCounters& counters() const { return counters_; }

 private:
  /// Records that a dump has told and that are not compared with the store yet.
  struct Gathered {
    std::vector<std::byte> keys;
    std::vector<std::byte> values;
    std::unordered_set<std::uint64_t> hashes;  ///< of the keys
  };
  template <class Key, class Value>
  void change(shm::TableIndex table, const Key& key, const Value* value);
  template <class Value>
  void put(shm::TableIndex table, shm::Bytes key, const Value* held, const Value& value);
  template <class Key, class Value>
  void take(shm::TableIndex table, Gathered gathered);
  void take_gathered(shm::TableIndex table);
  void take_all_gathered();
  void erase_all(shm::TableIndex table, const std::vector<std::vector<std::byte>>& dead);
  void erase(shm::TableIndex table, shm::Bytes key);
  void sweep(shm::TableIndex table);
  void note(const Error& error);

  shm::StoreWriter& writer_;
  StoreSinkCounters counters_;
  Status health_;
  bool dumping_ = false;
  DumpScope scope_;
  std::uint64_t full_before_dump_ = 0;
  /// 64-bit hashes of the keys told in this dump: 1 M flows need no second copy of their keys. A collision keeps one
  /// dead record until the next dump.
  std::array<std::unordered_set<std::uint64_t>, 3> told_;
  std::array<Gathered, 3> gathered_;
};

}  // namespace understudy::net
