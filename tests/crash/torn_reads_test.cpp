// SPDX-License-Identifier: Apache-2.0
/// One writer that never rests and many readers: no value is torn, none goes back, and an ordered scan sees whole
/// transactions only. Two minutes of it in the long run.
///
/// A reader without the protocol is beside them: it looks at the words of the same mapping, and it must see values half
/// written, or nobody was ever near one and the others have proved nothing.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <random>
#include <thread>

#include "image_check.hpp"
#include "support/eventually.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::uint64_t pairs = capacity / 2;
constexpr TableIndex fixed = 0;
constexpr TableIndex blobs = 1;
constexpr std::uint64_t region_bytes = 1 << 20;
constexpr std::uint64_t tag = 0x7ea5;  ///< in the top bits of every seed, so that a raw reader knows a value

RegionSchema schema() {
  return {{{"state",
            {{"fixed", 8, 24, capacity, TableKind::Hashed, 0}, {"blobs", 8, blob_bytes, capacity, TableKind::Blob, 0}},
            64 << 10}}};
}

std::uint64_t seed_of(std::uint64_t count) { return tag << 48 | count; }

/// What all threads share; the first violation is told.
struct Watch {
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> reads{0};
  std::atomic<bool> violated{false};
  std::string violation;  ///< read after every thread has ended

  void violate(const std::string& what) {
    if (!violated.exchange(true)) { violation = what; }
    done = true;
  }
};

/// Keys k and k + pairs of "fixed" and k of "blobs" always have the same seed, or are absent together.
void write(StoreWriter& writer, Watch& watch) {
  std::mt19937_64 random(1);
  for (std::uint64_t count = 1; !watch.done; ++count) {
    const Key low{random() % pairs};
    const Key high{low.id + pairs};
    const std::uint64_t seed = seed_of(count);
    bool good = writer.begin().ok();
    const bool erased = random() % 8 == 0 && writer.erase(fixed, as_bytes_of(low)).ok();
    if (erased) {
      good = good && writer.erase(fixed, as_bytes_of(high)).ok() && writer.erase(blobs, as_bytes_of(low)).ok();
    } else {
      const auto value = value_bytes_of(TableKind::Hashed, seed);
      good = good && writer.put(fixed, as_bytes_of(low), value).ok();
      good = good && writer.put(fixed, as_bytes_of(high), value).ok();
      good = good && writer.put(blobs, as_bytes_of(low), value_bytes_of(TableKind::Blob, seed)).ok();
    }
    if (!good || !writer.commit()) { return watch.violate("the writer was refused"); }
  }
}

/// One reader with a mapping of its own, like another process.
class Reader {
 public:
  Reader(const std::string& path, Watch& watch)
      : region_(Region::open(path, Access::ReadOnly).value()), store_(region_.store("state").value()), watch_(watch) {}

  void run(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (std::uint64_t n = 0; !watch_.done; ++n) {
      one(Key{random() % capacity});
      blob(Key{random() % pairs});
      if (n % 16 == 0) { many(); }
      if (n % 64 == 0) { scan(); }
      if (n % 256 == 0) { scan_ordered(); }
      watch_.reads.fetch_add(2, std::memory_order_relaxed);
    }
  }

