// SPDX-License-Identifier: Apache-2.0
/// A reader that is held up at each of its loads while the writer changes a table, rebuilds it larger and changes it
/// again: it is led from the first slots to the grown ones, or reads on in the first ones what was there.
///
///   a limit is read before it is asked where the table is: of a record is told what it was at the last commit point
///   that the reader saw, or later
///
/// Covers: shared-mem/src/rebuild.cpp, shared-mem/src/store_many.cpp
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "image_check.hpp"
#include "prefixes.hpp"
#include "stepped_writer.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::crash {
namespace {

struct Rebuilt {
  TableKind kind;
  bool broken;  ///< the grown slots are filled after the switch
};

class AReaderAcrossARebuild : public testing::TestWithParam<Rebuilt> {
 protected:
  void SetUp() override {
    SteppedWriter::counting = true;
    region.emplace(Region::create(file.path(), crash_region_bytes, crash_schema(GetParam().kind)).value());
    store.emplace(region->store("state").value());
    writer.emplace(store->become_writer(Term{1}).value());
    for (std::uint64_t id = 1; id <= 5; ++id) { put(id); }
    writer.reset();
    base = mapped_at(file.path());
    bytes = map_for_writing(file.path());
    good.assign(bytes, bytes + crash_region_bytes / 4);
    std::memcpy(&header, bytes, sizeof header);
    first = store->committed().value;
    at_first = states;
    learn_the_stops();
  }
  void TearDown() override {
    points::on_load = nullptr;
    points::on_store = nullptr;
    whole_again();
    writer.reset();
    unmap(bytes);
  }
  static void whole_again() {
    points::swap = {};
    points::held_back.clear();
  }

  // --- the writer ---

  void put(std::uint64_t id) {
    const std::uint64_t sequence = store->committed().value + 1;
    Content next = states.empty() ? Content() : states.rbegin()->second;
    next[id] = sequence;
    states[sequence] = next;  // noted first: a reader may find it at once
    const auto done = writer->put(0, as_bytes_of(Key{id}), value_bytes_of(GetParam().kind, sequence));
    note(done.ok(), "not written");
  }
  void erase(std::uint64_t id) {
    Content next = states.rbegin()->second;
    next.erase(id);
    states[store->committed().value + 1] = next;
    note(writer->erase(0, as_bytes_of(Key{id})).ok(), "not erased");
  }
  void work() {
    put(2);
    break_the_switch();
    note(writer->rebuild(0).ok(), "not rebuilt");
    whole_again();
    put(2);
    erase(3);
    put(6);
    put(1);
  }
  void break_the_switch() {
    if (!GetParam().broken) { return; }
    const auto& table = header.stores[0].tables[0];
    const auto* from = base + table.grown_slots_offset / 8;
    const std::uint64_t words =
        layout::slot_words(8, table.kind == layout::table_blob ? 8 : 24) * table.grown_slot_count;
    points::swap.hold = [=](const std::uint64_t* at) { return at >= from && at < from + words; };
    points::swap.until =
        &reinterpret_cast<const layout::StoreControl*>(base + header.stores[0].control_offset / 8)->tables[0].grown;
  }
  /// As it was before the work, whatever became of it.
  void begin_anew() {
    writer.reset();
    std::memcpy(bytes, good.data(), good.size());
    states = at_first;
    writer.emplace(store->become_writer(Term{1}).value());
  }
  void learn_the_stops() {
    begin_anew();
    stores = 0;
    points::on_store = [&] { ++stores; };
    work();
    points::on_store = nullptr;
  }

  // --- the reader ---

