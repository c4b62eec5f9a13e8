// SPDX-License-Identifier: Apache-2.0
/// One writer that never rests and many readers, of every kind of slot that there is: values of one word and of many
/// lines, keys of several words, blobs of more than a page, a dense table; transactions over all of them, slots that
/// change hands, a rebuild in every round. Nobody is told a value that is torn or another key's, by any call.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>

#include "image_check.hpp"
#include "octets.hpp"

namespace understudy::shm::crash {
namespace {

constexpr std::uint64_t ids = 16;
constexpr std::uint64_t tag = 0x7ea5;  ///< in the top bits of the first word of a value of several
constexpr std::uint64_t region_bytes = 4 << 20;

struct KindOf {
  const char* name;
  std::uint32_t key_bytes;
  std::uint32_t value_bytes;
  TableKind kind;
  std::uint64_t capacity_max;
};
constexpr std::array<KindOf, 6> kinds{{{"one word", 8, 8, TableKind::Hashed, 200},
                                       {"four words", 8, 32, TableKind::Hashed, 200},
                                       {"ipv4 flows", 13, 40, TableKind::Hashed, 100},
                                       {"ipv6 flows", 37, 200, TableKind::Hashed, 100},
                                       {"rules", 16, 6000, TableKind::Blob, 100},
                                       {"pages", 8, 512, TableKind::Dense, 0}}};

RegionSchema schema() {
  RegionSchema all{{{"state", {}, 256 << 10}}};
  for (const auto& of : kinds) {
    all.stores[0].tables.push_back({of.name, of.key_bytes, of.value_bytes, ids, of.kind, of.capacity_max});
  }
  return all;
}

Octets key_of(TableIndex table, std::uint64_t id) {
  switch (table) {
    case 2:
      return flow4_key(id);
    case 3:
      return flow6_key(id);
    case 4:
      return address_key(id);
    default:
      return octets_of(id);
  }
}
/// Says whose it is, and by which change.
std::uint64_t seed_of(std::uint64_t id, std::uint64_t change) { return tag << 48 | id << 40 | change; }
std::uint64_t next_word(std::uint64_t word) { return word * 0x9e3779b97f4a7c15 + 1; }
Octets value_of(TableIndex table, std::uint64_t seed) {
  const KindOf& of = kinds[table];
  Octets value(of.kind == TableKind::Blob ? 16 + seed % (of.value_bytes - 15) : of.value_bytes);
  // Of one word: no raw reader takes the other copy for its second word.
  std::uint64_t word = of.value_bytes == 8 ? seed & ~(std::uint64_t{0xffff} << 48) : seed;
  for (std::size_t at = 0; at < value.size(); at += 8, word = next_word(word)) {
    std::memcpy(value.data() + at, &word, std::min<std::size_t>(8, value.size() - at));
  }
  return value;
}

struct Watch {
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> found{0};
  std::atomic<std::uint64_t> torn_without_protocol{0};
  std::atomic<bool> violated{false};
  std::string violation;  ///< read after every thread has ended

  void violate(const std::string& what) {
    if (!violated.exchange(true)) { violation = what; }
    done = true;
  }
};

/// The record of a key in all tables, with one seed, or in none of them. In the middle each table is rebuilt.
void write_until(StoreWriter& writer, Watch& watch, std::uint64_t changes) {
  std::mt19937_64 random(changes);
  Octets first(kinds[0].value_bytes);
  for (std::uint64_t n = 1; n <= changes && !watch.done; ++n) {
    if (n == changes / 2) {
      for (TableIndex table = 0; table < kinds.size(); ++table) {
        if (kinds[table].capacity_max != 0 && !writer.rebuild(table)) { return watch.violate("not rebuilt"); }
      }
    }
    const std::uint64_t id = random() % ids;
    const bool erases = random() % 4 == 0 && writer.store().get(0, key_of(0, id), first).ok();
    bool good = writer.begin().ok();
    for (TableIndex table = 0; table < kinds.size() && good; ++table) {
      const Octets key = key_of(table, id);
      good = erases ? writer.erase(table, key).ok() : writer.put(table, key, value_of(table, seed_of(id, n))).ok();
    }
    if (!good || !writer.commit()) { return watch.violate("the writer was refused"); }
  }
}

/// With a mapping of its own, like another process.
class Reader {
 public:
  Reader(const std::string& path, Watch& watch)
      : region_(Region::open(path, Access::ReadOnly).value()), store_(region_.store("state").value()), watch_(watch) {}

  void run(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (std::uint64_t n = 0; !watch_.done; ++n) {
      const auto table = static_cast<TableIndex>(random() % kinds.size());
      one(table, random() % ids);
      if (n % 8 == 0) { many(table); }
      if (n % 32 == 0) { scan(table); }
      watch_.reads.fetch_add(1, std::memory_order_relaxed);
    }
  }

