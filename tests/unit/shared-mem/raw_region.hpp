// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A region's file as bare words: what a hostile or another program may write.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "understudy/shm/crc32c.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm {

/// A journal entry whose checksum fits, whatever its header says; the value is zeros.
inline std::vector<std::byte> sound_entry(layout::JournalEntryHeader header, std::uint64_t key) {
  std::vector<std::byte> entry(layout::entry_bytes(header.key_bytes, header.value_bytes));
  std::memcpy(entry.data() + sizeof header, &key, std::min<std::size_t>(sizeof key, header.key_bytes));
  header.crc32c = 0;
  std::memcpy(entry.data(), &header, sizeof header);
  header.crc32c = crc32c(entry);
  std::memcpy(entry.data(), &header, sizeof header);
  return entry;
}

class RawRegion {
 public:
  RawRegion(const std::string& path, std::uint64_t bytes) : bytes_(bytes) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    at_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (at_ == MAP_FAILED) { std::abort(); }
  }
  ~RawRegion() { ::munmap(at_, bytes_); }
  RawRegion(const RawRegion&) = delete;
  RawRegion& operator=(const RawRegion&) = delete;

  [[nodiscard]] std::uint64_t* word(std::uint64_t byte) const { return static_cast<std::uint64_t*>(at_) + byte / 8; }
  [[nodiscard]] layout::RegionHeader header() const {
    layout::RegionHeader header;
    std::memcpy(&header, at_, sizeof header);
    return header;
  }
  [[nodiscard]] layout::StoreControl* control() const {
    return reinterpret_cast<layout::StoreControl*>(word(header().stores[0].control_offset));
  }
  /// Control page and journal of the first store as another region has them. The rings are of the same size.
  void take_journal_of(const RawRegion& other) const {
    const auto store = header().stores[0];
    const std::uint64_t bytes = store.journal_offset + store.journal_bytes - store.control_offset;
    std::memcpy(word(store.control_offset), other.word(other.header().stores[0].control_offset), bytes);
  }

 private:
  std::uint64_t bytes_;
  void* at_;
};

}  // namespace understudy::shm
