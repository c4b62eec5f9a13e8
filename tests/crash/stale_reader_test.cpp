// SPDX-License-Identifier: Apache-2.0
/// A reader that looked at the commit point some changes ago and goes on only now, at every store of the writer: what
/// it finds must be what was committed then, or nothing it would believe.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "image_check.hpp"
#include "journal.hpp"
#include "store_points.hpp"
#include "table.hpp"

namespace understudy::shm::crash {
namespace {

/// The file as a reader maps it, without the Store around it, so that the test can hold an old commit point.
struct RawView {
  explicit RawView(const std::string& path) : base(map_for_reading(path)) {
    layout::RegionHeader header;
    std::memcpy(&header, base, sizeof header);
    const auto& store = header.stores[0];
    table = Table(word(store.tables[0].slots_offset), store.tables[0].slot_count, 8, 24, header.hash_seed);
    control = reinterpret_cast<layout::StoreControl*>(word(store.control_offset));
    journal = Journal(control, word(store.journal_offset), store.journal_bytes);
  }
  ~RawView() { unmap(base); }
  RawView(const RawView&) = delete;
  RawView& operator=(const RawView&) = delete;
  [[nodiscard]] Word* word(std::uint64_t byte) const { return reinterpret_cast<Word*>(base) + byte / 8; }

  std::byte* base;
  Table table;
  layout::StoreControl* control;
  Journal journal;
};

/// What a reader with an old limit believes, held against what was committed then. Somebody who takes an older copy
/// without asking for the limit again looks beside it, and must be fooled, or the question is never needed.
class StaleLooks {
 public:
  explicit StaleLooks(const std::string& path) : view_(path) {}

  void look(std::uint64_t id, std::uint64_t limit, const Content& then) {
    const Key key{id};
    Value value{};
    const auto seen = view_.table.get(KeyWords(as_bytes_of(key)), limit, std::as_writable_bytes(std::span(&value, 1)));
    if (seen != Seen::Present && seen != Seen::Older) { return; }
    const auto wanted = then.find(id);
    const bool right = wanted != then.end() && value == value_of(wanted->second);
    const bool holds = words::load(&view_.control->commit.committed) == limit && !syncing();
    if (seen == Seen::Older && !holds) {
      fooled += right ? 0U : 1U;
      fooled_by_snapshot += !right && words::load(&view_.control->commit.committed) == limit ? 1U : 0U;
      return;
    }
    ++(seen == Seen::Older ? older : newest);
    EXPECT_TRUE(right) << id << " at " << limit;
  }
  [[nodiscard]] const RawView& view() const { return view_; }

  std::uint64_t newest = 0;  ///< believed
  std::uint64_t older = 0;   ///< believed, for the limit was still the same
  std::uint64_t fooled = 0;
  std::uint64_t fooled_by_snapshot = 0;  ///< of them those whom the commit point alone would not have helped

