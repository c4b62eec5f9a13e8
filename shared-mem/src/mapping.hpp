// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Where a region's bytes come from, and how they get into this process.
///
///   path ─┐                            ┌─ size_to_map: as told, or as the file or device says
///         ├─► Source (descriptor, part)┤
///   fd ───┘                            └─ map_source ─► Mapping
///
/// A Source is opened once, so that looking and mapping are about the same inode.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "understudy/common/result.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::shm {

/// Keeps the memory mapped and the file open (mapping.cpp: the only file that knows what maps it).
class Mapping {
 public:
  virtual ~Mapping() = default;
  [[nodiscard]] virtual std::byte* address() const = 0;
  /// Another open description of the same file, for a lock of its own; below 0 when there is none.
  [[nodiscard]] virtual int open_again() const = 0;
  /// Fills the page tables; where the kernel cannot, pages come as they are touched.
  virtual void prefault() const = 0;
};

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }  ///< the caller's to close from now on

 private:
  int fd_;
};

struct Source {
  std::string name;  ///< for messages
  std::shared_ptr<Descriptor> file;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> bytes;  ///< as told; else what the file has from `offset` on
};

/// NotFound: no such file. Refused: memory of a kind that no region may be in (rule 24). BadInput: a descriptor that is
/// not open, or not for writing when it must be.
Result<Source> open_source(const std::string& path, Access access, std::optional<std::uint64_t> bytes,
                           std::uint64_t offset);
Result<Source> open_source(int fd, Access access, std::optional<std::uint64_t> bytes, std::uint64_t offset);

/// Damaged: the file is shorter than told.
Result<std::uint64_t> size_to_map(const Source& source);
Result<std::unique_ptr<Mapping>> map_source(const Source& source, Access access, std::uint64_t bytes);

}  // namespace understudy::shm
