// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Memory in huge pages, where the kernel can: a table is reached at random, so that with pages of 4 KiB nearly every
/// access walks the page tables first, in a guest through two sets of them.
///
///   file       gather(): its pages are put together, 2 MiB each (MADV_COLLAPSE, Linux 6.1, whatever the settings of
///              transparent_hugepage are but `deny`); mapped by whoever maps it, also by QEMU for its guest
///   mapping    AlignedRange: an address at which the processor can map them whole
///
/// Only ever faster: what fails leaves pages of 4 KiB, and no byte changes.

#include <cstddef>
#include <cstdint>

namespace understudy::shm {

inline constexpr std::uint64_t huge_page_bytes = std::uint64_t{2} << 20;

/// Address space for a mapping of `bytes` from `offset` of a file on, congruent with the offset. Released with the
/// object, as far as it was not given away.
class AlignedRange {
 public:
  AlignedRange(std::uint64_t bytes, std::uint64_t offset);
  ~AlignedRange();
  AlignedRange(const AlignedRange&) = delete;
  AlignedRange& operator=(const AlignedRange&) = delete;

  /// Null: there is none, or it is not worth it.
  [[nodiscard]] void* address() const { return address_; }
  /// Something is mapped there now; its end is its owner's.
  void give_away();

 private:
  std::byte* reserved_ = nullptr;
  std::byte* address_ = nullptr;
  std::uint64_t bytes_ = 0;
};

/// Puts the pages of an aligned mapping together; what is not there yet comes into being. Some 0.3 s a GiB; where the
/// kernel has to make room page by page it ends after 1 s, with what it has.
void gather(void* address, std::uint64_t bytes);
/// The same of a file that nobody uses yet.
void gather_file(int fd, std::uint64_t bytes);

}  // namespace understudy::shm
