// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "hostile/every_call.hpp"
#include "region_fuzz.hpp"
#include "understudy/link/replication_frame.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm::hostile {
namespace {

namespace wire = link::replication;
using Input = std::vector<std::uint8_t>;

constexpr std::uint8_t of_region = 0;
constexpr std::uint8_t of_moving = 1;
constexpr std::uint8_t of_frames = 2;
constexpr std::uint8_t of_both = 3;
constexpr std::uint8_t mended = 4;
constexpr std::uint8_t only_first = 8;  // of the calls; twice as much: only the second one
constexpr std::size_t payload_max = 4000;
constexpr std::size_t puts_max = 400;

void add_number(Input& to, std::uint64_t number, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) { to.push_back(static_cast<std::uint8_t>(number >> (8 * i) & 0xff)); }
}

/// Bytes to be written at an offset of the region.
struct Patch {
  std::uint64_t offset;
  std::uint64_t word;
};
void add_patch(Input& to, const Patch& patch) {
  add_number(to, patch.offset, 3);
  to.push_back(8);
  for (int i = 0; i < 8; ++i) { to.push_back(static_cast<std::uint8_t>(patch.word >> (8 * i) & 0xff)); }
}
void add_frame(Input& to, wire::FrameType type, std::uint16_t store, Sequence first, Bytes payload) {
  to.push_back(static_cast<std::uint8_t>(type));
  to.push_back(static_cast<std::uint8_t>(store << 1));
  add_number(to, first.value, 2);
  add_number(to, payload.size(), 2);
  for (const auto byte : payload) { to.push_back(std::to_integer<std::uint8_t>(byte)); }
}

class Seeds {
 public:
  Seeds() : path_("/dev/shm/understudy-seeds-" + std::to_string(::getpid())), shipped_(make_good(path_)) {
    const Region region = Region::open(path_, Access::ReadOnly).value();
    std::ifstream(path_, std::ios::binary).read(reinterpret_cast<char*>(&header_), sizeof header_);
    for (std::size_t i = 0; i < header_.store_count; ++i) {
      committed_.push_back(region.store(header_.stores[i].name).value().committed());
      add_store(header_.stores[i]);
    }
    add("header", {{offsetof(layout::RegionHeader, hash_seed), 1}}, mended);
    add("capacity", {{offsetof(layout::RegionHeader, stores[0].tables[0].capacity), 23}}, mended);
    add_frames(0, shipped_.state);
    add_frames(1, shipped_.heap);
    ::unlink(path_.c_str());
  }
  std::vector<Seed> all;

