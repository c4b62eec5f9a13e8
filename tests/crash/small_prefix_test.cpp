// SPDX-License-Identifier: Apache-2.0
/// Every prefix of puts of small records of each size, which have code of their own for each number of words, and of
/// put_many, whose every put is a commit by itself. Covers: shared-mem/src/put.cpp
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "broken_order.hpp"
#include "prefixes.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::array<std::size_t, 5> words_of_table{1, 2, 3, 4, 25};
constexpr TableIndex flows = 4;  ///< no small records: keys of 37 bytes
constexpr std::size_t room = 24;
constexpr std::size_t room_rebuilt = 60;

RegionSchema small_schema() {
  RegionSchema schema{{{"state", {}, 64 << 10}}};
  for (const std::size_t words : words_of_table) {
    schema.stores[0].tables.push_back({std::to_string(words) + " words", words < 5 ? 8U : 37U,
                                       static_cast<std::uint32_t>(8 * words), room, TableKind::Hashed, room_rebuilt});
  }
  return schema;
}

class SmallStore {
 public:
  explicit SmallStore(TableIndex table) : table_(table) {
    sut.pools[table] = neighbours(sut.path(), table, 48, table == flows ? flow6_key : octets_of);
  }
  [[nodiscard]] Edit put(std::size_t key) {
    return {table_, sut.pools[table_][key], value_bytes(8 * words_of_table[table_], random())};
  }
  /// A put or an erase that is possible; `most`: so many records are kept.
  [[nodiscard]] Edits any(std::size_t most) {
    const std::vector<std::size_t> rooms(words_of_table.size(), most);
    return random_edits(random, sut.model(), sut.pools, 1, rooms,
                        [this](TableIndex /*table*/, std::uint64_t /*seed*/) { return 8 * words_of_table[table_]; });
  }
  void put_many(const std::vector<std::size_t>& which) {
    Edits edits;
    Octets keys;
    Octets values;
    for (const std::size_t key : which) {
      edits.push_back(put(key));
      keys.insert(keys.end(), edits.back().key.begin(), edits.back().key.end());
      values.insert(values.end(), edits.back().value->begin(), edits.back().value->end());
    }
    sut.run_one_by_one(edits, [&]() -> Status {
      const auto done = sut.writer().put_many(table_, keys, values);
      return done ? Status() : Status(done.error());
    });
  }
  Prefixes sut{small_schema(), 1 << 20, {.payload_step = amount(3, 1)}};
  std::mt19937_64 random{7};

 private:
  TableIndex table_;
};

std::string name_of(TableIndex table) { return "Of" + std::to_string(words_of_table[table]) + "Words"; }

class EveryPrefixOfSmallPuts : public testing::TestWithParam<TableIndex> {};
INSTANTIATE_TEST_SUITE_P(Values, EveryPrefixOfSmallPuts, testing::Values<TableIndex>(0, 1, 2, 3),
                         [](const auto& table) { return name_of(table.param); });

TEST_P(EveryPrefixOfSmallPuts, IsTheStateBeforeOrAfterAndTheNextWriterGoesOn) {
  SmallStore store(GetParam());
  const int changes = static_cast<int>(amount(30, 400));
  for (int i = 0; i < changes && store.sut.violations.empty(); ++i) {
    if (i == changes / 2) { store.sut.rebuild(GetParam()); }
    const auto edits = store.any(i < changes / 2 ? room : room_rebuilt);
    store.sut.run(edits);
  }
  EXPECT_TRUE(store.sut.violations.empty()) << first_of(store.sut.violations);
  EXPECT_GT(store.sut.images(), static_cast<std::uint64_t>(changes) * 5);
}

class EveryPrefixOfPutMany : public testing::TestWithParam<TableIndex> {};
INSTANTIATE_TEST_SUITE_P(Values, EveryPrefixOfPutMany, testing::Values<TableIndex>(0, 1, 2, 3, flows),
                         [](const auto& table) { return name_of(table.param); });

