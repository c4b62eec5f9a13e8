// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What an answer must be whatever the region holds. Says what it is not, and ends the process: a fuzzer and a test
/// both see that.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "understudy/shm/crc32c.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::shm::hostile {

inline void check(bool holds, const char* what) {
  if (holds) { return; }
  std::fprintf(stderr, "a hostile region brought this about: %s\n", what);
  std::abort();
}

/// Room for `count` things, with more around it that nobody may write.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::size_t count) : all_(count + 2 * guards, guard()) {}
  [[nodiscard]] std::span<T> span() { return std::span(all_).subspan(guards, all_.size() - 2 * guards); }
  void check_guards(const char* what) const {
    const auto untouched = [](const T& is) { return is == guard(); };
    check(std::all_of(all_.begin(), all_.begin() + guards, untouched) &&
              std::all_of(all_.end() - guards, all_.end(), untouched),
          what);
  }

 private:
  static constexpr std::ptrdiff_t guards = 64;
  static T guard() { return static_cast<T>(0xa5); }
  std::vector<T> all_;
};

/// Keys `first` and the ones after it, back to back.
inline std::vector<std::byte> keys_of(const TableSchema& table, std::uint64_t first, std::size_t count) {
  std::vector<std::byte> keys(count * table.key_bytes);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t id = first + i;
    std::memcpy(keys.data() + i * table.key_bytes, &id, std::min<std::size_t>(sizeof id, table.key_bytes));
  }
  return keys;
}

/// What is handed out has the table's sizes: a C program copies as many bytes as its schema says. And it is all there.
inline void check_record(const TableSchema& table, Bytes key, Bytes value, bool erased = false) {
  const bool fits =
      table.kind == TableKind::Blob ? value.size() <= table.value_bytes : erased || value.size() == table.value_bytes;
  check(key.size() == table.key_bytes && fits, "a record has not the sizes of its table");
  std::vector<std::byte> copied(key.begin(), key.end());
  copied.insert(copied.end(), value.begin(), value.end());
  const auto sum = crc32c(copied);
  __asm__ volatile("" ::"r"(sum));  // every byte is read
}
inline void check_entry(const StoreSchema& store, const JournalEntry& entry) {
  check(entry.table < store.tables.size(), "a journal entry is of no table");
  check_record(store.tables[entry.table], entry.key, entry.value, entry.op == JournalEntry::Op::Erase);
}
inline void check_within(Bytes all, Bytes part) {
  check(part.empty() || (part.data() >= all.data() && part.data() + part.size() <= all.data() + all.size()),
        "what was applied lies outside of what was given");
}

}  // namespace understudy::shm::hostile
