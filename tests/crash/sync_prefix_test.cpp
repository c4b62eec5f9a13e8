// SPDX-License-Identifier: Apache-2.0
/// Every prefix of a mirror's snapshots and of what follows one (sync_prefix.hpp), and the same broken on purpose.
/// Covers: shared-mem/src/sync.cpp
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>

#include "broken_order.hpp"
#include "sync_prefix.hpp"

namespace understudy::shm::crash {
namespace {

class EveryPrefixOfASnapshot : public testing::TestWithParam<SyncOf> {};
INSTANTIATE_TEST_SUITE_P(Of, EveryPrefixOfASnapshot,
                         testing::Values(SyncOf{TableKind::Hashed, true}, SyncOf{TableKind::Blob, true},
                                         SyncOf{TableKind::Hashed, false}, SyncOf{TableKind::Blob, false}),
                         [](const auto& of) { return name_of(of.param); });

TEST_P(EveryPrefixOfASnapshot, SaysSyncingOrIsWholeAndTheNextWriterGoesOn) {
  SyncPrefixes sut(GetParam());
  sut.run(amount(29, 3));
  EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  EXPECT_GT(sut.syncing, 50U);
  EXPECT_GT(sut.images, sut.syncing + 50) << "of accept_unsynced, too";
}

class EveryPrefixOfACatchUp : public testing::TestWithParam<SyncOf> {};
INSTANTIATE_TEST_SUITE_P(Of, EveryPrefixOfACatchUp,
                         testing::Values(SyncOf{TableKind::Hashed, true}, SyncOf{TableKind::Blob, true}),
                         [](const auto& of) { return name_of(of.param); });

/// Records of the snapshot are newer than its end, since the sender went on: the copy stays SYNCING until the journal
/// has brought every change up to the newest of them, and what it holds then is a state of the sender.
TEST_P(EveryPrefixOfACatchUp, WhoseSenderWentOnSaysSyncingUntilItCaughtUp) {
  ImageFile sender_file("sender");
  ImageFile mirror_file("mirror");
  auto sender_region = Region::create(sender_file.path(), crash_region_bytes, crash_schema(GetParam().kind)).value();
  auto mirror_region = Region::create(mirror_file.path(), crash_region_bytes, crash_schema(GetParam().kind)).value();
  auto sender = sender_region.store("state").value();
  auto writer = sender.become_writer(Term{1}).value();
  auto receiver = mirror_region.store("state").value().become_writer(Term{1}).value();
  Expected sent;
  std::map<std::uint64_t, Content> states;
  const auto change = [&](std::uint64_t id, std::optional<std::uint64_t> seed) {
    sent = write(writer, sent, {{id, seed}}).value();
    states[sent.committed] = sent.content;
  };
  for (std::uint64_t id = 0; id < 20; ++id) { change(id, id); }
  const Sequence at = sender.committed();
  ASSERT_TRUE(receiver.begin_sync(true).ok());
  std::uint64_t taken = 0;
  const auto take = [&](const Store::Record& record) {
    if (++taken == 5) {
      for (std::uint64_t id = 0; id < 20; id += 2) { change(id, id + 500); }
      for (std::uint64_t id = 1; id < 20; id += 6) { change(id, std::nullopt); }
    }
    return receiver.apply_snapshot_record(0, record.key, record.value, record.sequence).ok();
  };
  ASSERT_TRUE(sender.scan(0, {}, take).ok());
  ASSERT_TRUE(receiver.end_sync(at, sender.history(), sender.purged_up_to()).ok());
  ASSERT_TRUE(receiver.store().syncing());
  std::vector<std::string> violations;
  std::uint64_t syncing = 0;
  std::uint64_t whole = 0;
  no_region_in_children();
  points::on_store = [&] {
    const Suspended suspended;
    const Told told = in_a_fresh_process([&](Told& tell) {
      const auto region = Region::open(mirror_file.path(), Access::ReadOnly).value();
      const auto store = region.store("state").value();
      tell.found = store.syncing();
      if (tell.found) { return; }
      const std::uint64_t committed = store.committed().value;
      Content content;
      for (std::uint64_t id = 0; id < 20; ++id) {
        const auto got = get(store, id);
        if (got) { std::memcpy(&content[id], got->data(), 8); }
      }
      if (content != states[committed]) {
        tell.violations.push_back("not the sender's at " + std::to_string(committed));
      }
    });
    ++(told.found ? syncing : whole);
    violations.insert(violations.end(), told.violations.begin(), told.violations.end());
  };
  JournalReader journal(sender, at);
  for (auto chunk = journal.read(64); chunk.ok() && chunk->state == JournalReader::State::Entries;
       chunk = journal.read(64)) {
    ASSERT_TRUE(receiver.apply(chunk->bytes).ok());
  }
  points::on_store = nullptr;
  EXPECT_TRUE(violations.empty()) << first_of(violations);
  EXPECT_GT(syncing, 20U);
  EXPECT_GE(whole, 1U);
  EXPECT_EQ(receiver.committed(), sender.committed());
}

// --- the same broken on purpose ---

enum class Fault {
  None,
  RecordsBeforeTheMark,
  EndBeforeTheRecords,
  ServesBeforeItsCounts,
  ServesBeforeItsPurged,
  ServesBeforeItsCommitPoint
};
struct BrokenSync {
  SyncOf sync;
  Fault fault;
};

class ABrokenSync : public testing::TestWithParam<BrokenSync> {};
std::vector<BrokenSync> broken_syncs() {
  std::vector<BrokenSync> all;
  for (const bool full : {true, false}) {
    for (int fault = 0; fault <= static_cast<int>(Fault::ServesBeforeItsCommitPoint); ++fault) {
      all.push_back({{TableKind::Hashed, full}, static_cast<Fault>(fault)});
    }
  }
  return all;
}
std::string name_of(const BrokenSync& broken) {
  static constexpr std::array names{"Whole",
                                    "RecordsBeforeTheMark",
                                    "EndBeforeTheRecords",
                                    "ServesBeforeItsCounts",
                                    "ServesBeforeItsPurged",
                                    "ServesBeforeItsCommitPoint"};
  return name_of(broken.sync) + names[static_cast<std::size_t>(broken.fault)];
}
INSTANTIATE_TEST_SUITE_P(Of, ABrokenSync, testing::ValuesIn(broken_syncs()),
                         [](const auto& of) { return name_of(of.param); });

/// The mark is the word behind the commit point.
points::Swap broken(const Parts& parts, Fault fault) {
  const std::uint64_t* mark = parts.committed() + 1;
  switch (fault) {
    case Fault::RecordsBeforeTheMark:
      return {.hold = only(mark), .until = parts.purged()};
    case Fault::EndBeforeTheRecords:
      return {.hold = [=](const std::uint64_t* at) { return parts.word_of_slot(0, at).has_value(); }, .until = mark};
    case Fault::ServesBeforeItsCounts:
      return {.hold = within(parts.control(offsetof(StoreControl, counts)), sizeof(StoreControl::counts) / 8),
              .until = mark};
    case Fault::ServesBeforeItsPurged:
      return {.hold = only(parts.purged()), .until = mark};
    case Fault::ServesBeforeItsCommitPoint:
      return {.hold = only(parts.committed()), .until = mark};
    default:
      return {};
  }
}

TEST_P(ABrokenSync, IsNoticed) {
  const Fault fault = GetParam().fault;
  SyncPrefixes sut(GetParam().sync);
  if (fault >= Fault::ServesBeforeItsCounts) {
    sut.break_accepting = [=](const std::uint64_t* base) { points::swap = broken(Parts(base), fault); };
  } else {
    points::swap = broken(Parts(sut.path()), fault);
  }
  sut.run(fault >= Fault::ServesBeforeItsCounts ? 40 : 1'000'000);
  points::swap = {};
  points::held_back.clear();
  if (fault == Fault::None) {
    EXPECT_TRUE(sut.violations.empty()) << first_of(sut.violations);
  } else {
    EXPECT_TRUE(noticed_at_an_image(sut.violations)) << first_of(sut.violations);
  }
}

}  // namespace
}  // namespace understudy::shm::crash
