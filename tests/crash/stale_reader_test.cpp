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

TEST(AStaleReader, FindsWhatWasCommittedThenOrKnowsBetter) {
  ImageFile file("stale");
  auto region = Region::create(file.path(), crash_region_bytes, crash_schema()).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  const RawView view(file.path());
  std::map<std::uint64_t, Content> states{{0, {}}};
  std::map<std::uint64_t, std::uint64_t> ends{{0, 0}};
  std::uint64_t believed = 0;
  std::uint64_t ends_found = 0;
  points::on_store = [&] {
    for (auto state = states.rbegin(); state != states.rend() && state->first + 6 > states.rbegin()->first; ++state) {
      for (std::uint64_t id = 0; id < 6; ++id) {
        const Key key{id};
        Value value{};
        const auto seen =
            view.table.get(KeyWords(as_bytes_of(key)), state->first, std::as_writable_bytes(std::span(&value, 1)));
        if (seen != Seen::Present) { continue; }
        ++believed;
        const auto wanted = state->second.find(id);
        ASSERT_TRUE(wanted != state->second.end()) << id << " at " << state->first;
        ASSERT_EQ(value, value_of(wanted->second)) << id << " at " << state->first;
      }
      if (const auto end = view.journal.end_of(state->first)) {
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
  EXPECT_GT(believed, 10000U);
  EXPECT_GT(ends_found, 5000U);
}

}  // namespace
}  // namespace understudy::shm::crash
