// SPDX-License-Identifier: Apache-2.0
/// A reader that is held up at each of its loads while the writer makes any number of stores, and then goes on: what it
/// tells was committed at one of the instants of its call. And the steps of the publication order that only such a
/// reader can tell from their opposite, each broken on purpose.
///
///   reader   load 0  load 1 ... load r |                           | goes on: tells what?
///   writer                             | store 1 .. store w, stands
///
/// Covers: shared-mem/src/store.cpp
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <thread>

#include "image_check.hpp"
#include "stepped_writer.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {
namespace {

/// Done anew for each load and each number of stores. `after`: both have ended.
struct Script {
  std::function<void()> prepare = [] {};
  std::function<void()> work;
  std::function<void()> read;
  std::function<void()> after = [] {};
};

class AReaderHeldUp : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override { SteppedWriter::counting = true; }
  void TearDown() override {
    points::on_load = nullptr;
    points::on_store = nullptr;
    whole_again();
  }
  static void whole_again() {
    points::swap = {};
    points::held_back.clear();
  }
  void open(TableKind of) {
    kind = of;
    region.emplace(Region::create(file.path(), crash_region_bytes, crash_schema(kind)).value());
    store.emplace(region->store("state").value());
    writer.emplace(store->become_writer(Term{1}).value());
    put(1);
    put(2);
    base = mapped_at(file.path());
    std::memcpy(&header, base, sizeof header);
  }
  [[nodiscard]] const std::uint64_t* at(std::uint64_t byte) const { return base + byte / sizeof *base; }
  [[nodiscard]] const std::uint64_t* control(std::size_t offset) const {
    return at(header.stores[0].control_offset + offset);
  }
  [[nodiscard]] std::uint64_t committed() const { return writer->committed().value; }
  /// The seed is the sequence.
  void put(std::uint64_t id) {
    const auto done = writer->put(0, as_bytes_of(Key{id}), value_bytes_of(kind, committed() + 1));
    note(done.ok(), "not written");
  }
  void note(bool good, const std::string& what) {
    if (!good && wrong.empty()) { wrong = what; }
  }
  /// A value of a record that has had a change with each sequence since `first`.
  void check(Bytes value, std::uint64_t first) {
    std::uint64_t seed = 0;
    std::memcpy(&seed, value.data(), sizeof seed);
    note(std::ranges::equal(value, value_bytes_of(kind, seed)), "torn");
    note(seed >= first && seed <= store->committed().value, "a value of another time: " + std::to_string(seed));
  }
  void hold_up_everywhere(const Script& script) {
    for (std::uint64_t late = 0; wrong.empty(); ++late) {
      std::uint64_t loads = 0;
      bool was_done = false;
      for (std::uint64_t count = 1; !was_done && wrong.empty(); ++count) {
        script.prepare();
        loads = 0;
        {
          SteppedWriter steps(script.work);
          points::on_load = [&, reader = std::this_thread::get_id()](const std::uint64_t* /*at*/) {
            if (std::this_thread::get_id() != reader || loads++ != late) { return; }
            steps.go(count);
            was_done = steps.done();
            ++held;
          };
          script.read();
          points::on_load = nullptr;
        }
        script.after();
        if (loads <= late) { return; }  // it has no such load
      }
    }
  }
  /// Of record 1, which was put as `first` and is put twice more.
  void read_beside_two_puts(const std::function<void(std::uint64_t first)>& read) {
    open(TableKind::Hashed);
    std::uint64_t first = 0;
    hold_up_everywhere({.prepare =
                            [&] {
                              put(1);
                              first = committed();
                            },
                        .work =
                            [&] {
                              put(1);
                              put(1);
                            },
                        .read = [&] { read(first); }});
    expect_noticed();
  }
  /// With the step in its place nothing is found, and much was looked at.
  void expect_noticed() const {
    if (GetParam()) {
      EXPECT_NE(wrong, "") << "not noticed";
    } else {
      EXPECT_EQ(wrong, "");
      EXPECT_GT(held, 50U);
    }
  }

  ImageFile file{"held"};
  std::optional<Region> region;
  std::optional<Store> store;
  std::optional<StoreWriter> writer;
  TableKind kind = TableKind::Hashed;
  const std::uint64_t* base = nullptr;
  layout::RegionHeader header{};
  std::uint64_t held = 0;
  std::string wrong;  ///< the first thing that never was
};
class AReaderHeldUpWhile : public AReaderHeldUp {};
INSTANTIATE_TEST_SUITE_P(TheOrderIs, AReaderHeldUpWhile, testing::Bool(),
                         [](const auto& is) { return is.param ? "Broken" : "Whole"; });
INSTANTIATE_TEST_SUITE_P(In, AReaderHeldUp, testing::Values(false), [](const auto& /*is*/) { return "ItsCall"; });

TEST_P(AReaderHeldUp, TellsARecordAsItWasMeanwhile) {
  read_beside_two_puts([&](std::uint64_t first) {
    const auto got = get(*store, 1);
    note(got.ok(), "absent");
    if (got) { check(*got, first); }
  });
}

TEST_P(AReaderHeldUp, TellsManyAsTheyWereMeanwhile) {
  read_beside_two_puts([&](std::uint64_t first) {
    const std::array<Key, 2> keys{Key{1}, Key{99}};
    std::array<Value, 2> values{};
    std::array<std::uint8_t, 2> found{};
    const auto got =
        store->get_many(0, std::as_bytes(std::span(keys)), std::as_writable_bytes(std::span(values)), found);
    note(got.ok() && found[0] == 1 && found[1] == 0, "not the one that is there");
    if (got) { check(as_bytes_of(values[0]), first); }
  });
}

