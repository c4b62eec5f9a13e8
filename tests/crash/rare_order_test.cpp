// SPDX-License-Identifier: Apache-2.0
/// The steps of what happens seldom, broken on purpose, one at a time (broken_order.hpp): the next writer's repair, a
/// rebuild, a snapshot, a new term, a formatting.
#include <random>

#include "broken_order.hpp"
#include "wide_schema.hpp"

namespace understudy::shm::crash {
namespace {

class ARareOrder : public AnOrder {};
INSTANTIATE_TEST_SUITE_P(Of, ARareOrder, testing::Values(Broken::Not, Broken::Yes),
                         [](const auto& is) { return is.param == Broken::Yes ? "Broken" : "Whole"; });

/// Changes of which the next writers take back what `break_repair` leaves them of it.
void take_back_often(Prefixes& sut) {
  sut.pools = wide_pools(sut.path());
  std::mt19937_64 random(6);
  const auto edit = [&](TableIndex table, std::size_t key, std::size_t bytes) {
    return Edit{table, sut.pools[table][key], value_bytes(bytes, random())};
  };
  for (std::size_t key = 0; key < 4; ++key) { sut.skip({edit(addresses, key, 24), edit(rules, key, 100)}); }
  for (std::size_t n = 0; n < 4 && sut.violations.empty(); ++n) {
    sut.skip({edit(addresses, 20 + n, 24)});  // the count's other copy is the unused one then
    sut.run({edit(addresses, 10 + n, 24), edit(addresses, n % 4, 24)});
    sut.run({edit(rules, n % 4, 2048), edit(rules, (n + 1) % 4, 2048), edit(addresses, n % 4, 24)});
    sut.run({{addresses, sut.pools[addresses][10 + n], std::nullopt}, edit(flows4, n, 40)});
  }
}

TEST_P(ARareOrder, TheRepairTakesHeadsBack) {
  Prefixes sut(wide_schema(), wide_region_bytes, {.payload_step = 31});
  static const std::uint64_t never = 0;
  if (broken()) {
    sut.break_taking_over = [](const std::uint64_t* base) {
      const Parts parts(base);
      points::swap = {.hold = [=](const std::uint64_t* at) { return at >= parts.at(parts.table(0).slots_offset); },
                      .until = &never};
    };
  }
  take_back_often(sut);
  expect_noticed(sut.violations);
}

TEST_P(ARareOrder, TheRepairInvalidatesCounts) {
  Prefixes sut(wide_schema(), wide_region_bytes, {.payload_step = 31});
  if (broken()) {
    sut.break_taking_over = [](const std::uint64_t* base) {
      points::swap.lost = within(Parts(base).control(offsetof(StoreControl, counts)), sizeof(StoreControl::counts) / 8);
    };
  }
  take_back_often(sut);
  expect_noticed(sut.violations);
}

/// Else a follower that looks for its place is led into entries of changes that never happened.
TEST_P(ARareOrder, TheRepairForgetsAnchors) {
  Prefixes sut(wide_schema(), wide_region_bytes, {.payload_step = 31});
  if (broken()) {
    sut.break_taking_over = [](const std::uint64_t* base) {
      points::swap.lost =
          within(Parts(base).control(offsetof(StoreControl, anchors)), sizeof(StoreControl::anchors) / 8);
    };
  }
  take_back_often(sut);
  expect_noticed(sut.violations);
}

TEST_P(ARareOrder, TheRepairLowersPurged) {
  Prefixes sut(wide_schema(), wide_region_bytes, {.payload_step = 31});
  static const std::uint64_t never = 0;
  if (broken()) {
    sut.break_taking_over = [](const std::uint64_t* base) {
      points::swap = {.hold = only(Parts(base).purged()), .until = &never};
    };
  }
  take_back_often(sut);
  expect_noticed(sut.violations);
}

// --- a rebuild, a snapshot, a history, a formatting ---

/// Whoever rebuilds after a rebuild was interrupted first empties what that one left.
TEST_P(ARareOrder, ARebuildEmptiesBeforeItCopies) {
  Prefixes sut(wide_schema(), wide_region_bytes, {});
  sut.pools = wide_pools(sut.path());
  const auto& pool = sut.pools[flows6];
  for (std::size_t i = 0; i < 6; ++i) { sut.skip({{flows6, pool[i], value_bytes(200, i)}}); }
  const Edits meanwhile{{flows6, pool[1], std::nullopt}, {flows6, pool[2], value_bytes(200, 22)}};
  const Model wanted = sut.model().after(meanwhile);
  ImageFile copy("rebuilt-again");
  Violations violations;
  std::uint64_t images = 0;
  points::on_store = [&] {
    const Suspended suspended;
    if (!points::at_guard || !violations.empty()) { return; }
    sut.copy(sut.path(), copy.path());
    auto region = Region::open(copy.path(), Access::ReadWrite).value();
    auto writer = region.store("state").value().become_writer(Term{2}).value();
    ASSERT_TRUE(write(writer, meanwhile).ok());
    const Parts parts(copy.path());
    const auto& table = parts.table(flows6);
    breaks({.hold = {},
            .lost = within(parts.at(table.grown_slots_offset), table.grown_slot_count * parts.slot_words(flows6))});
    ASSERT_TRUE(writer.rebuild(flows6).ok());
    points::swap = {};
    ++images;
    if (check_image(copy.path(), wanted, wanted, sut.image(), violations) == nullptr) {
      violations.push_back("(image " + std::to_string(images) + ")");
    }
  };
  ASSERT_TRUE(sut.writer().rebuild(flows6).ok());
  points::on_store = nullptr;
  EXPECT_GT(images, 0U);
  expect_noticed(violations);
}

/// A mirror that is sent everything: until its end it says so, and says so before the first change.
Violations snapshot_frozen(const std::function<points::Swap(const Parts&)>& swap) {
  Prefixes sut(wide_schema(), wide_region_bytes, {});
  sut.pools = wide_pools(sut.path());
  const auto& pool = sut.pools[flows4];
  for (std::size_t i = 0; i < 6; ++i) { sut.skip({{flows4, pool[i], value_bytes(40, i)}}); }
  const Model before = sut.model();
  std::map<Octets, Octets> sent;
  for (std::size_t i = 3; i < 9; ++i) { sent[pool[i]] = value_bytes(40, 100 + i); }
  Violations violations;
  std::uint64_t images = 0;
  if (swap) { points::swap = swap(Parts(sut.path())); }
  points::on_store = [&] {
    const Suspended suspended;
    ++images;
    const auto region = Region::open(sut.path(), Access::ReadOnly).value();
    const Store store = region.store("state").value();
    if (store.syncing()) { return; }
    std::map<Octets, Octets> content;
    (void)store.scan(flows4, {}, [&](const Store::Record& record) {
      content.emplace(Octets(record.key.begin(), record.key.end()), Octets(record.value.begin(), record.value.end()));
      return true;
    });
    const bool whole = content == before.tables[flows4] ? store.count(flows4) == before.tables[flows4].size()
                                                        : content == sent && store.count(flows4) == sent.size();
    if (!whole) { violations.push_back("a mixture without the mark (image " + std::to_string(images) + ")"); }
  };
  EXPECT_TRUE(sut.writer().begin_sync(true).ok());
  std::uint64_t sequence = 50;
  for (const auto& [key, value] : sent) {
    EXPECT_TRUE(sut.writer().apply_snapshot_record(flows4, key, value, Sequence{++sequence}).ok());
  }
  EXPECT_TRUE(sut.writer().end_sync(Sequence{60}, {{Term{1}, Sequence{1}}}, {}).ok());
  points::on_store = nullptr;
  return violations;
}

TEST_P(ARareOrder, TheSyncMarkBeforeASnapshot) {
  const auto late = [](const Parts& parts) {
    return points::Swap{.hold = only(parts.committed() + 1), .until = parts.committed()};
  };
  expect_noticed(snapshot_frozen(broken() ? late : std::function<points::Swap(const Parts&)>()));
}

TEST_P(ARareOrder, ASnapshotBeforeItsEnd) {
  const auto late = [](const Parts& parts) {
    return points::Swap{.hold = [=](const std::uint64_t* at) { return parts.word_of_slot(flows4, at).has_value(); },
                        .until = parts.committed() + 1};
  };
  expect_noticed(snapshot_frozen(broken() ? late : std::function<points::Swap(const Parts&)>()));
}

TEST_P(ARareOrder, ATermBeforeItIsCounted) {
  ImageFile file("history");
  auto region = Region::create(file.path(), crash_region_bytes, crash_schema()).value();
  const Store store = region.store("state").value();
  Expected state;
  for (std::uint64_t term = 1; term <= 3; ++term) {
    auto writer = store.become_writer(Term{term}).value();
    state = write(writer, state, {{1, term}}).value();
  }
  auto writer = store.become_writer(Term{7}).value();
  const auto before = store.history();
  const Parts parts(file.path());
  Violations violations;
  std::uint64_t images = 0;
  points::on_store = [&] {
    const Suspended suspended;
    ++images;
    const auto found = store.history();
    const bool one_more = found.size() == before.size() + 1 && found.back().term == Term{7} &&
                          found.back().first == Sequence{state.committed + 1};
    if (found.size() != before.size() && !one_more) {
      violations.push_back("a term that never was (image " + std::to_string(images) + ")");
    }
  };
  breaks({.hold = within(parts.control(offsetof(StoreControl, history) + 64), 2 * layout::history_entries)});
  ASSERT_TRUE(write(writer, state, {{1, 7}}).ok());
  points::on_store = nullptr;
  expect_noticed(violations);
}

/// A region is formatted over another one: it is good only when nothing of that is left.
TEST_P(ARareOrder, ARegionBeforeItsMagic) {
  ImageFile file("format");
  {
    auto region = Region::create(file.path(), crash_region_bytes, crash_schema()).value();
    auto writer = region.store("state").value().become_writer(Term{1}).value();
    ASSERT_TRUE(write(writer, {}, {{1, 10}, {2, 20}}).ok());
  }
  Violations violations;
  std::uint64_t images = 0;
  points::on_store = [&] {
    const Suspended suspended;
    ++images;
    if (!points::at_guard || Region::inspect(file.path()) != RegionState::Good) { return; }
    const auto region = Region::open(file.path(), Access::ReadOnly).value();
    const Store store = region.store("state").value();
    if (store.committed() != Sequence{0} || store.count(0) != 0) {
      violations.push_back("good, and not its own (image " + std::to_string(images) + ")");
    }
  };
  // Where Region::format() maps the file is not known before: the first store of it is the header's first word.
  if (broken()) {
    points::swap.hold = [&](const std::uint64_t* at) {
      if (points::swap.until == nullptr) { points::swap.until = mapped_at(file.path()); }
      const auto word = static_cast<std::uint64_t>(at - points::swap.until);
      return word >= layout::header_area_bytes / 8 && word < (layout::header_area_bytes + layout::page_bytes) / 8;
    };
  }
  const auto formatted = Region::format(file.path(), crash_region_bytes, crash_schema());
  points::on_store = nullptr;
  ASSERT_TRUE(formatted.ok());
  expect_noticed(violations);
}

}  // namespace
}  // namespace understudy::shm::crash
