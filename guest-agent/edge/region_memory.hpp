// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Where the region lies in this mirror (D7, rule 24), looked for in this order:
///
///   ivshmem       PCI 1af4:1110, its BAR 2 by sysfs (QEMU docs/specs/ivshmem-spec.rst), no driver needed
///   device-dax    /dev/daxN.M of an nvdimm; a raw namespace is made one through sysfs, as ndctl would
///   fs-dax        the one file of a file system that is mounted from an nvdimm with DAX
///
/// The host looks for the region 2 MiB behind the begin of the nvdimm's file, where a device-dax begins. A file on
/// fs-dax lies elsewhere unless its file system was made for it: the echo test tells.
/// A raw /dev/pmemN is never used: its mapping is page cache. Making a device-dax writes an info block at 4 KiB of the
/// nvdimm and nothing else; one that was broken off begins anew with the next start.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "understudy/common/result.hpp"

namespace understudy::guest {

enum class MemoryKind : std::uint8_t { Ivshmem, DeviceDax, FsDax };

struct RegionMemory {
  MemoryKind kind = MemoryKind::Ivshmem;
  std::string path;
  std::uint64_t bytes = 0;
  std::uint64_t physical_begin = 0;  ///< guest-physical; 0: not known
};
[[nodiscard]] std::string describe(const RegionMemory& memory);

class MemoryFinder {
 public:
  /// `root` is put before /sys, /dev and /proc.
  explicit MemoryFinder(std::string root = "") : root_(std::move(root)) {}
  /// NotFound: nothing of the three is there (yet). Refused: an nvdimm that cannot be used, and why.
  [[nodiscard]] Result<RegionMemory> find() const;

 private:
  [[nodiscard]] Result<RegionMemory> find_bar() const;
  [[nodiscard]] Result<RegionMemory> find_device_dax() const;
  [[nodiscard]] Result<RegionMemory> find_fs_dax() const;
  [[nodiscard]] Status make_device_dax(const std::string& name_space) const;
  [[nodiscard]] Result<RegionMemory> from_nvdimm() const;
  [[nodiscard]] Result<RegionMemory> await_device_dax(const std::string& name_space) const;
  std::string root_;
};

/// find() until it succeeds or `deadline` is over: the kernel looks for its nvdimms while the first programs start.
Result<RegionMemory> wait_for_region_memory(const MemoryFinder& finder, std::chrono::milliseconds deadline);

/// The memory mapped for reading, as a region's users map it.
class MappedMemory {
 public:
  static Result<MappedMemory> open(const RegionMemory& memory);
  MappedMemory(MappedMemory&& other) noexcept;
  MappedMemory& operator=(MappedMemory&&) = delete;
  ~MappedMemory();
  [[nodiscard]] std::span<const std::byte> bytes() const { return {at_, size_}; }

 private:
  MappedMemory(const std::byte* at, std::size_t size) : at_(at), size_(size) {}
  const std::byte* at_;
  std::size_t size_;
};

/// Refused: the kernel has some of this memory mapped write-combining, which lets stores arrive in another order (x86's
/// list of memory types, in debugfs). Where there is no such list nothing is known, and nothing refused.
Status refuse_write_combining(const RegionMemory& memory, const std::string& root = "");

}  // namespace understudy::guest
