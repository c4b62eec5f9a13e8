// SPDX-License-Identifier: Apache-2.0
/// Many records with one call are the same records one by one, in every size that has a way of its own.
/// Covers: shared-mem/src/put.cpp, shared-mem/src/store_many.cpp, shared-mem/src/huge_pages.cpp
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "mapping.hpp"
#include "region_fixture.hpp"

namespace understudy::shm {
namespace {

constexpr std::size_t capacity = 3000;

std::vector<std::uint64_t> random_words(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> words(count);
  for (auto& word : words) { word = random(); }
  return words;
}

/// Tables of one-word keys and values of 1 to 6 words, one with a longer key, one whose sizes are no whole words.
class Many : public testing::TestWithParam<std::size_t> {
 protected:
  static RegionSchema schema() {
    RegionSchema schema{{{"state", {}, 64 << 10}}};
    for (std::uint32_t words = 1; words <= 6; ++words) {
      schema.stores[0].tables.push_back({"w" + std::to_string(words), 8, 8 * words, capacity});
    }
    schema.stores[0].tables.push_back({"long", 24, 24, capacity});
    schema.stores[0].tables.push_back({"odd", 11, 13, capacity});
    return schema;
  }
  [[nodiscard]] TableIndex table() const { return static_cast<TableIndex>(GetParam()); }
  [[nodiscard]] std::size_t key_bytes() const { return schema().stores[0].tables[GetParam()].key_bytes; }
  [[nodiscard]] std::size_t value_bytes() const { return schema().stores[0].tables[GetParam()].value_bytes; }
  /// Keys `first` to `first + count - 1`: the same number, the same key.
  [[nodiscard]] std::vector<std::byte> keys(std::size_t first, std::size_t count) const {
    std::vector<std::byte> bytes(count * key_bytes());
    for (std::size_t i = 0; i < count; ++i) {
      const auto words = random_words(4, first + i);
      std::memcpy(bytes.data() + i * key_bytes(), words.data(), key_bytes());
    }
    return bytes;
  }
  [[nodiscard]] std::vector<std::byte> values(std::size_t first, std::size_t count, std::uint64_t round) const {
    std::vector<std::byte> bytes(count * value_bytes());
    for (std::size_t i = 0; i < count; ++i) {
      const auto words = random_words(8, (first + i) * 1000 + round);
      std::memcpy(bytes.data() + i * value_bytes(), words.data(), value_bytes());
    }
    return bytes;
  }
  void expect_held(std::size_t first, std::size_t count, std::uint64_t round, const char* when) {
    const auto all = keys(first, count);
    const auto wanted = values(first, count, round);
    std::vector<std::byte> held(wanted.size());
    std::vector<std::uint8_t> found(count);
    ASSERT_EQ(store.get_many(table(), all, held, found).value(), count) << when;
    ASSERT_EQ(held, wanted) << when;
    std::vector<std::byte> one(value_bytes());
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(store.get(table(), Bytes(all).subspan(i * key_bytes(), key_bytes()), one)) << when;
      ASSERT_TRUE(std::ranges::equal(one, Bytes(wanted).subspan(i * value_bytes(), value_bytes()))) << when << i;
    }
  }

  RegionFile file;
  Region region = Region::create(file.path(), Region::size_needed(schema()).value(), schema()).value();
  Store store = region.store("state").value();
  StoreWriter writer = store.become_writer(Term{1}).value();
};
INSTANTIATE_TEST_SUITE_P(Sizes, Many, testing::Range(std::size_t{0}, std::size_t{8}));

TEST_P(Many, ArePutAndFoundAsOneByOne) {
  ASSERT_EQ(writer.put_many(table(), keys(0, 1000), values(0, 1000, 1)).value(), Sequence{1000});
  expect_held(0, 1000, 1, "new");
  ASSERT_EQ(writer.put_many(table(), keys(500, 1000), values(500, 1000, 2)).value(), Sequence{2000});
  expect_held(0, 500, 1, "untouched");
  expect_held(500, 1000, 2, "changed, and new");
  EXPECT_EQ(store.count(table()), 1500U);
  for (std::size_t i = 0; i < 300; ++i) { ASSERT_TRUE(writer.erase(table(), keys(i, 1))); }
  std::vector<std::byte> held(300 * value_bytes());
  std::vector<std::uint8_t> found(300);
  EXPECT_EQ(store.get_many(table(), keys(0, 300), held, found).value(), 0U) << "erased";
  ASSERT_TRUE(writer.put_many(table(), keys(200, 100), values(200, 100, 3)));
  ASSERT_TRUE(writer.put_many(table(), keys(2000, 1500), values(2000, 1500, 4))) << "in the slots of erased ones too";
  expect_held(200, 100, 3, "come back");
  expect_held(2000, 1500, 4, "more");
  EXPECT_EQ(store.count(table()), 1500U - 300 + 100 + 1500);
}

/// The ring is lapped many times, so that entries of every size stand at every place of its end.
TEST_P(Many, AreInTheJournalAsTheyAre) {
  JournalReader reader(store, Sequence{0});
  for (std::size_t first = 0; first < 2000; first += 200) {
    ASSERT_TRUE(writer.put_many(table(), keys(first, 200), values(first, 200, 7)));
    const auto chunk = reader.read(1 << 20).value();
    ASSERT_EQ(chunk.state, JournalReader::State::Entries);
    std::size_t at = first;
    ASSERT_TRUE(for_each_entry(chunk.bytes, [&](const JournalEntry& entry) {
      EXPECT_EQ(entry.sequence.value, at + 1);
      EXPECT_EQ(entry.table, table());
      EXPECT_TRUE(entry.ends_transaction);
      EXPECT_TRUE(std::ranges::equal(entry.key, keys(at, 1)));
      EXPECT_TRUE(std::ranges::equal(entry.value, values(at, 1, 7)));
      ++at;
    }));
    ASSERT_EQ(at, first + 200);
  }
}

TEST_P(Many, EndAtTheFirstThatIsRefused) {
  const auto done = writer.put_many(table(), keys(0, capacity + 10), values(0, capacity + 10, 1));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::Full);
  EXPECT_EQ(writer.committed(), Sequence{capacity});
  EXPECT_EQ(store.refused_full(table()), 1U);
  expect_held(0, capacity, 1, "those before it");
  EXPECT_EQ(writer.put_many(table(), keys(0, 2), values(0, 1, 1)).error().code, Errc::BadInput);
  EXPECT_EQ(writer.put_many(99, keys(0, 1), values(0, 1, 1)).error().code, Errc::BadInput);
  ASSERT_TRUE(writer.begin());
  EXPECT_EQ(writer.put_many(table(), keys(0, 1), values(0, 1, 1)).error().code, Errc::BadInput);
}

