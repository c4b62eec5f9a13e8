// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A region file in /dev/shm that goes away with its object, and a small schema with readable keys and values.

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <string>

#include "understudy/shm/region.hpp"

namespace understudy::shm {

class RegionFile {
 public:
  RegionFile() {
    static std::atomic<int> number = 0;
    path_ = "/dev/shm/understudy-test-" + std::to_string(::getpid()) + "-" + std::to_string(number++);
  }
  ~RegionFile() { ::unlink(path_.c_str()); }
  RegionFile(const RegionFile&) = delete;
  RegionFile& operator=(const RegionFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Key {
  std::uint64_t id;
};
struct Value {
  std::array<std::uint64_t, 3> words;
  bool operator==(const Value&) const = default;
};
inline Value value_of(std::uint64_t seed) { return {{seed, ~seed, seed * 0x9e3779b97f4a7c15}}; }

/// Two tables: "flows" (8-byte keys, 24-byte values) and "names" (odd sizes, so that padding is used).
inline RegionSchema small_schema(std::uint64_t capacity = 1000, std::uint64_t journal_bytes = 64 << 10) {
  return {{{"state", {{"flows", 8, 24, capacity}, {"names", 5, 13, 100}}, journal_bytes}}};
}
inline constexpr TableIndex flows = 0;
inline constexpr TableIndex names = 1;
inline constexpr std::uint64_t small_region_bytes = 1 << 20;

inline Result<Sequence> put(StoreWriter& writer, std::uint64_t id, std::uint64_t seed) {
  return writer.put(flows, as_bytes_of(Key{id}), as_bytes_of(value_of(seed)));
}
inline Result<Sequence> erase(StoreWriter& writer, std::uint64_t id) {
  return writer.erase(flows, as_bytes_of(Key{id}));
}
/// The seed of the value held, or nothing; a torn value is a failure of the test.
inline std::optional<std::uint64_t> get(const Store& store, std::uint64_t id) {
  Value value{};
  const auto got = store.get(flows, as_bytes_of(Key{id}), std::as_writable_bytes(std::span(&value, 1)));
  if (!got) {
    EXPECT_EQ(got.error().code, Errc::NotFound) << got.error().message;
    return std::nullopt;
  }
  EXPECT_EQ(value, value_of(value.words[0])) << "torn value of " << id;
  return value.words[0];
}

using Content = std::map<std::uint64_t, std::uint64_t>;
/// Everything in "flows" by a scan.
inline Content content(const Store& store, Sequence after = {}) {
  Content all;
  const auto scanned = store.scan(flows, after, [&](const Store::Record& record) {
    Key key{};
    Value value{};
    std::memcpy(&key, record.key.data(), sizeof key);
    std::memcpy(&value, record.value.data(), sizeof value);
    EXPECT_EQ(value, value_of(value.words[0])) << "torn value of " << key.id;
    EXPECT_TRUE(all.emplace(key.id, value.words[0]).second) << "key " << key.id << " twice";
    return true;
  });
  EXPECT_TRUE(scanned.ok());
  return all;
}

}  // namespace understudy::shm