 private:
  void whole(TableKind kind, Bytes value, const std::string& how) {
    std::uint64_t seed = 0;
    std::memcpy(&seed, value.data(), std::min(sizeof seed, value.size()));
    const auto wanted = value_bytes_of(kind, seed);
    if (seed >> 48 != tag || !std::equal(value.begin(), value.end(), wanted.begin(), wanted.end())) {
      watch_.violate("torn value by " + how);
    }
  }
  void one(const Key& key) {
    Value value{};
    if (!store_.get(fixed, as_bytes_of(key), std::as_writable_bytes(std::span(&value, 1)))) { return; }
    whole(TableKind::Hashed, as_bytes_of(value), "get");
    if (value.words[0] < newest_[key.id]) { watch_.violate("get went back to an older value"); }
    newest_[key.id] = value.words[0];
  }
  void blob(const Key& key) {
    std::array<std::byte, blob_bytes> room{};
    const auto size = store_.get_blob(blobs, as_bytes_of(key), room);
    if (!size) {
      if (size.error().code != Errc::NotFound) { watch_.violate(size.error().message); }
      return;
    }
    whole(TableKind::Blob, Bytes(room).first(*size), "get_blob");
  }
  void many() {
    std::array<Key, capacity> keys{};
    for (std::uint64_t id = 0; id < capacity; ++id) { keys[id] = Key{id}; }
    std::array<Value, capacity> values{};
    std::array<std::uint8_t, capacity> found{};
    const auto count =
        store_.get_many(fixed, std::as_bytes(std::span(keys)), std::as_writable_bytes(std::span(values)), found);
    if (!count) { return watch_.violate(count.error().message); }
    for (std::uint64_t id = 0; id < capacity; ++id) {
      if (found[id] != 0) { whole(TableKind::Hashed, as_bytes_of(values[id]), "get_many"); }
    }
  }
  void scan() {
    const auto scanned = store_.scan(fixed, {}, [&](const Store::Record& record) {
      whole(TableKind::Hashed, record.value, "scan");
      return true;
    });
    if (!scanned) { watch_.violate(scanned.error().message); }
  }
  void scan_ordered() {
    std::array<std::uint64_t, capacity> seeds{};
    const auto scanned = store_.scan_ordered(fixed, [&](const Store::Record& record) {
      whole(TableKind::Hashed, record.value, "scan_ordered");
      Key key{};
      std::memcpy(&key, record.key.data(), sizeof key);
      std::memcpy(&seeds[key.id % capacity], record.value.data(), sizeof seeds[0]);
      return true;
    });
    if (!scanned) {
      if (scanned.error().code != Errc::Expired) { watch_.violate(scanned.error().message); }
      return;
    }
    for (std::uint64_t id = 0; id < pairs; ++id) {
      if (seeds[id] != seeds[id + pairs]) { watch_.violate("half a transaction by scan_ordered"); }
    }
  }

  Region region_;
  Store store_;
  Watch& watch_;
  std::array<std::uint64_t, capacity> newest_{};
};

/// Values that begin with one seed and go on with another, wherever they lie in the mapping.
void read_without_protocol(const std::string& path, const Watch& watch, std::atomic<std::uint64_t>& torn) {
  const auto* words = reinterpret_cast<const std::uint64_t*>(map_for_reading(path));
  const auto seed_at = [words](std::size_t at) { return __atomic_load_n(words + at, __ATOMIC_RELAXED); };
  while (!watch.done) {
    std::vector<std::size_t> values;
    for (std::size_t at = 0; at + 1 < region_bytes / sizeof *words; ++at) {
      if (seed_at(at) >> 48 == tag) { values.push_back(at); }
    }
    for (int again = 0; again < 1000 && !watch.done; ++again) {
      for (const auto at : values) {
        const auto first = seed_at(at);
        const auto second = ~seed_at(at + 1);
        if (first >> 48 == tag && second >> 48 == tag && second != first) { ++torn; }
      }
    }
  }
  unmap(words);
}

TEST(OneWriterAndManyReaders, NobodySeesATornValueAndWhoeverIgnoresTheProtocolDoes) {
  ImageFile file("torn");
  auto region = Region::create(file.path(), region_bytes, schema()).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  Watch watch;
  std::atomic<std::uint64_t> torn_without_protocol{0};
  std::vector<std::thread> threads;
  threads.emplace_back([&] { write(writer, watch); });
  threads.emplace_back([&] { read_without_protocol(file.path(), watch, torn_without_protocol); });
  for (std::uint64_t reader = 0; reader < 6; ++reader) {
    threads.emplace_back([&, reader] { Reader(file.path(), watch).run(reader); });
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(effort(1, 120));
  const auto enough = [&] {
    return std::chrono::steady_clock::now() >= end && torn_without_protocol > 0 && watch.reads > 10000;
  };
  (void)test::eventually([&] { return watch.done || enough(); }, std::chrono::seconds(effort(1, 120) + 20));
  watch.done = true;
  for (auto& thread : threads) { thread.join(); }
  EXPECT_FALSE(watch.violated) << watch.violation;
  EXPECT_GT(watch.reads, 10000U);
  EXPECT_GT(torn_without_protocol, 0U) << "nobody ever came near a half-written value";
  std::printf("%llu reads, %llu changes, %llu torn values seen without the protocol\n",
              static_cast<unsigned long long>(watch.reads.load()),
              static_cast<unsigned long long>(region.store("state").value().committed().value),
              static_cast<unsigned long long>(torn_without_protocol.load()));
}

}  // namespace
}  // namespace understudy::shm::crash