 private:
  /// Still, and while the calls run.
  void add(const std::string& name, const std::vector<Patch>& patches, std::uint8_t flags = 0) {
    Input still{static_cast<std::uint8_t>(of_region | flags)};
    Input moving{of_moving};
    for (const auto& patch : patches) {
      add_patch(still, patch);
      add_number(moving, 97, 2);
      add_patch(moving, patch);
    }
    all.push_back({name, still});
    all.push_back({name + "-moving", moving});
    for (std::size_t call = 0; call < calls().size(); ++call) {
      // Each call alone somewhere; the fuzzer puts them together.
      if ((all.size() + call) % calls().size() != 0) { continue; }
      still[0] = static_cast<std::uint8_t>(still[0] + only_first * (call + 1));
      moving[0] = static_cast<std::uint8_t>(moving[0] + only_first * (call + 1));
      all.push_back({name + "-by-" + calls()[call].name, still});
      all.push_back({name + "-moving-by-" + calls()[call].name, moving});
      break;
    }
    patches_ = patches;
  }
  void add_store(const layout::StoreDescription& store) {
    const std::string name = store.name;
    const std::uint64_t control = store.control_offset;
    const std::uint64_t commit = control + offsetof(layout::StoreControl, commit);
    add(name + "-committed", {{commit, ~0ULL}, {commit + 8, layout::sync_snapshot}, {commit + 16, 8}, {commit, 3}});
    add(name + "-ends", {{commit + 32, 1}, {commit + 40, ~7ULL}, {commit + 48, ~0ULL}});
    add(name + "-writer", {{control, 7}, {control + 8, 9}});
    add(name + "-throttle", {{control + offsetof(layout::StoreControl, mirror) + 8, 17}});
    add(name + "-history", {{control + offsetof(layout::StoreControl, history), 1ULL << 40}});
    add(name + "-counts", {{control + offsetof(layout::StoreControl, counts) + 8, ~0ULL}});
    add(name + "-anchors", {{control + offsetof(layout::StoreControl, anchors) + 8, 1ULL << 60}});
    add(name + "-grown", {{control + offsetof(layout::StoreControl, tables), 1}});
    add(name + "-journal", {{store.journal_offset + 8, ~0ULL}, {store.journal_offset + 16, 0xffff'ffff'0000'0001ULL}});
    if (store.arena_bytes != 0) {
      add(name + "-live", {{control + offsetof(layout::StoreControl, arena), 12}, {store.arena_offset, ~0ULL}});
    }
    for (std::uint32_t i = 0; i < store.table_count; ++i) { add_table(name, store.tables[i]); }
  }
  void add_table(const std::string& store, const layout::TableDescription& table) {
    const std::string name = store + "-" + table.name;
    const bool keyed = table.kind != layout::table_dense;
    const std::uint64_t words =
        keyed ? layout::slot_words(table.key_bytes, table.kind == layout::table_blob ? 8 : table.value_bytes)
              : 1 + 2 * ((table.value_bytes + 7) / 8);
    std::vector<Patch> heads;
    for (std::uint64_t slot = 0; slot < std::min<std::uint64_t>(table.slot_count, 12); ++slot) {
      const std::uint64_t at = table.slots_offset + slot * words * 8;
      heads.push_back(
          {at, layout::head_of(slot % 3 == 0 ? 5 : 1 << 20, layout::kind_live, layout::kind_live, slot % 2)});
      if (table.kind == layout::table_blob) { heads.push_back({at + 16, layout::blob_ref(slot == 2 ? ~0U : 1, ~0U)}); }
    }
    add(name, heads);
    if (table.slab_count != 0) {
      add(name + "-slab", {{table.slabs_offset, 0}, {table.slabs_offset + table.slab_bytes, 3}});
    }
  }
  void add_frames(std::uint16_t store, const std::vector<std::byte>& shipped) {
    const Sequence committed = committed_[store];
    const Sequence next{committed.value + 1};
    const std::vector<TermStart> history{{Term{1}, Sequence{1}}};
    const std::string name = header_.stores[store].name;
    const Bytes entries = Bytes(shipped).first(whole_entries(shipped, payload_max).bytes);

    Input follow;
    add_frame(follow, wire::FrameType::Resume, store, next, wire::encode_payload(wire::Resume{next}));
    add_frame(follow, wire::FrameType::History, store, next, wire::encode_payload(history));
    add_frame(follow, wire::FrameType::Journal, store, next, entries);
    add_both(name + "-follow", follow);

    Input snapshot;
    add_frame(snapshot, wire::FrameType::SnapshotBegin, store, {},
              wire::encode_payload(wire::SnapshotBegin{true, next}));
    const std::vector<TableSchema> tables = schema().stores[store].tables;
    for (TableIndex table = 0; table < tables.size(); ++table) {
      wire::SnapshotRecordsBuilder builder(table, tables[table].key_bytes);
      const std::vector<std::byte> key(tables[table].key_bytes, std::byte{0});
      const std::vector<std::byte> value(std::min<std::size_t>(tables[table].value_bytes, payload_max / 2));
      if (value.size() < tables[table].value_bytes) { continue; }  // a page is more than an input has room for
      for (std::uint64_t i = 1; i < 4; ++i) { builder.add(Sequence{i}, key, value); }
      add_frame(snapshot, wire::FrameType::SnapshotRecords, store, {}, builder.take());
    }
    add_frame(snapshot, wire::FrameType::SnapshotEnd, store, committed,
              wire::encode_payload(wire::SnapshotEnd{{}, history}));
    // Erases would find nothing to erase.
    add_frame(snapshot, wire::FrameType::Journal, store, next, entries.first(whole_entries(entries, puts_max).bytes));
    add_both(name + "-snapshot", snapshot);
  }
  /// Onto a good copy, and onto one that was written into.
  void add_both(const std::string& name, const Input& frames) {
    Input onto_good{of_frames};
    onto_good.insert(onto_good.end(), frames.begin(), frames.end());
    Input onto_bad{of_both};
    for (const auto& patch : patches_) { add_patch(onto_bad, patch); }
    add_number(onto_bad, 0, 4);
    onto_bad.insert(onto_bad.end(), frames.begin(), frames.end());
    all.push_back({"frames-" + name, onto_good});
    all.push_back({"both-" + name, onto_bad});
  }

  std::string path_;
  Shipped shipped_;
  layout::RegionHeader header_{};
  std::vector<Sequence> committed_;
  std::vector<Patch> patches_;
};

}  // namespace

std::vector<Seed> region_seeds() { return Seeds().all; }

}  // namespace understudy::shm::hostile

/// Where the environment names a folder, the seeds are put there (fuzz.sh).
// NOLINTNEXTLINE(readability-identifier-naming): the fuzzer calls it so
extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  const char* folder = std::getenv("UNDERSTUDY_FUZZ_SEEDS");
  if (folder == nullptr) { return 0; }
  for (const auto& seed : understudy::shm::hostile::region_seeds()) {
    std::ofstream(std::string(folder) + "/seed-" + seed.name, std::ios::binary)
        .write(reinterpret_cast<const char*>(seed.input.data()), static_cast<std::streamsize>(seed.input.size()));
  }
  return 0;
}
