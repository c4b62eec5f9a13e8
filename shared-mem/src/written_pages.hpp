// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Which pages of a mapping were written since the last look, as the kernel knows it: userfaultfd's asynchronous write
/// protection and the pagemap scan (Linux 6.7; on tmpfs, so in /dev/shm, not on a device's memory). No fault is ever
/// handed to this process: a written page costs one short fault in the kernel, a look some microseconds per megabyte.
///
/// It sees writes through this process's own mapping, the kernel's for it (read(2) into it) included. A page may be
/// told that was not written; one that was written is always told.

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::shm {

class WrittenPages {
 public:
  /// `memory`: whole pages. From here on nothing counts as written. Failed: this kernel or this mapping cannot.
  static Result<WrittenPages> watch(std::span<std::byte> memory);
  WrittenPages(WrittenPages&& other) noexcept
      : memory_(other.memory_),
        userfault_(std::exchange(other.userfault_, -1)),
        pagemap_(std::exchange(other.pagemap_, -1)) {}
  WrittenPages& operator=(WrittenPages&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(userfault_, other.userfault_);
    std::swap(pagemap_, other.pagemap_);
    return *this;
  }
  ~WrittenPages();

  /// Appends the indexes of the pages written since the last call; from here on nothing counts as written.
  Status take(std::vector<std::uint64_t>& pages);

 private:
  WrittenPages(std::span<std::byte> memory, int userfault, int pagemap)
      : memory_(memory), userfault_(userfault), pagemap_(pagemap) {}

  std::span<std::byte> memory_;
  int userfault_ = -1;
  int pagemap_ = -1;
};

}  // namespace understudy::shm
