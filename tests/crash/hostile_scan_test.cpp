// SPDX-License-Identifier: Apache-2.0
/// A guest on another processor that stores just before the host loads, so as to keep a scan from ending. It ends,
/// after a bounded number of looks. Covers: shared-mem/src/store.cpp, shared-mem/src/snapshot.cpp
#include <gtest/gtest.h>

#include <cstring>

#include "hostile_image.hpp"
#include "understudy/shm/crc32c.hpp"

namespace understudy::shm::crash {
namespace {

class AHostileGuest : public AHostileImage {
 protected:
  AHostileGuest() : AHostileImage("attacked", crash_region_bytes, crash_schema()) {}
  /// `before_look` is called before each load of the commit point; what it loads itself does not count.
  void at_each_look(std::function<void()> before_look) {
    points::on_load = [this, before_look = std::move(before_look)](const std::uint64_t* at) {
      if (at != commit_point || busy) { return; }
      busy = true;
      ++looks;
      before_look();
      busy = false;
    };
  }
  static bool go_on(const Store::Record& /*record*/) { return true; }

  std::uint64_t* commit_point = &control->commit.committed;
  std::uint64_t looks = 0;
  bool busy = false;
};

/// Every slot holds a deletion, which is true only while the commit point stands; and it never does for long.
TEST_F(AHostileGuest, DoesNotStretchAScanByItsCommitPoint) {
  const auto& table = plan.tables[0];
  const std::uint64_t slot_words = layout::slot_words(8, sizeof(Value));
  for (std::uint64_t slot = 0; slot < table.slot_count; ++slot) {
    words[table.slots_offset / sizeof *words + slot * slot_words] =
        layout::head_of(1, layout::kind_free, layout::kind_erased, 0);
  }
  *commit_point = 1;
  constexpr std::uint64_t stands_each = 2'000;
  at_each_look([this] { *commit_point += looks % stands_each == 0 ? 0U : 1U; });
  const auto scanned = store.scan(0, {}, go_on);
  EXPECT_FALSE(scanned.ok());
  EXPECT_LT(looks, std::uint64_t{300'000});
  EXPECT_GT(table.slot_count * stands_each, std::uint64_t{300'000}) << "else nothing was shown";
}

/// One look sees a commit point that is far ahead; then the guest commits on for ever.
TEST_F(AHostileGuest, DoesNotKeepAnOrderedScanReadingItsJournal) {
  constexpr std::uint64_t looks_max = 40'000;
  auto writer = store.become_writer(Term{1}).value();
  std::uint64_t id = 0;
  const auto commit_one = [&] {
    (void)writer.put(0, as_bytes_of(Key{id++ % capacity}), value_bytes_of(TableKind::Hashed, id));
  };
  for (std::uint64_t i = 0; i < 2 * capacity; ++i) { commit_one(); }
  for (std::uint64_t shown_at = 1; shown_at <= 100; ++shown_at) {
    looks = 0;
    at_each_look([&] {
      *commit_point = writer.committed().value;
      if (looks < looks_max) { commit_one(); }
      if (looks == shown_at) { *commit_point = std::uint64_t{1} << 57; }
    });
    (void)store.scan_ordered(0, go_on);
    points::on_load = nullptr;
    *commit_point = writer.committed().value;
    ASSERT_LT(looks, looks_max) << "shown at look " << shown_at;
  }
}

/// Each look at whether it was lapped finds one more entry, and the ring reserved for it.
TEST_F(AHostileGuest, DoesNotKeepAFollowerLookingForItsPlace) {
  auto writer = store.become_writer(Term{1}).value();
  ASSERT_TRUE(writer.put(0, as_bytes_of(Key{1}), value_bytes_of(TableKind::Hashed, 1)).ok());
  constexpr std::uint64_t shown = 100'000;
  layout::JournalEntryHeader header{2, 0, 8, 0, layout::value_bytes_max, layout::op_put, 1, 0};
  const std::uint64_t bytes = layout::entry_bytes(header.key_bytes, header.value_bytes);
  std::uint64_t position = layout::entry_bytes(8, sizeof(Value));
  auto* const ring = reinterpret_cast<std::byte*>(words + plan.journal_offset / sizeof *words);
  const auto write_one_more = [&] {
    std::vector<std::byte> entry(bytes);
    header.crc32c = 0;
    std::memcpy(entry.data(), &header, sizeof header);
    header.crc32c = crc32c(entry);
    std::memcpy(entry.data(), &header, sizeof header);
    for (std::uint64_t i = 0; i < bytes; ++i) { ring[(position + i) % plan.journal_bytes] = entry[i]; }
    position += bytes;
    control->commit.reserved_end = position;
    ++header.sequence;
  };
  *commit_point = shown;
  control->commit.ends[0] = {shown, position};
  points::on_load = [&](const std::uint64_t* at) {
    if (at != &control->commit.reserved_end) { return; }
    ++looks;
    write_one_more();
  };
  JournalReader reader(store, Sequence{shown - 10});
  const auto read = reader.read(4096);
  points::on_load = nullptr;
  EXPECT_TRUE(!read.ok() || read->state == JournalReader::State::Lapped);
  EXPECT_GT(looks, plan.journal_bytes / bytes - 2) << "else nothing was shown";
  EXPECT_LT(looks, 2 * plan.journal_bytes / bytes);
}

}  // namespace
}  // namespace understudy::shm::crash
