// SPDX-License-Identifier: Apache-2.0
#include "writer_lock.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "region_impl.hpp"

namespace understudy::shm {

std::uint64_t process_generation = 1;

namespace {

/// The descriptors of this process's locks, so that a child can close its copies. Held over a fork, or the child might
/// find the list half changed.
struct HeldLocks {
  std::mutex mutex;
  std::vector<int> fds;
};
HeldLocks& held_locks() {
  static auto& held = *new HeldLocks;  // for ever: a fork may come after the static objects have gone
  return held;
}

extern "C" {
static void before_fork() { held_locks().mutex.lock(); }
static void after_fork_in_parent() { held_locks().mutex.unlock(); }
static void after_fork_in_child() {
  ++process_generation;
  auto& held = held_locks();
  for (const int fd : held.fds) { ::close(fd); }
  held.fds.clear();
  held.mutex.unlock();
}
}

Error no_lock(const Region_impl& region, std::size_t store_index, const std::string& why) {
  return failure("store \"" + region.schema.stores[store_index].name + "\" of " + region.path + " " + why,
                 Errc::Refused);
}

/// Memory of a kind that knows no locks: (term, epoch) alone tells its writers apart.
bool has_no_locks(int error) { return error == EINVAL || error == EOPNOTSUPP || error == ENOSYS; }

}  // namespace

WriterLock::WriterLock(int fd) : fd_(fd), generation_(process_generation) {
  auto& held = held_locks();
  const std::scoped_lock lock(held.mutex);
  held.fds.push_back(fd);
}

WriterLock::WriterLock(WriterLock&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), generation_(other.generation_) {}

WriterLock& WriterLock::operator=(WriterLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(generation_, other.generation_);
  return *this;
}

WriterLock::~WriterLock() {
  if (fd_ < 0 || generation_ != process_generation) { return; }
  auto& held = held_locks();
  const std::scoped_lock lock(held.mutex);
  std::erase(held.fds, fd_);
  ::close(fd_);
}

Result<WriterLock> WriterLock::take(const Region_impl& region, std::size_t store_index) {
  static const int watching = ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  if (watching != 0) {
    return no_lock(
        region, store_index,
        std::string("has a lock for its one writer, which a forked child would share: ") + std::strerror(watching));
  }
  const int fd = region.mapping->open_again();
  if (fd < 0) {
    return no_lock(region, store_index,
                   std::string("has a lock for its one writer, which cannot be asked for (/proc/self/fd): ") +
                       std::strerror(errno));
  }
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(store_index);
  lock.l_len = 1;
  if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) { return WriterLock(fd); }
  const int error = errno;
  ::close(fd);
  if (error == EAGAIN || error == EACCES) {
    return no_lock(region, store_index, "is being written by another process or object");
  }
  if (has_no_locks(error)) { return WriterLock(); }
  return no_lock(region, store_index,
                 std::string("has a lock for its one writer, which cannot be had: ") + std::strerror(error));
}

}  // namespace understudy::shm