/// A record that comes and goes, between two that stay.
TEST_P(AReaderHeldUp, ScansWhatStaysOnceAndWhatChangesAsItWasMeanwhile) {
  open(TableKind::Hashed);
  std::uint64_t rounds = 0;
  const auto scan = [&] {
    std::multiset<std::uint64_t> ids;
    const auto scanned = store->scan(0, {}, [&](const Store::Record& record) {
      std::uint64_t id = 0;
      std::memcpy(&id, record.key.data(), sizeof id);
      if (id != 3) { ids.insert(id); }
      check(record.value, 1);
      return true;
    });
    note(scanned.ok() && ids == std::multiset<std::uint64_t>{1, 2}, "not what stayed");
  };
  for (const std::uint64_t stores : {std::uint64_t{3}, std::uint64_t{9}, std::uint64_t{17}, std::uint64_t{29}}) {
    for (std::uint64_t late = 0; late < 300 && wrong.empty(); ++late, ++rounds) {
      std::uint64_t loads = 0;
      SteppedWriter steps([&] {
        put(3);
        note(writer->erase(0, as_bytes_of(Key{3})).ok(), "not erased");
      });
      points::on_load = [&, reader = std::this_thread::get_id()](const std::uint64_t* /*at*/) {
        if (std::this_thread::get_id() != reader || loads++ != late) { return; }
        steps.go(stores);
      };
      scan();
      points::on_load = nullptr;
    }
  }
  EXPECT_EQ(wrong, "");
  EXPECT_GT(rounds, 1000U);
}

/// The slab of the value that it is reading is given to another record. Broken: not said before it is overwritten.
TEST_P(AReaderHeldUpWhile, ASlabIsUsedAgain) {
  open(TableKind::Blob);
  const auto& table = header.stores[0].tables[0];
  if (GetParam()) {
    points::swap.hold = [&](const std::uint64_t* word) {
      const auto* first = at(table.slabs_offset);
      return word >= first && static_cast<std::uint64_t>(word - first) * 8 % table.slab_bytes == 0;
    };
  }
  std::uint64_t first = 0;
  hold_up_everywhere({.prepare =
                          [&] {
                            put(1);
                            first = committed();
                          },
                      .work =
                          [&] {
                            SteppedWriter::counting = false;  // until the slab is the next one
                            put(1);
                            for (std::uint64_t i = 0; i + 3 < table.slab_count; ++i) { put(2); }
                            SteppedWriter::counting = true;
                            put(2);
                            put(2);
                          },
                      .read =
                          [&] {
                            const auto got = get(*store, 1);
                            note(got.ok(), "absent, or: " + (got ? "" : got.error().message));
                            if (got) { check(*got, first); }
                          }});
  expect_noticed();
}

/// Broken: the number of a count changes before its copy is invalid.
TEST_P(AReaderHeldUpWhile, ACountChanges) {
  open(TableKind::Hashed);
  if (GetParam()) {
    const auto* counts = control(offsetof(layout::StoreControl, counts));
    points::swap.lost = [=](const std::uint64_t* word) { return word >= counts && word < counts + 4; };
  }
  std::uint64_t first = 0;
  hold_up_everywhere({.prepare =
                          [&] {
                            for (std::uint64_t id = 3; id < 5; ++id) { (void)writer->erase(0, as_bytes_of(Key{id})); }
                            first = committed();
                          },
                      .work =
                          [&] {
                            put(3);
                            put(4);
                          },
                      .read =
                          [&] {
                            const auto count = store->count(0);
                            const auto most = 2 + store->committed().value - first;
                            note(count >= 2 && count <= most, "count " + std::to_string(count));
                          }});
  expect_noticed();
}

/// A follower that takes its place at the journal's end. Broken: an end moves before it is invalid.
TEST_P(AReaderHeldUpWhile, TheJournalsEndMoves) {
  open(TableKind::Hashed);
  if (GetParam()) {
    const auto* ends = control(offsetof(layout::StoreControl, commit) + offsetof(layout::CommitLine, ends));
    points::swap.lost = [=](const std::uint64_t* word) { return word >= ends && word < ends + 4; };
  }
  std::optional<JournalReader> follower;
  std::uint64_t next = 0;
  const auto follow = [&] {
    const auto chunk = follower->read(4096);
    note(chunk.ok() && chunk->state != JournalReader::State::Lapped, chunk ? "lapped" : chunk.error().message);
    if (!chunk || chunk->state != JournalReader::State::Entries) { return; }
    const auto walked = for_each_entry(chunk->bytes, [&](const JournalEntry& entry) {
      note(entry.sequence.value == next, "a gap at " + std::to_string(next));
      ++next;
    });
    note(walked.ok(), "damaged");
  };
  hold_up_everywhere({.prepare =
                          [&] {
                            follower.emplace(*store, Sequence{committed()});
                            next = committed() + 1;
                          },
                      .work =
                          [&] {
                            put(1);
                            put(1);
                            put(2);
                          },
                      .read = follow,
                      .after =
                          [&] {
                            follow();
                            note(next == committed() + 1, "not all that followed");
                          }});
  expect_noticed();
}

}  // namespace
}  // namespace understudy::shm::crash
