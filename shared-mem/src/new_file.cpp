// SPDX-License-Identifier: Apache-2.0
#include "new_file.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "huge_pages.hpp"
#include "understudy/shm/layout.hpp"
#include "understudy/shm/region.hpp"
#include "understudy/shm/unfinished.hpp"

namespace understudy::shm {
namespace {

constexpr std::string_view unfinished_infix = ".new.";

bool has_a_name(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && info.st_nlink != 0;
}

/// NAME, if the file is called as NewFile::make() calls one; else nothing.
std::string name_of_unfinished(const std::string& file) {
  const auto number_from = [&](std::size_t end) {  // where the digits before `end` begin
    std::size_t begin = end;
    while (begin > 0 && file[begin - 1] >= '0' && file[begin - 1] <= '9') { --begin; }
    return begin;
  };
  const std::size_t number = number_from(file.size());
  if (number == file.size() || number == 0 || file[number - 1] != '.') { return {}; }
  const std::size_t pid = number_from(number - 1);
  if (pid == number - 1 || !std::string_view(file).substr(0, pid).ends_with(unfinished_infix)) { return {}; }
  return file.substr(0, pid - unfinished_infix.size());
}

/// By its first bytes, in a file of its own or behind an nvdimm's info block; whatever else may be wrong with it.
bool is_region(int fd) {
  const auto begins_at = [&](std::uint64_t offset) {
    std::uint64_t magic = 0;
    return ::pread(fd, &magic, sizeof magic, static_cast<off_t>(offset)) == sizeof magic &&
           magic == layout::region_magic;
  };
  return begins_at(0) || begins_at(nvdimm_info_bytes);
}

/// What a process that was killed in here has left holds its whole memory.
void remove_unfinished(const std::string& path) {
  const std::filesystem::path region(path);
  const auto folder = region.has_parent_path() ? region.parent_path().string() : ".";
  const auto is_ours = [name = region.filename().string()](const std::string& found) { return found == name; };
  for (const auto& left : unlink_unfinished(folder, is_ours)) {
    if (left.memory >= 0) { ::close(left.memory); }
  }
}

/// 0, or why not.
int rename_without_replacing(const char* from, const char* to) {
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) { return 0; }
  if (errno != EINVAL && errno != ENOSYS) { return errno; }
  // Not every file system has such a rename; a further name takes no other's place on any.
  if (::link(from, to) != 0) { return errno; }
  ::unlink(from);
  return 0;
}

}  // namespace

std::vector<Unfinished> unlink_unfinished(const std::string& folder,
                                          const std::function<bool(const std::string& name)>& wanted) {
  std::vector<Unfinished> all;
  std::error_code ignored;
  for (const auto& found : std::filesystem::directory_iterator(folder, ignored)) {
    const auto name = name_of_unfinished(found.path().filename().string());
    if (name.empty() || !wanted(name)) { continue; }
    const auto path = found.path().string();
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat info {};
    if (file.get() < 0 || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) { continue; }
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) { continue; }  // its maker lives
    if (is_region(file.get())) {
      all.push_back({path, -1, "it is a whole region"});
    } else if (::unlink(path.c_str()) != 0) {
      all.push_back({path, -1, std::strerror(errno)});
    } else {
      all.push_back({path, file.release()});
    }
  }
  return all;
}

Result<NewFile> NewFile::make(const std::string& path) {
  static std::atomic<unsigned> number = 0;  // threads may make the same region
  constexpr int tries_max = 100;
  for (int tries = 0; tries < tries_max; ++tries) {
    auto unfinished =
        path + std::string(unfinished_infix) + std::to_string(::getpid()) + "." + std::to_string(number++);
    Descriptor file(::open(unfinished.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0 && errno == EEXIST) { continue; }
    if (file.get() < 0) { return failure("cannot create " + unfinished + ": " + std::strerror(errno)); }
    // Between these two calls another maker may take it for left behind, and then it is not there any more.
    const bool locked = ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno != EWOULDBLOCK) {
      const int error = errno;
      ::unlink(unfinished.c_str());
      return failure("cannot lock " + unfinished + ": " + std::strerror(error));
    }
    if (locked && has_a_name(file.get())) { return NewFile(path, std::move(unfinished), std::move(file)); }
  }
  return failure("cannot create a file beside " + path + ": others remove it again and again");
}

Result<NewFile> NewFile::allocate(const std::string& path, std::uint64_t bytes) {
  remove_unfinished(path);
  auto made = make(path);
  if (!made) { return made; }
  const int fd = made->fd();
  if (::ftruncate(fd, static_cast<off_t>(bytes)) == 0) { gather_file(fd, bytes); }
  const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (error == 0) { return made; }
  return failure("cannot allocate " + std::to_string(bytes) + " bytes for " + path + ": " + std::strerror(error),
                 error == ENOSPC ? Errc::Full : Errc::Failed);
}

NewFile::~NewFile() {
  if (file_.get() >= 0 && !unfinished_.empty()) { ::unlink(unfinished_.c_str()); }
}

Status NewFile::give_name(Existing existing) {
  int error = 0;
  if (existing == Existing::Stays) {
    error = rename_without_replacing(unfinished_.c_str(), path_.c_str());
  } else if (::rename(unfinished_.c_str(), path_.c_str()) != 0) {
    error = errno;
  }
  if (error == EEXIST) {
    return failure("cannot make the region " + path_ + ": something has this name already, and stays", Errc::Refused);
  }
  if (error != 0) { return failure("cannot name the new region " + path_ + ": " + std::strerror(error)); }
  unfinished_.clear();
  ::flock(file_.get(), LOCK_UN);  // whoever maps it keeps this description open
  return {};
}

}  // namespace understudy::shm
