// SPDX-License-Identifier: Apache-2.0
/// The only file that includes Boost.Interprocess and catches its exceptions.
#include "mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "huge_pages.hpp"
#include "understudy/shm/layout.hpp"

namespace understudy::shm {
namespace {

namespace bip = boost::interprocess;

/// What Boost.Interprocess maps is whatever tells a handle (its MemoryMappable).
class Mappable {
 public:
  explicit Mappable(int fd) { handle_.handle = fd; }
  [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const { return handle_; }

 private:
  bip::mapping_handle_t handle_{};
};

class FileMapping final : public Mapping {
 public:
  FileMapping(const Source& source, Access access, std::uint64_t bytes)
      : file_(source.file),
        region_(map(Mappable(file_->get()), access == Access::ReadOnly ? bip::read_only : bip::read_write,
                    source.offset, bytes)),
        writable_(access == Access::ReadWrite) {}

  [[nodiscard]] std::byte* address() const override { return static_cast<std::byte*>(region_.get_address()); }
  [[nodiscard]] int open_again() const override {
    // Through /proc, so that it is this inode even when the name leads elsewhere by now.
    const std::string self = "/proc/self/fd/" + std::to_string(file_->get());
    return ::open(self.c_str(), O_RDWR | O_CLOEXEC);
  }
  void prefault() const override {
    // Populating for writing changes no byte either (madvise(2)). A device's mapping is whole already and refuses.
    ::madvise(region_.get_address(), region_.get_size(), writable_ ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
  }

 private:
  static bip::mapped_region map(const Mappable& file, bip::mode_t mode, std::uint64_t offset, std::uint64_t bytes) {
    AlignedRange range(bytes, offset);
    if (range.address() == nullptr) {
      return {file, mode, static_cast<bip::offset_t>(offset), static_cast<std::size_t>(bytes)};
    }
    bip::mapped_region mapped(file, mode, static_cast<bip::offset_t>(offset), static_cast<std::size_t>(bytes),
                              range.address(), MAP_FIXED);
    range.give_away();
    return mapped;
  }

  std::shared_ptr<Descriptor> file_;
  bip::mapped_region region_;
  bool writable_;
};

std::string path_of(int fd) {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  return error ? std::string() : path.string();
}

/// Does the file system of `device` lie on an nvdimm's block device?
bool on_pmem(dev_t device) {
  std::error_code error;
  const auto link = "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
  const auto target = std::filesystem::read_symlink(link, error);
  return !error && target.string().find("/pmem") != std::string::npos;
}

bool is_dax(int fd) {
  struct statx info {};
  return ::statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &info) == 0 && (info.stx_attributes & STATX_ATTR_DAX) != 0;
}

Status check_kind(const Source& source, const struct stat& info) {
  if (S_ISBLK(info.st_mode)) {
    return failure(source.name +
                       " is a block device: its mapping is page cache of this kernel, not memory that is shared with "
                       "another; use device-dax (/dev/daxN.M) or a file on fs-dax",
                   Errc::Refused);
  }
  if (path_of(source.file->get()).ends_with("_wc")) {
    return failure(source.name +
                       " maps write-combining, which lets stores arrive in another order than they were made; use the "
                       "file without _wc",
                   Errc::Refused);
  }
  if (S_ISREG(info.st_mode) && on_pmem(info.st_dev) && !is_dax(source.file->get())) {
    return failure(source.name +
                       " lies on an nvdimm, but its file system is mounted without DAX: its mapping is page cache of "
                       "this kernel; mount it with -o dax=always, or use device-dax",
                   Errc::Refused);
  }
  return {};
}

Result<Source> checked(Source source) {
  if (source.offset % layout::page_bytes != 0) {
    return failure(source.name + ": a region cannot begin at byte " + std::to_string(source.offset) +
                       ", only at a multiple of 4096",
                   Errc::BadInput);
  }
  struct stat info {};
  if (::fstat(source.file->get(), &info) != 0) { return failure(source.name + ": " + std::strerror(errno)); }
  if (auto kind = check_kind(source, info); !kind) { return kind.error(); }
  return source;
}

/// A character device (device-dax) tells its size in sysfs only; 0: it does not.
std::uint64_t size_of_device(dev_t device) {
  std::uint64_t bytes = 0;
  std::ifstream("/sys/dev/char/" + std::to_string(major(device)) + ":" + std::to_string(minor(device)) + "/size") >>
      bytes;
  return bytes;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) { ::close(fd_); }
}

Result<Source> open_source(const std::string& path, Access access, std::optional<std::uint64_t> bytes,
                           std::uint64_t offset) {
  const int fd = ::open(path.c_str(), (access == Access::ReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return failure((errno == ENOENT ? path + " is absent: " : "cannot open " + path + ": ") + std::strerror(errno),
                   errno == ENOENT ? Errc::NotFound : Errc::Failed);
  }
  return checked({path, std::make_shared<Descriptor>(fd), offset, bytes});
}

Result<Source> open_source(int fd, Access access, std::optional<std::uint64_t> bytes, std::uint64_t offset) {
  const std::string name = "descriptor " + std::to_string(fd);
  const int mode = ::fcntl(fd, F_GETFL);
  if (mode < 0) { return failure(name + " is not open", Errc::BadInput); }
  if (access == Access::ReadWrite && (mode & O_ACCMODE) != O_RDWR) {
    return failure(name + " is not open for reading and writing", Errc::BadInput);
  }
  const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) { return failure(name + " cannot be kept: " + std::strerror(errno)); }
  return checked({name, std::make_shared<Descriptor>(own), offset, bytes});
}

Result<std::uint64_t> size_to_map(const Source& source) {
  struct stat info {};
  if (::fstat(source.file->get(), &info) != 0) { return failure(source.name + ": " + std::strerror(errno)); }
  const bool size_is_true = S_ISREG(info.st_mode) && !path_of(source.file->get()).starts_with("/sys/");
  auto has = S_ISCHR(info.st_mode) ? size_of_device(info.st_rdev) : static_cast<std::uint64_t>(info.st_size);
  has = has > source.offset ? has - source.offset : 0;
  if (!source.bytes) { return has; }
  if (*source.bytes > has && (size_is_true || (S_ISCHR(info.st_mode) && has != 0))) {
    return failure(
        source.name + " is damaged: it has " + std::to_string(has) + " bytes, not " + std::to_string(*source.bytes),
        Errc::Damaged);
  }
  return *source.bytes;
}

Result<std::unique_ptr<Mapping>> map_source(const Source& source, Access access, std::uint64_t bytes) {
  try {
    return std::unique_ptr<Mapping>(std::make_unique<FileMapping>(source, access, bytes));
  } catch (const bip::interprocess_exception& error) {
    return failure("cannot map " + source.name + ": " + error.what());
  }
}

std::uint64_t region_offset(const std::string& path, std::uint64_t region_bytes) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) { return 0; }
  return static_cast<std::uint64_t>(info.st_size) == region_bytes + nvdimm_info_bytes ? nvdimm_info_bytes : 0;
}

}  // namespace understudy::shm