 private:
  [[nodiscard]] bool syncing() const { return words::load(&view_.control->commit.sync) != 0; }
  RawView view_;
};

TEST(AStaleReader, FindsWhatWasCommittedThenOrKnowsBetter) {
  ImageFile file("stale");
  auto region = Region::create(file.path(), crash_region_bytes, crash_schema()).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  StaleLooks looks(file.path());
  std::map<std::uint64_t, Content> states{{0, {}}};
  std::map<std::uint64_t, std::uint64_t> ends{{0, 0}};
  std::uint64_t ends_found = 0;
  points::on_store = [&] {
    for (auto state = states.rbegin(); state != states.rend() && state->first + 6 > states.rbegin()->first; ++state) {
      for (std::uint64_t id = 0; id < 6; ++id) { looks.look(id, state->first, state->second); }
      if (const auto end = looks.view().journal.end_of(state->first)) {
        ++ends_found;
        ASSERT_EQ(*end, ends[state->first]) << "journal end of " << state->first;
      }
    }
  };
  std::mt19937_64 random(17);
  Expected state;
  for (int i = 0; i < 500 && !testing::Test::HasFailure(); ++i) {
    const Step step{random() % 6, random() % 1000};
    const bool erase = random() % 4 == 0 && state.content.contains(step.id);
    state = write(writer, state, {{step.id, erase ? std::nullopt : step.seed}}).value();
    states[state.committed] = state.content;
    ends[state.committed] = ends[state.committed - 1] + layout::entry_bytes(8, erase ? 0 : 24);
  }
  points::on_store = nullptr;
  EXPECT_GT(looks.newest, 10000U);
  EXPECT_GT(looks.older, 1000U);
  EXPECT_GT(looks.fooled, 1000U);
  EXPECT_GT(ends_found, 5000U);
}

/// A snapshot overwrites both copies of a record while the commit point stands still.
TEST(AStaleReader, IsNotFooledByASnapshotThatBeganSince) {
  ImageFile file("stale");
  auto region = Region::create(file.path(), crash_region_bytes, crash_schema()).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  Expected state;
  for (std::uint64_t id = 0; id < 6; ++id) { state = write(writer, state, {{id, id}}).value(); }
  StaleLooks looks(file.path());
  points::on_store = [&] {
    for (std::uint64_t id = 0; id < 6; ++id) { looks.look(id, state.committed, state.content); }
  };
  ASSERT_TRUE(writer.begin_sync(false).ok());
  for (std::uint64_t sequence = 10; sequence < 40; ++sequence) {
    const Key key{sequence % 6};
    ASSERT_TRUE(
        writer.apply_snapshot_record(0, as_bytes_of(key), as_bytes_of(value_of(sequence)), Sequence{sequence}).ok());
  }
  ASSERT_TRUE(writer.end_sync(Sequence{50}, {{Term{1}, Sequence{1}}}, {}).ok());
  points::on_store = nullptr;
  EXPECT_GT(looks.newest, 50U);
  EXPECT_GT(looks.fooled_by_snapshot, 50U);
}

/// The slot is marked free while it gets its new key: a record behind it is found all the time.
TEST(AStaleReader, FindsWhatLiesBehindASlotThatIsBeingReused) {
  ImageFile file("stale");
  auto region = Region::create(file.path(), crash_region_bytes, crash_schema()).value();
  const Store store = region.store("state").value();
  auto writer = store.become_writer(Term{1}).value();
  const RawView view(file.path());
  const auto slot_of = [&](std::uint64_t id) {
    const Key key{id};
    return view.table.slot(view.table.home(KeyWords(as_bytes_of(key))));
  };
  std::vector<std::uint64_t> together{1};  // all at home in one slot: they lie one behind the other
  for (std::uint64_t id = 2; together.size() < 5; ++id) {
    if (slot_of(id) == slot_of(1)) { together.push_back(id); }
  }
  for (std::size_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(writer.put(0, as_bytes_of(Key{together[i]}), as_bytes_of(value_of(i))).ok());
  }
  ASSERT_TRUE(writer.erase(0, as_bytes_of(Key{together[0]})).ok());
  int looks = 0;
  points::on_store = [&] {
    ++looks;
    Value value{};
    const auto got = store.get(0, as_bytes_of(Key{together[3]}), std::as_writable_bytes(std::span(&value, 1)));
    EXPECT_TRUE(got.ok() && value == value_of(3)) << "after store " << looks;
  };
  ASSERT_TRUE(writer.put(0, as_bytes_of(Key{together[4]}), as_bytes_of(value_of(4))).ok());
  points::on_store = nullptr;
  EXPECT_GT(looks, 8);
  EXPECT_EQ(words::load(view.table.key_of(slot_of(1))), together[4]) << "it was not that slot that was reused";
}

/// A reader that has found its key in a slot, and goes on only when the slot is another key's: whichever of its loads
/// is the late one, it never tells that one's value.
TEST(AStaleReader, IsNotFooledByASlotThatAnotherKeyHasByNow) {
  ImageFile file("stale");
  auto region = Region::create(file.path(), crash_region_bytes, crash_schema()).value();
  const Store store = region.store("state").value();
  auto writer = store.become_writer(Term{1}).value();
  const RawView view(file.path());
  const auto slot_of = [&](std::uint64_t id) {
    const Key key{id};
    return view.table.slot(view.table.home(KeyWords(as_bytes_of(key)))) - view.word(0);
  };
  constexpr std::uint64_t id = 1;
  std::uint64_t other = 2;
  while (slot_of(other) != slot_of(id)) { ++other; }
  const auto replace = [&](std::uint64_t from, std::uint64_t to) {
    ASSERT_TRUE(writer.erase(0, as_bytes_of(Key{from})).ok());
    ASSERT_TRUE(writer.put(0, as_bytes_of(Key{to}), as_bytes_of(value_of(to))).ok());
  };
  ASSERT_TRUE(writer.put(0, as_bytes_of(Key{id}), as_bytes_of(value_of(id))).ok());
  std::size_t at_the_slot = 0;
  for (std::size_t late = 0; late < 8; ++late) {
    std::size_t loads = 0;
    points::on_load = [&](const std::uint64_t* at) {
      if (loads++ != late) { return; }
      at_the_slot += at - mapped_at(file.path()) == slot_of(id) ? 1U : 0U;
      const auto suspended = std::exchange(points::on_load, nullptr);
      replace(id, other);
      points::on_load = suspended;
    };
    Value value{};
    const auto got = store.get(0, as_bytes_of(Key{id}), std::as_writable_bytes(std::span(&value, 1)));
    points::on_load = nullptr;
    EXPECT_TRUE(!got || value == value_of(id)) << "load " << late;
    if (loads > late) { replace(other, id); }
  }
  EXPECT_GT(at_the_slot, 0U);
}

/// The next writer takes over what every prefix of a change leaves and changes something else. `forgets`: its stores to
/// the heads of slots are lost until it begins to write, so that it takes nothing back.
std::vector<std::string> take_over_everywhere(bool forgets, TableKind kind) {
  ImageFile file("taken");
  ImageFile copy("taken-copy");
  auto region = Region::create(file.path(), crash_region_bytes, crash_schema(kind)).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  const Expected before = write(writer, {}, {{1, 10}, {2, 20}, {3, 30}}).value();
  const std::vector<Step> in_flight{{1, 11}, {2, std::nullopt}, {4, 40}};
  const std::uint64_t first_table = layout::header_area_bytes + layout::page_bytes + layout::journal_bytes_min;
  const Word never = 0;
  std::vector<std::string> violations;
  points::on_store = [&] {
    const auto suspended = std::exchange(points::on_store, nullptr);
    copy_image(file.path(), copy.path());
    auto taken = Region::open(copy.path(), Access::ReadWrite).value();
    const Store store = taken.store("state").value();
    if (store.committed().value == before.committed) {
      const auto* tables = mapped_at(copy.path()) + first_table / sizeof(Word);
      if (forgets) {
        points::swap = {[=](const std::uint64_t* at) { return at >= tables; }, &never};
      }
      auto next = store.become_writer(Term{2});
      points::swap = {};
      points::held_back.clear();
      if (!next) {
        violations.push_back(next.error().message);
      } else if (const auto state = write(*next, before, {{7, 70}, {8, 80}, {9, 90}})) {
        (void)check_reader(copy.path(), *state, *state, violations);
      }
    }
    points::on_store = suspended;
  };
  (void)write(writer, before, in_flight).value();
  points::on_store = nullptr;
  return violations;
}

class ANextWriter : public testing::TestWithParam<TableKind> {};
INSTANTIATE_TEST_SUITE_P(Kind, ANextWriter, testing::Values(TableKind::Hashed, TableKind::Blob),
                         [](const auto& kind) { return kind.param == TableKind::Blob ? "Blobs" : "Fixed"; });

TEST_P(ANextWriter, TakesBackWhatWasNotCommittedAndWhoeverForgetsItIsCaught) {
  const auto violations = take_over_everywhere(false, GetParam());
  EXPECT_TRUE(violations.empty()) << violations.front();
  EXPECT_FALSE(take_over_everywhere(true, GetParam()).empty());
}

}  // namespace
}  // namespace understudy::shm::crash
