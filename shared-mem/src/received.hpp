// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Received journal bytes as changes, a group of whole transactions at a time.
///
///   bytes   | t1: e e | t2: e | t3: e e e | t4: e ... | t5, torn or not sound
///   group   |------- committed at once -------|         next group: t4; then the error
///
/// Invariants
///   R1  Everything of a group was checked (lengths, tables, sizes, CRC-32C, sequences without gaps) before anything of
///       it is stored. A transaction that is not sound ends the group before it; it is an error only as the first one.
///   R2  A slot has one copy to spare, so a commit writes a key once: of several changes of a key in a group only the
///       last one reaches the table, the others are superseded and are in the journal only. Within one transaction
///       no sender writes a key twice.
///   R3  A group is bounded (Limits), for it is what the next writer has to take back after a death.
///
/// The lines of the slots are asked for while the entries are checked: when the last one is, the first have come.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "journal.hpp"
#include "table.hpp"
#include "understudy/common/result.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::shm {

struct Change;

class ReceivedGroup {
 public:
  /// Reached, it ends; its last transaction may go beyond it.
  static constexpr std::size_t changes_max = 128;
  struct Limits {
    std::size_t changes = 0;            ///< reached: the group ends. 1: one transaction
    std::uint64_t ring_bytes = 0;       ///< of the journal: half of it at most
    std::uint64_t held = 0;             ///< transactions up to here are there already and stand alone
    std::optional<TableIndex> arena{};  ///< the table whose pages an arena's checkpoint brings
  };

  ReceivedGroup();
  ~ReceivedGroup();
  ReceivedGroup(const ReceivedGroup&) = delete;
  ReceivedGroup& operator=(const ReceivedGroup&) = delete;

  /// The group at the start of `entries`, which must stay where they are. Damaged: not even one sound transaction.
  Status read(Bytes entries, const StoreSchema& schema, std::span<const Table> tables, const Limits& limits);

  [[nodiscard]] Bytes bytes() const { return bytes_; }
  [[nodiscard]] std::span<const Change> changes() const;
  [[nodiscard]] std::size_t transactions() const { return transactions_; }
  /// Is it what senders write: small enough, no key twice? Only of a single transaction it may be false.
  [[nodiscard]] bool allowed() const { return allowed_; }

 private:
  static constexpr std::size_t heads = 1024;
  struct Mark {
    std::uint16_t earlier = 0;     ///< number + 1 of the change before it whose hash begins alike
    std::uint16_t supersedes = 0;  ///< number + 1 of the change before it of the same key
  };

  /// What a table's entries look like.
  struct Shape {
    std::uint32_t key_bytes;
    std::uint32_t value_min;
    std::uint32_t value_max;
    bool is_blob;
    std::uint64_t keys;  ///< of a dense table: a key is below it; else 0
  };

  void start(const StoreSchema& schema);
  bool read_transaction(Bytes entries, std::size_t& at);
  const char* read_entry(Bytes rest, Change& change, std::uint64_t& size) const;
  bool accept(std::size_t first, std::span<const Table> tables);
  [[nodiscard]] bool is_checkpoint(std::size_t first, const Limits& limits) const;

  Bytes bytes_;
  const StoreSchema* schema_ = nullptr;  ///< of `shapes_`; only compared
  std::vector<Shape> shapes_;
  std::vector<Change> changes_;
  std::vector<Mark> marks_;
  std::array<std::uint16_t, heads> newest_{};  ///< number + 1 of the last change whose hash begins so
  std::size_t transactions_ = 0;
  std::size_t blobs_ = 0;
  bool allowed_ = true;
  std::string damage_;
};

}  // namespace understudy::shm
