// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What a fresh process must find in a region whose writer stopped at any instant.
///
///   1  a reader: exactly the content before or exactly the content after the change in flight, as `committed` says;
///      the count fits; the journal is dense and, replayed from nothing, gives the same content
///   2  a next writer, on a copy of the image: takes over, finds the same, writes the very keys of the change in
///      flight and others again, and 1 holds after each of them
///
/// Violations are told as text, so that a test can also assert that a broken protocol is caught.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "understudy/shm/region.hpp"

namespace understudy::shm::crash {

using Content = std::map<std::uint64_t, std::uint64_t>;

/// A store's content as it should be after change number `committed`.
struct Expected {
  std::uint64_t committed = 0;
  Content content;
  bool operator==(const Expected&) const = default;
};

/// Few slots' worth of capacity, so that keys share probe runs and slots are used again. A value is 24 bytes, or a blob
/// whose length follows from its seed. The table can be rebuilt larger.
RegionSchema crash_schema(TableKind kind = TableKind::Hashed);
inline constexpr std::uint64_t crash_region_bytes = 1 << 20;
inline constexpr std::uint64_t capacity = 24;
inline constexpr std::uint64_t capacity_rebuilt = 60;
inline constexpr std::uint32_t blob_bytes = 200;

struct Key {
  std::uint64_t id;
};
struct Value {
  std::array<std::uint64_t, 3> words;
  bool operator==(const Value&) const = default;
};
Value value_of(std::uint64_t seed);
/// The bytes of the value with this seed in a table of this kind; the first eight are the seed.
std::vector<std::byte> value_bytes_of(TableKind kind, std::uint64_t seed);
/// The value that the store has for the key, whatever the table's kind.
Result<std::vector<std::byte>> get(const Store& store, std::uint64_t id);

/// 1, or more when the long test run asks for it (UNDERSTUDY_FULL): how much of a workload is done.
int effort(int ordinary, int full);

/// A change of "records": a seed, or nothing for an erase.
struct Step {
  std::uint64_t id = 0;
  std::optional<std::uint64_t> seed;
};
/// Does `steps` as one transaction (or plainly when there is one) and tells the content after it.
Result<Expected> write(StoreWriter& writer, const Expected& before, const std::vector<Step>& steps);
Expected after(const Expected& before, const std::vector<Step>& steps);

/// Rule 1 on the file as it is. The state found, if it is `before` or `after`.
std::optional<Expected> check_reader(const std::string& path, const Expected& before, const Expected& after,
                                     std::vector<std::string>& violations);
/// Rule 2; changes the file, so hand in a copy. Nothing in flight: a rebuild was, which the next writer does again.
void check_next_writer(const std::string& path, const Expected& found, const std::vector<Step>& in_flight,
                       std::vector<std::string>& violations);

/// The bytes of the region in use, copied to another file.
void copy_image(const std::string& from, const std::string& to);

/// The whole file, outside of the library under test.
std::byte* map_for_reading(const std::string& path);
std::uint8_t* map_for_writing(const std::string& path);
void unmap(const void* address);
/// Where the library has the file mapped for writing in this process.
const std::uint64_t* mapped_at(const std::string& path);

/// A file name in /dev/shm that goes away with its object.
class ImageFile {
 public:
  explicit ImageFile(const std::string& what);
  ~ImageFile();
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

  static constexpr const char* prefix = "/dev/shm/understudy-crash-";

 private:
  std::string path_;
};

}  // namespace understudy::shm::crash
