// SPDX-License-Identifier: Apache-2.0
#include "written_pages.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "understudy/shm/layout.hpp"

namespace understudy::shm {
namespace {

// Linux 6.7's <linux/fs.h> and <linux/userfaultfd.h>, which are newer than the headers this is built with.
constexpr std::uint64_t feature_wp_shmem = 1 << 12;
constexpr std::uint64_t feature_wp_unpopulated = 1 << 13;
constexpr std::uint64_t feature_wp_async = 1 << 15;
constexpr int user_mode_only = 1;
struct ScanArguments {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;
  std::uint64_t regions;
  std::uint64_t region_count;
  std::uint64_t pages_max;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_any_of;
  std::uint64_t return_mask;
};
struct ScanRegion {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};
constexpr unsigned long pagemap_scan = _IOWR('f', 16, ScanArguments);
constexpr std::uint64_t protect_matching = 1 << 0;
constexpr std::uint64_t demand_async = 1 << 1;
constexpr std::uint64_t page_is_written = 1 << 1;

Error refused(const std::string& what) { return failure(what + ": " + std::strerror(errno)); }

std::uint64_t address_of(std::span<std::byte> memory) { return reinterpret_cast<std::uint64_t>(memory.data()); }

Status protect(int userfault, std::span<std::byte> memory) {
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = feature_wp_shmem | feature_wp_unpopulated | feature_wp_async;
  if (::ioctl(userfault, UFFDIO_API, &api) != 0) { return refused("no asynchronous write protection"); }
  uffdio_register registration{};
  registration.range = {address_of(memory), memory.size()};
  registration.mode = UFFDIO_REGISTER_MODE_WP;
  if (::ioctl(userfault, UFFDIO_REGISTER, &registration) != 0) { return refused("this mapping cannot be watched"); }
  uffdio_writeprotect protection{};
  protection.range = registration.range;
  protection.mode = UFFDIO_WRITEPROTECT_MODE_WP;
  if (::ioctl(userfault, UFFDIO_WRITEPROTECT, &protection) != 0) { return refused("this mapping cannot be protected"); }
  return {};
}

}  // namespace

Result<WrittenPages> WrittenPages::watch(std::span<std::byte> memory) {
  const int userfault = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | user_mode_only));
  const int pagemap = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  WrittenPages watching(memory, userfault, pagemap);
  if (userfault < 0) { return refused("no userfaultfd"); }
  if (pagemap < 0) { return refused("no /proc/self/pagemap"); }
  if (auto done = protect(userfault, memory); !done) { return done.error(); }
  std::vector<std::uint64_t> before;
  if (auto looked = watching.take(before); !looked) { return looked.error(); }
  return watching;
}

WrittenPages::~WrittenPages() {
  if (userfault_ >= 0) { ::close(userfault_); }  // the kernel takes the protection away
  if (pagemap_ >= 0) { ::close(pagemap_); }
}

Status WrittenPages::take(std::vector<std::uint64_t>& pages) {
  const std::uint64_t begin = address_of(memory_);
  std::array<ScanRegion, 256> regions;
  ScanArguments scan{};
  scan.size = sizeof scan;
  scan.flags = protect_matching | demand_async;
  scan.end = begin + memory_.size();
  scan.regions = reinterpret_cast<std::uint64_t>(regions.data());
  scan.region_count = regions.size();
  scan.category_mask = page_is_written;
  scan.return_mask = page_is_written;
  for (std::uint64_t from = begin; from < scan.end; from = scan.walk_end) {
    scan.start = from;
    const long found = ::ioctl(pagemap_, pagemap_scan, &scan);
    if (found < 0 && errno == EINTR) {
      scan.walk_end = from;
      continue;
    }
    if (found < 0) { return refused("the kernel's list of written pages cannot be read"); }
    for (const ScanRegion& region : std::span(regions).first(static_cast<std::size_t>(found))) {
      for (std::uint64_t at = region.start; at < region.end; at += layout::page_bytes) {
        pages.push_back((at - begin) / layout::page_bytes);
      }
    }
    if (scan.walk_end <= from) { return failure("the kernel's list of written pages does not go on"); }
  }
  return {};
}

}  // namespace understudy::shm