  void note(bool is_good, const std::string& what) {
    if (!is_good && wrong.empty()) { wrong = what; }
  }
  /// Of one of the commit points from the last one that the reader saw to the present one.
  void check(std::uint64_t id, std::optional<Bytes> value) {
    std::optional<std::uint64_t> seed;
    if (value) {
      seed.emplace(0);
      std::memcpy(&*seed, value->data(), sizeof *seed);
      note(std::ranges::equal(*value, value_bytes_of(GetParam().kind, *seed)), "torn");
    }
    const std::uint64_t now = store->committed().value;
    for (std::uint64_t at = saw; at <= now; ++at) {
      const Content& then = states[at];
      const auto wanted = then.find(id);
      if (wanted == then.end() ? !seed : seed == wanted->second) { return; }
    }
    note(false, std::to_string(id) + " as it was not at " + std::to_string(saw) + " or later");
  }
  /// `every`: of the loads of a long call so many apart are looked at.
  void hold_up_everywhere(const std::function<void()>& read, std::uint64_t every = 1) {
    const auto* commit_point = base + (header.stores[0].control_offset + offsetof(layout::StoreControl, commit)) / 8;
    std::uint64_t loads = 1;
    for (std::uint64_t late = 0; late < loads && wrong.empty(); late += every) {
      for (std::uint64_t count = 1; count <= stores && wrong.empty(); ++count) {
        begin_anew();
        saw = first;
        loads = 0;
        SteppedWriter steps([&] { work(); });
        points::on_load = [&, reader = std::this_thread::get_id()](const std::uint64_t* at) {
          if (std::this_thread::get_id() != reader || checking) { return; }
          if (loads++ == late) { steps.go(count); }
          if (at == commit_point) { saw = *at; }
        };
        read();
        points::on_load = nullptr;
        ++held;
      }
    }
    whole_again();
    if (GetParam().broken) {
      EXPECT_NE(wrong, "") << "not noticed";
    } else {
      EXPECT_EQ(wrong, "");
      EXPECT_GT(held, 2 * stores);
    }
  }
  /// The test's own loads are none of the reader's.
  template <class Look>
  void checked(const Look& look) {
    checking = true;
    look();
    checking = false;
  }