/// New keys, old ones, erased ones, more of them than are worked on together, and of the same several times.
TEST_P(EveryPrefixOfPutMany, IsTheStateBetweenTwoOfItsPuts) {
  SmallStore store(GetParam());
  store.put_many({0, 1, 2, 3, 2, 4, 0});
  store.sut.skip({{GetParam(), store.sut.pools[GetParam()][1], std::nullopt}});
  store.sut.skip({{GetParam(), store.sut.pools[GetParam()][3], std::nullopt}});
  store.put_many({9, 1, 8, 1});
  store.sut.rebuild(GetParam());
  for (std::uint64_t again = 0; again < amount(1, 8) && store.sut.violations.empty(); ++again) {
    std::vector<std::size_t> which;
    const std::uint64_t together = amount(GetParam() == 2 ? 36 : 6, 36);
    for (std::uint64_t i = 0; i < together; ++i) { which.push_back(store.random() % 40); }
    store.put_many(which);
  }
  EXPECT_TRUE(store.sut.violations.empty()) << first_of(store.sut.violations);
  EXPECT_GT(store.sut.images(), 100U);
}

// --- the same broken on purpose ---

enum class Fault { None, CommitBeforeValue, CommitBeforeHead, TableBeforeJournal, CommitBeforeCount };
struct BrokenPut {
  TableIndex table;
  bool many;
  Fault fault;
};

Held late_part(const Parts& parts, const BrokenPut& put) {
  switch (put.fault) {
    case Fault::CommitBeforeValue:
      return [=](const std::uint64_t* at) {
        const auto word = parts.word_of_slot(put.table, at);
        return word && *word > parts.key_words(put.table);
      };
    case Fault::CommitBeforeHead:
      return [=](const std::uint64_t* at) { return parts.word_of_slot(put.table, at) == 0; };
    case Fault::TableBeforeJournal:
      return within(parts.at(parts.header.stores[0].journal_offset), parts.header.stores[0].journal_bytes / 8);
    case Fault::CommitBeforeCount:
      return within(parts.control(offsetof(StoreControl, counts)), sizeof(StoreControl::counts) / 8);
    default:
      return {};
  }
}

class ABrokenSmallPut : public testing::TestWithParam<BrokenPut> {};
std::string name_of(const BrokenPut& put) {
  static constexpr std::array names{"Whole", "CommitBeforeValue", "CommitBeforeHead", "TableBeforeJournal",
                                    "CommitBeforeCount"};
  return name_of(put.table) + (put.many ? "Many" : "") + names[static_cast<std::size_t>(put.fault)];
}
std::vector<BrokenPut> broken_puts() {
  std::vector<BrokenPut> all;
  for (const TableIndex table : {TableIndex{0}, TableIndex{1}, TableIndex{3}, flows}) {
    for (int fault = 0; fault <= static_cast<int>(Fault::CommitBeforeCount); ++fault) {
      if (table != flows) { all.push_back({table, false, static_cast<Fault>(fault)}); }
      all.push_back({table, true, static_cast<Fault>(fault)});
    }
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(Of, ABrokenSmallPut, testing::ValuesIn(broken_puts()),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(ABrokenSmallPut, IsNoticed) {
  const auto [table, many, fault] = GetParam();
  SmallStore store(table);
  const Parts parts(store.sut.path());
  for (std::size_t key = 0; key < 4; ++key) { store.sut.skip({store.put(key)}); }
  points::swap.hold = late_part(parts, {table, many, fault});
  points::swap.until = parts.committed();
  if (many) {
    store.put_many({1, 6, 7});
  } else {
    store.sut.run({store.put(1)});
    store.sut.run({store.put(6)});
  }
  if (fault == Fault::None) {
    EXPECT_TRUE(store.sut.violations.empty()) << first_of(store.sut.violations);
  } else {
    EXPECT_TRUE(noticed_at_an_image(store.sut.violations)) << first_of(store.sut.violations);
  }
}

}  // namespace
}  // namespace understudy::shm::crash