 private:
  void whole(TableIndex table, std::uint64_t id, Bytes value, const char* how) {
    std::uint64_t seed = 0;
    std::memcpy(&seed, value.data(), std::min(sizeof seed, value.size()));
    const std::uint64_t wanted = seed | tag << 48;
    if ((seed >> 40 & 0xff) != id || !std::ranges::equal(value, value_of(table, wanted))) {
      watch_.violate(std::string("torn, or another key's: ") + how + " of " + kinds[table].name);
    }
    watch_.found.fetch_add(1, std::memory_order_relaxed);
  }
  void one(TableIndex table, std::uint64_t id) {
    Octets value(kinds[table].value_bytes);
    if (kinds[table].kind == TableKind::Blob) {
      const auto size = store_.get_blob(table, key_of(table, id), value);
      if (size) { return whole(table, id, Bytes(value).first(*size), "get_blob"); }
      if (size.error().code != Errc::NotFound) { watch_.violate(size.error().message); }
    } else if (store_.get(table, key_of(table, id), value)) {
      whole(table, id, value, "get");
    }
  }
  void many(TableIndex table) {
    const KindOf& of = kinds[table];
    Octets keys;
    for (std::uint64_t id = 0; id < ids; ++id) {
      const Octets key = key_of(table, id);
      keys.insert(keys.end(), key.begin(), key.end());
    }
    Octets values(ids * of.value_bytes);
    std::array<std::uint8_t, ids> found{};
    std::array<std::uint32_t, ids> lengths{};
    const bool blob = of.kind == TableKind::Blob;
    const auto got =
        blob ? store_.get_blobs(table, keys, values, lengths) : store_.get_many(table, keys, values, found);
    if (!got) { return watch_.violate(got.error().message); }
    for (std::uint64_t id = 0; id < ids; ++id) {
      if (blob ? lengths[id] == Store::absent : found[id] == 0) { continue; }
      whole(table, id, Bytes(values).subspan(id * of.value_bytes, blob ? lengths[id] : of.value_bytes), "many");
    }
  }
  void scan(TableIndex table) {
    const auto visit = [&](const Store::Record& record) {
      std::uint64_t id = 0;
      while (id < ids && !std::ranges::equal(record.key, key_of(table, id))) { ++id; }
      whole(table, id, record.value, "a scan");
      return true;
    };
    const auto scanned = store_.scan(table, {}, visit);
    if (!scanned) { watch_.violate(scanned.error().message); }
    const auto ordered = store_.scan_ordered(table, visit);
    if (!ordered && ordered.error().code != Errc::Expired) { watch_.violate(ordered.error().message); }
  }

  Region region_;
  Store store_;
  Watch& watch_;
};

/// First words of values of which the second is another value's.
void read_without_protocol(const std::string& path, Watch& watch) {
  const auto* words = reinterpret_cast<const std::uint64_t*>(map_for_reading(path));
  const auto at = [words](std::size_t i) { return __atomic_load_n(words + i, __ATOMIC_RELAXED); };
  constexpr std::size_t mapped = crash_region_bytes / sizeof *words;
  while (!watch.done) {
    for (std::size_t i = 0; i + 1 < mapped; ++i) {
      if (at(i) >> 48 != tag) { continue; }
      for (int again = 0; again < 20; ++again) {
        const std::uint64_t first = at(i);
        const std::uint64_t second = at(i + 1);
        if (first >> 48 == tag && second != next_word(first) && at(i) == first) { ++watch.torn_without_protocol; }
      }
    }
  }
  unmap(words);
}

void one_round(Watch& watch, std::uint64_t changes) {
  ImageFile file("kinds");
  auto region = Region::create(file.path(), region_bytes, schema()).value();
  auto writer = region.store("state").value().become_writer(Term{1}).value();
  watch.done = false;
  std::vector<std::thread> threads;
  threads.emplace_back([&] { read_without_protocol(file.path(), watch); });
  for (std::uint64_t reader = 0; reader < 4; ++reader) {
    threads.emplace_back([&, reader] { Reader(file.path(), watch).run(changes + reader); });
  }
  write_until(writer, watch, changes);
  watch.done = true;
  for (auto& thread : threads) { thread.join(); }
}

TEST(OneWriterAndManyReaders, OfEveryKindOfSlotNobodySeesATornValueAndWhoeverIgnoresTheProtocolDoes) {
  Watch watch;
  const auto begin = std::chrono::steady_clock::now();
  const auto least = std::chrono::seconds(effort(1, 120));
  std::uint64_t rounds = 0;
  const auto enough = [&] {
    return rounds >= 3 && std::chrono::steady_clock::now() - begin >= least && watch.found > 10'000 &&
           watch.torn_without_protocol > 0;
  };
  for (; !watch.violated && !enough() && rounds < 10'000; ++rounds) {
    one_round(watch, static_cast<std::uint64_t>(effort(4'000, 20'000)) + rounds);
  }
  EXPECT_FALSE(watch.violated) << watch.violation;
  EXPECT_GT(watch.found, 10'000U);
  EXPECT_GT(watch.torn_without_protocol, 0U) << "nobody ever came near a half-written value";
  std::printf("%llu rounds with a rebuild each, %llu reads, %llu values, %llu torn ones seen without the protocol\n",
              static_cast<unsigned long long>(rounds), static_cast<unsigned long long>(watch.reads.load()),
              static_cast<unsigned long long>(watch.found.load()),
              static_cast<unsigned long long>(watch.torn_without_protocol.load()));
}

}  // namespace
}  // namespace understudy::shm::crash
