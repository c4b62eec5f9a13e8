// SPDX-License-Identifier: Apache-2.0
/// What a coverage-guided fuzzer gives to the region library and to the receiving end of replication: bytes that a
/// guest may have written into its region, and frames that a peer may have sent (D6).
///
///   input   first byte: bit 0 blobs or fixed values, bit 1 region or frames
///           region: patches (offset u24, length u8, bytes) over a good region, which is then read, written, rebuilt
///           frames: (type u8, flags u8, first u16, length u16, payload) as whole frames to the applier; flags: bit 0
///           mend checksums, bit 1 which store
///
/// Two stores: one of tables, and one with an arena.
///
/// Checksums that a fuzzer cannot guess are put right here, those of frames and of journal entries; the ones of the
/// description are left wrong except now and then, so that what lies behind them is reached too.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "description.hpp"
#include "replication_applier.hpp"
#include "understudy/shm/arena.hpp"
#include "understudy/shm/crc32c.hpp"
#include "understudy/shm/layout.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::shm {
namespace {

constexpr std::uint64_t region_bytes = 1 << 20;
constexpr std::uint64_t used_bytes = 480 << 10;
constexpr std::uint64_t arena_bytes = 4 * layout::page_bytes;

class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : rest_(bytes) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (const auto byte : take(bytes)) { value = value << 8 | std::to_integer<std::uint64_t>(byte); }
    return value;
  }
  std::span<const std::byte> take(std::size_t bytes) {
    const auto taken = rest_.first(std::min(bytes, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const std::byte> rest_;
};

RegionSchema schema(bool blobs) {
  return {{{"state",
            {{"records", 8, 200, 24, blobs ? TableKind::Blob : TableKind::Hashed, 60}, {"others", 5, 13, 10}},
            64 << 10},
           with_arena({"heap", {{"roots", 8, 8, 4}}, 64 << 10}, arena_bytes)}};
}
Bytes key_of(const std::uint64_t& id) { return as_bytes_of(id); }

std::size_t put_some(StoreWriter& writer, bool blobs, std::uint64_t rounds) {
  std::size_t done = 0;
  const std::vector<std::byte> value(200, std::byte{7});
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const std::uint64_t id = i % 24;
    done += writer.put(0, key_of(id), Bytes(value).first(blobs ? i * 37 % 201 : 200U)).ok() ? 1U : 0U;
    if (i % 5 == 4) { done += writer.erase(0, key_of(id)).ok() ? 1U : 0U; }
  }
  return done;
}

/// Some checkpoints.
void write_arena(StoreWriter& writer) {
  auto arena = Arena::attach(writer, FindChanges::ByComparison);
  if (!arena) { return; }
  for (std::size_t round = 0; round < 3; ++round) {
    arena->memory()[round * layout::page_bytes] ^= std::byte{1};
    (void)arena->checkpoint();
  }
}

/// What is handed out has the table's sizes: a C program copies as many bytes as its schema says. And it is all there.
void copy(const TableSchema& table, Bytes key, Bytes value, bool erased = false) {
  const bool fits =
      table.kind == TableKind::Blob ? value.size() <= table.value_bytes : erased || value.size() == table.value_bytes;
  if (key.size() != table.key_bytes || !fits) { std::abort(); }
  std::vector<std::byte> copied(key.begin(), key.end());
  copied.insert(copied.end(), value.begin(), value.end());
  const auto sum = crc32c(copied);
  __asm__ volatile("" ::"r"(sum));  // every byte is read
}
void copy(const StoreSchema& store, const JournalEntry& entry) {
  if (entry.table >= store.tables.size()) { std::abort(); }
  copy(store.tables[entry.table], entry.key, entry.value, entry.op == JournalEntry::Op::Erase);
}

/// A file in /dev/shm, and what it held when it was good.
class Fuzzed {
 public:
  explicit Fuzzed(bool blobs)
      : blobs_(blobs), path_("/dev/shm/understudy-fuzz-" + std::to_string(::getpid()) + (blobs ? "-blobs" : "-fixed")) {
    auto region = Region::create(path_, region_bytes, schema(blobs)).value();
    auto writer = region.store("state").value().become_writer(Term{1}).value();
    put_some(writer, blobs, 60);
    auto heap = region.store("heap").value().become_writer(Term{1}).value();
    write_arena(heap);
    const int fd = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    at_ = static_cast<std::byte*>(::mmap(nullptr, region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    ::close(fd);
    if (at_ == MAP_FAILED) { std::abort(); }
    good_.assign(at_, at_ + used_bytes);
    layout::RegionHeader header;
    std::memcpy(&header, at_, sizeof header);
    if (header.stores[1].arena_offset + arena_bytes > used_bytes) { std::abort(); }
  }
  ~Fuzzed() {
    ::munmap(at_, region_bytes);
    ::unlink(path_.c_str());
  }
  Fuzzed(const Fuzzed&) = delete;
  Fuzzed& operator=(const Fuzzed&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  void restore() { std::memcpy(at_, good_.data(), used_bytes); }

  void patch(Input& input) {
    const bool mend = (input.number(1) & 1) != 0;
    while (!input.empty()) {
      const std::uint64_t offset = input.number(3) % used_bytes;
      const auto bytes = input.take(input.number(1) % 64);
      std::memcpy(at_ + offset, bytes.data(), std::min<std::uint64_t>(bytes.size(), used_bytes - offset));
    }
    if (!mend) { return; }
    layout::RegionHeader header;
    std::memcpy(&header, at_, sizeof header);
    header.description_crc32c = description_checksum(header);
    std::memcpy(at_, &header, sizeof header);
  }

  void read() const {
    const auto region = Region::open(path_, Access::ReadOnly);
    if (!region) { return; }
    for (const auto& schema : region->schema().stores) {
      if (const auto store = region->store(schema.name)) { read(*store); }
    }
  }

  void write() const {
    const auto region = Region::open(path_, Access::ReadWrite);
    if (!region) { return; }
    for (const auto& schema : region->schema().stores) {
      const auto store = region->store(schema.name);
      auto writer = store ? store->become_writer(Term{~0ULL}) : Result<StoreWriter>(failure("none"));
      if (!writer) { continue; }
      (void)writer->accept_unsynced();
      put_some(*writer, blobs_, 30);
      write_arena(*writer);
      (void)writer->rebuild(0);
      (void)writer->begin();
      put_some(*writer, blobs_, 10);
      (void)writer->commit();
    }
  }

 private:
  static void read(const Store& store) {
    (void)store.history();
    std::vector<std::byte> value(layout::blob_bytes_max);
    const auto& tables = store.schema().tables;
    for (TableIndex table = 0; table < tables.size(); ++table) {
      (void)store.count(table);
      const auto visit = [&](const Store::Record& record) {
        copy(tables[table], record.key, record.value);
        return true;
      };
      (void)store.scan(table, {}, visit);
      (void)store.scan_ordered(table, visit);
      for (std::uint64_t id = 0; id < 30; ++id) {
        (void)store.get(table, key_of(id), std::span(value).first(tables[table].value_bytes));
        (void)store.get_blob(table, key_of(id), value);
      }
    }
    for (const std::uint64_t after : {std::uint64_t{0}, std::uint64_t{40}}) {
      JournalReader reader(store, Sequence{after});
      for (int i = 0; i < 50; ++i) {
        const auto chunk = reader.read(after == 0 ? 4096 : 0);
        if (!chunk || chunk->state != JournalReader::State::Entries) { break; }
        (void)for_each_entry(chunk->bytes, [&](const JournalEntry& entry) { copy(store.schema(), entry); });
      }
    }
  }

  bool blobs_;
  std::string path_;
  std::byte* at_ = nullptr;
  std::vector<std::byte> good_;
};

/// Puts the checksums of whatever looks like journal entries right.
void mend_entries(std::span<std::byte> bytes) {
  while (bytes.size() >= sizeof(layout::JournalEntryHeader)) {
    layout::JournalEntryHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::uint64_t size = layout::entry_bytes(header.key_bytes, header.value_bytes);
    if (size > bytes.size()) { return; }
    header.crc32c = 0;
    std::memcpy(bytes.data(), &header, sizeof header);
    header.crc32c = crc32c(bytes.first(size));
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes = bytes.subspan(size);
  }
}

void feed_frames(const Fuzzed& fuzzed, Input& input) {
  using namespace link::replication;
  const auto region = Region::open(fuzzed.path(), Access::ReadWrite);
  const ReceiverCallbacks callbacks;
  Applier applier(callbacks);
  if (!region || !applier.acquire(*region, Term{2})) { return; }
  applier.begin_connection();
  FrameDecoder decoder;
  for (int frames = 0; !input.empty() && frames < 50; ++frames) {
    const auto type = static_cast<FrameType>(input.number(1) % 11);
    const auto flags = input.number(1);
    const Sequence first{input.number(2)};
    const auto taken = input.take(input.number(2) % 4096);
    std::vector<std::byte> payload(taken.begin(), taken.end());
    if ((flags & 1) != 0 && type == FrameType::Journal) { mend_entries(payload); }
    const auto encoded =
        encode({type, static_cast<std::uint16_t>(flags >> 1 & 1), Term{2}, 0, first}, std::move(payload));
    for (const auto* part : {&encoded.header, &encoded.payload}) {
      for (std::size_t done = 0; done < part->size();) {
        const auto room = decoder.prepare();
        const std::size_t bytes = std::min(room.size(), part->size() - done);
        std::memcpy(room.data(), part->data() + done, bytes);
        decoder.commit(bytes);
        done += bytes;
      }
    }
    const auto frame = decoder.next();
    if (!frame || !*frame) { return; }  // of a type that is none
    (void)applier.on_frame(**frame);
    (void)decode_hello(taken);
    (void)decode_refusal(taken);
    (void)applier.progress();
  }
}

}  // namespace
}  // namespace understudy::shm

// NOLINTNEXTLINE(readability-identifier-naming): the fuzzer calls it so
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::shm;
  Input input({reinterpret_cast<const std::byte*>(data), size});
  const auto kind = input.number(1);
  static Fuzzed fixed(false);
  static Fuzzed blobs(true);
  Fuzzed& fuzzed = (kind & 1) != 0 ? blobs : fixed;
  fuzzed.restore();
  if ((kind & 2) != 0) {
    feed_frames(fuzzed, input);
    fuzzed.read();
    return 0;
  }
  fuzzed.patch(input);
  fuzzed.read();
  fuzzed.write();
  fuzzed.read();
  return 0;
}
