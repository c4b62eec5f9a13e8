// SPDX-License-Identifier: Apache-2.0
/// The good image, and its sender's later changes: runs of puts, transactions, erases, tables that grow, checkpoints.
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "checked_answers.hpp"
#include "description.hpp"
#include "every_call.hpp"
#include "scribbler.hpp"
#include "understudy/shm/arena.hpp"

namespace understudy::shm::hostile {
namespace {

constexpr std::uint64_t arena_bytes = 4 * arena_page_bytes;

void put(StoreWriter& writer, TableIndex table, std::uint64_t id, std::uint64_t seed) {
  const auto& of = writer.store().schema().tables[table];
  const std::size_t bytes = of.kind == TableKind::Blob ? seed * 37 % (of.value_bytes + 1) : of.value_bytes;
  const auto done = writer.put(table, keys_of(of, id, 1), std::vector<std::byte>(bytes, std::byte(seed & 0xff)));
  check(done.ok(), "a good region refuses a put");
}

void write_state(StoreWriter& writer, std::uint64_t seed) {
  const auto& tables = writer.store().schema().tables;
  for (TableIndex table = 0; table < tables.size(); ++table) {
    for (std::uint64_t i = 0; i < 40; ++i) {
      const std::uint64_t id = i % (tables[table].capacity - 2);
      put(writer, table, id, seed + i);
      if (i % 9 == 8) { (void)writer.erase(table, keys_of(tables[table], id, 1)); }
    }
  }
  (void)writer.begin();
  for (TableIndex table = 0; table < tables.size(); ++table) { put(writer, table, 1, seed); }
  check(writer.commit().ok(), "a good region refuses a transaction");
}

void grow_state(StoreWriter& writer) {
  const auto& tables = writer.store().schema().tables;
  for (TableIndex table = 0; table < tables.size(); ++table) {
    if (!tables[table].can_grow()) { continue; }
    check(writer.rebuild(table).ok(), "a good region refuses a rebuild");
    for (std::uint64_t id = 0; id < 50; ++id) { put(writer, table, id, id); }
  }
}

void write_heap(StoreWriter& writer, std::size_t seed) {
  put(writer, 0, 1, seed);
  auto arena = Arena::attach(writer, FindChanges::ByComparison).value();
  for (std::size_t i = 0; i < 6; ++i) {
    arena.memory()[(seed + i) % 3 * arena_page_bytes + i] ^= std::byte{1};
    check(arena.checkpoint().ok(), "a good region refuses a checkpoint");
  }
  check(arena.detach().ok(), "a good region refuses to be detached from");
}

/// The seed of the hash is random; here every image is to be the same, so that an input does the same in each.
void place_keys_as_ever(const std::string& path) {
  const Scribbler file(path, region_bytes);
  layout::RegionHeader header;
  std::memcpy(&header, file.bytes(), sizeof header);
  header.hash_seed = 20;
  header.description_crc32c = description_checksum(header);
  std::memcpy(file.bytes(), &header, sizeof header);
}

std::vector<std::byte> entries_after(const Store& store, Sequence after) {
  std::vector<std::byte> entries;
  JournalReader reader(store, after);
  while (reader.position() < store.committed()) {
    const auto chunk = reader.read(64 << 10).value();
    check(chunk.state == JournalReader::State::Entries, "a good journal ends early");
    entries.insert(entries.end(), chunk.bytes.begin(), chunk.bytes.end());
  }
  return entries;
}

}  // namespace

RegionSchema schema() {
  return {{{"state",
            {{"flows", 8, 24, 24, TableKind::Hashed, 60},
             {"wide", 8, 48, 24, TableKind::Hashed, 60},
             {"odd", 5, 13, 10},
             {"blobs", 8, 200, 24, TableKind::Blob, 60},
             {"cells", 8, 40, 16, TableKind::Dense}},
            64 << 10},
           with_arena({"heap", {{"roots", 8, 8, 4}}, 64 << 10}, arena_bytes)}};
}

Shipped make_good(const std::string& path) {
  const std::string sender = path + "-sender";
  { const auto made = Region::create(sender, region_bytes, schema()).value(); }
  place_keys_as_ever(sender);
  const auto region = Region::open(sender, Access::ReadWrite).value();
  const Store state = region.store("state").value();
  const Store heap = region.store("heap").value();
  auto of_state = state.become_writer(Term{1}).value();
  auto of_heap = heap.become_writer(Term{1}).value();
  write_state(of_state, 1);
  write_heap(of_heap, 1);
  std::filesystem::copy_file(sender, path, std::filesystem::copy_options::overwrite_existing);
  const Sequence at_state = state.committed();
  const Sequence at_heap = heap.committed();
  write_state(of_state, 100);
  grow_state(of_state);
  write_heap(of_heap, 2);
  ::unlink(sender.c_str());
  return {entries_after(state, at_state), entries_after(heap, at_heap)};
}

}  // namespace understudy::shm::hostile
