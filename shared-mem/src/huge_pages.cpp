// SPDX-License-Identifier: Apache-2.0
#include "huge_pages.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>

#include "understudy/shm/layout.hpp"

namespace understudy::shm {
namespace {

constexpr int collapse = 25;  // MADV_COLLAPSE: newer than the headers this is built with
constexpr std::uint64_t piece = 16 * huge_page_bytes;
constexpr auto patience = std::chrono::seconds(1);

constexpr std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + layout::page_bytes - 1) & ~(layout::page_bytes - 1);
}

}  // namespace

AlignedRange::AlignedRange(std::uint64_t bytes, std::uint64_t offset) : bytes_(whole_pages(bytes)) {
  if (bytes < huge_page_bytes) { return; }
  void* reserved =
      ::mmap(nullptr, bytes_ + huge_page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) { return; }
  reserved_ = static_cast<std::byte*>(reserved);
  const std::uint64_t off = offset - reinterpret_cast<std::uint64_t>(reserved_);
  address_ = reserved_ + off % huge_page_bytes;
}

AlignedRange::~AlignedRange() {
  if (reserved_ != nullptr) { ::munmap(reserved_, bytes_ + huge_page_bytes); }
}

void AlignedRange::give_away() {
  if (reserved_ == nullptr) { return; }
  const auto before = static_cast<std::uint64_t>(address_ - reserved_);
  if (before != 0) { ::munmap(reserved_, before); }
  ::munmap(address_ + bytes_, huge_page_bytes - before);
  reserved_ = nullptr;
}

void gather(void* address, std::uint64_t bytes) {
  auto* at = static_cast<std::byte*>(address);
  const auto until = std::chrono::steady_clock::now() + patience;
  for (; bytes >= huge_page_bytes && std::chrono::steady_clock::now() < until; at += piece) {
    const std::uint64_t now = std::min(bytes, piece);
    ::madvise(at, now, collapse);
    bytes -= now;
  }
}

void gather_file(int fd, std::uint64_t bytes) {
  AlignedRange range(bytes, 0);
  if (range.address() == nullptr) { return; }
  void* mapped = ::mmap(range.address(), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  if (mapped == MAP_FAILED) { return; }
  // Where there is one page already the kernel makes the others in place, with nothing to copy.
  for (std::uint64_t at = 0; at < bytes; at += huge_page_bytes) {
    if (::posix_fallocate(fd, static_cast<off_t>(at), layout::page_bytes) != 0) { return; }
  }
  gather(mapped, bytes);
  // What is mapped there goes with the range.
}

}  // namespace understudy::shm