/// Of nothing there is nothing, and it is no error.
TEST_P(Many, MayBeNone) {
  EXPECT_EQ(writer.put_many(table(), {}, {}).value(), Sequence{0});
  EXPECT_EQ(store.get_many(table(), {}, {}, {}).value(), 0U);
}

TEST(ManyBlobs, AreReadAtOnce) {
  RegionFile file;
  const RegionSchema schema{{{"state", {{"blobs", 8, 500, 300, TableKind::Blob}, {"flat", 8, 8, 10}}, 64 << 10}}};
  auto region = Region::create(file.path(), Region::size_needed(schema).value(), schema).value();
  auto store = region.store("state").value();
  auto writer = store.become_writer(Term{1}).value();
  std::vector<std::uint64_t> keys(200);
  for (std::uint64_t id = 0; id < keys.size(); ++id) {
    keys[id] = id;
    const std::vector<std::byte> value(id * 5 % 501, std::byte(id));
    if (id % 3 != 0) { ASSERT_TRUE(writer.put(0, as_bytes_of(id), value)); }
  }
  std::vector<std::byte> values(keys.size() * 500);
  std::vector<std::uint32_t> lengths(keys.size());
  const auto bytes = std::as_bytes(std::span(keys));
  ASSERT_EQ(store.get_blobs(0, bytes, values, lengths).value(), 133U);
  for (std::uint64_t id = 0; id < keys.size(); ++id) {
    ASSERT_EQ(lengths[id], id % 3 == 0 ? Store::absent : id * 5 % 501) << id;
    const std::vector<std::byte> value(id % 3 == 0 ? 0 : lengths[id], std::byte(id));
    EXPECT_TRUE(std::ranges::equal(Bytes(values).subspan(id * 500, value.size()), value)) << id;
  }
  EXPECT_EQ(store.get_blobs(1, bytes, values, lengths).error().code, Errc::BadInput) << "no blobs there";
  EXPECT_EQ(store.get_blobs(0, bytes, std::span(values).first(9), lengths).error().code, Errc::BadInput);
}

/// Huge pages need an address that fits them; whether there are any is the kernel's to say.
TEST(HugePages, HaveAnAddressThatFitsThem) {
  constexpr std::uint64_t huge = 2 << 20;
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{12288}, nvdimm_info_bytes}) {
    RegionFile file;
    auto region = Region::create(file.path(), 4 << 20, small_schema(), offset).value();
    std::ifstream maps("/proc/self/maps");
    int mapped = 0;
    for (std::string line; std::getline(maps, line);) {
      if (line.find(file.path()) == std::string::npos) { continue; }
      ++mapped;
      EXPECT_EQ(std::stoull(line, nullptr, 16) % huge, offset % huge) << line;
    }
    EXPECT_EQ(mapped, 1);
  }
}

/// Does this kernel put the pages of shared memory together on demand (Linux 6.1, transparent_hugepage not denied)?
bool kernel_collapses() {
  constexpr std::uint64_t huge = 2 << 20;
  const Descriptor memory(::memfd_create("many-test", MFD_CLOEXEC));
  if (::ftruncate(memory.get(), huge) != 0) { return false; }
  auto* space = static_cast<std::byte*>(::mmap(nullptr, 2 * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  auto* at = space + (huge - reinterpret_cast<std::uint64_t>(space) % huge) % huge;
  ::mmap(at, huge, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory.get(), 0);
  *at = std::byte{1};
  const bool does = ::madvise(at, huge, 25) == 0;
  ::munmap(space, 2 * huge);
  return does;
}

TEST(HugePages, AreUsedWhereTheKernelHasThem) {
  if (!kernel_collapses()) { GTEST_SKIP() << "this kernel has none"; }
  const RegionFile file;
  const auto region = Region::create(file.path(), 16 << 20, small_schema()).value();
  std::ifstream maps("/proc/self/smaps");
  bool ours = false;
  std::uint64_t huge_kib = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("-s ") != std::string::npos) { ours = line.find(file.path()) != std::string::npos; }
    if (ours && line.starts_with("ShmemPmdMapped:")) { huge_kib += std::stoull(line.substr(15)); }
  }
  EXPECT_GT(huge_kib, 0U);
}

}  // namespace
}  // namespace understudy::shm