  ImageFile file{"rebuilt"};
  std::optional<Region> region;
  std::optional<Store> store;
  std::optional<StoreWriter> writer;
  std::uint8_t* bytes = nullptr;
  std::vector<std::uint8_t> good;
  layout::RegionHeader header{};
  const std::uint64_t* base = nullptr;
  std::uint64_t first = 0;
  std::map<std::uint64_t, Content> at_first;
  std::map<std::uint64_t, Content> states;  ///< the content at each commit point
  std::uint64_t stores = 0;                 ///< of the work
  std::uint64_t saw = 0;                    ///< the commit point that the reader saw last
  bool checking = false;
  std::uint64_t held = 0;
  std::string wrong;  ///< the first thing that never was
};

INSTANTIATE_TEST_SUITE_P(Of, AReaderAcrossARebuild,
                         testing::Values(Rebuilt{TableKind::Hashed, false}, Rebuilt{TableKind::Hashed, true},
                                         Rebuilt{TableKind::Blob, false}, Rebuilt{TableKind::Blob, true}),
                         [](const auto& of) {
                           return std::string(of.param.kind == TableKind::Blob ? "Blobs" : "Fixed") +
                                  (of.param.broken ? "Broken" : "");
                         });

TEST_P(AReaderAcrossARebuild, GetsARecordAsItWasAtACommitPointThatItSawOrLater) {
  for (const std::uint64_t id : {2U, 3U, 6U}) {
    hold_up_everywhere([&] {
      const auto got = get(*store, id);
      checked([&] { check(id, got ? std::optional(Bytes(*got)) : std::nullopt); });
    });
    if (GetParam().broken) { return; }
  }
}

TEST_P(AReaderAcrossARebuild, GetsManyAsTheyWereAtACommitPointThatItSawOrLater) {
  const bool blob = GetParam().kind == TableKind::Blob;
  // The last of them is the one whose limit is known.
  hold_up_everywhere([&] {
    const std::array<Key, 3> keys{Key{4}, Key{99}, Key{2}};
    std::vector<std::byte> values(keys.size() * (blob ? blob_bytes : sizeof(Value)));
    std::array<std::uint32_t, 3> lengths{sizeof(Value), sizeof(Value), sizeof(Value)};
    std::array<std::uint8_t, 3> found{};
    const auto asked = std::as_bytes(std::span(keys));
    const auto got = blob ? store->get_blobs(0, asked, values, lengths) : store->get_many(0, asked, values, found);
    checked([&] {
      note(got.ok() && *got == 2, "not those that are there");
      for (std::size_t i = 0; blob && i < keys.size(); ++i) { found[i] = lengths[i] == Store::absent ? 0 : 1; }
      if (wrong.empty() && found[0] == 1 && found[1] == 0 && found[2] == 1) {
        check(2, Bytes(values).subspan(2 * values.size() / 3, lengths[2]));
      } else {
        note(false, "not those that are there");
      }
    });
  });
}

/// A record that it meets is told as it was then; who stays is told once, who was never there not at all.
TEST_P(AReaderAcrossARebuild, ScansEachRecordOnceWhereItIsByThen) {
  hold_up_everywhere(
      [&] {
        std::multimap<std::uint64_t, bool> ids;
        const auto scanned = store->scan(0, {}, [&](const Store::Record& record) {
          std::uint64_t id = 0;
          std::memcpy(&id, record.key.data(), sizeof id);
          ids.emplace(id, true);
          checked([&] { check(id, record.value); });
          return true;
        });
        note(scanned.ok(), scanned ? "" : scanned.error().message);
        for (const std::uint64_t id : {1U, 2U, 4U, 5U}) { note(ids.count(id) == 1, std::to_string(id) + " not once"); }
        note(ids.count(3) <= 1 && ids.count(6) <= 1, "a record twice");
      },
      amount(31, 1));
}

TEST_P(AReaderAcrossARebuild, ScansInOrderOneCommittedState) {
  hold_up_everywhere(
      [&] {
        Content content;
        const auto scanned = store->scan_ordered(0, [&](const Store::Record& record) {
          std::uint64_t id = 0;
          std::memcpy(&id, record.key.data(), sizeof id);
          std::memcpy(&content[id], record.value.data(), sizeof(std::uint64_t));
          return true;
        });
        note(scanned.ok(), scanned ? "" : scanned.error().message);
        if (scanned) { note(content == states[scanned->value], "not the state at its sequence"); }
      },
      amount(31, 1));
}

}  // namespace

/// The journal knows nothing of a rebuild.
class AFollowerAcrossARebuild : public AReaderAcrossARebuild {};
INSTANTIATE_TEST_SUITE_P(Of, AFollowerAcrossARebuild,
                         testing::Values(Rebuilt{TableKind::Hashed, false}, Rebuilt{TableKind::Blob, false}),
                         [](const auto& of) { return of.param.kind == TableKind::Blob ? "Blobs" : "Fixed"; });

TEST_P(AFollowerAcrossARebuild, IsToldEachChangeOnce) {
  hold_up_everywhere(
      [&] {
        JournalReader follower(*store, Sequence{first - 1});
        std::uint64_t next = first;
        for (bool more = true; more && wrong.empty();) {
          const auto chunk = follower.read(4096);
          note(chunk.ok() && chunk->state != JournalReader::State::Lapped, chunk ? "lapped" : chunk.error().message);
          more = chunk.ok() && chunk->state == JournalReader::State::Entries;
          if (!more) { break; }
          const auto walked = for_each_entry(chunk->bytes, [&](const JournalEntry& entry) {
            std::uint64_t id = 0;
            std::memcpy(&id, entry.key.data(), sizeof id);
            const Content& then = states[next];
            const bool puts = entry.op == JournalEntry::Op::Put;
            note(entry.sequence.value == next && then.contains(id) == puts, "not change " + std::to_string(next));
            ++next;
          });
          note(walked.ok(), "damaged");
        }
        note(next > first, "nothing was told");
      },
      amount(5, 1));
}

}  // namespace understudy::shm::crash
