// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Who of this kernel may write a store: a file lock, which belongs to one process.
///
/// A lock of an open file is shared with a forked child, as everything else that the process has: two writers, each
/// with its own idea of what is committed, neither of them refused. So a fork is noticed, by a handler in the child
/// (pthread_atfork):
///   - process_generation becomes another one, and a writer that was made under the former one is not the child's
///     (StoreWriter::Impl::still_ours);
///   - the child's copies of the locks are closed. The parent's stay, and end with the parent, whatever becomes of the
///     child.
/// A bare clone() or _Fork() calls no handlers. vfork() and posix_spawn() need none: their child goes on in the
/// parent's memory until it is another program.

#include <cstddef>
#include <cstdint>

#include "understudy/common/result.hpp"

namespace understudy::shm {

struct Region_impl;

/// Grows in a forked child, before it runs anything of its own; so it is another one in each process of a line.
[[gnu::visibility("hidden")]] extern std::uint64_t process_generation;

/// A file descriptor with an OFD write lock; the lock lives as long as this object and the process that took it.
class WriterLock {
 public:
  /// Refused: somebody else in this kernel holds it, or it could not be asked for. Memory that has no locks is no
  /// reason to stop.
  static Result<WriterLock> take(const Region_impl& region, std::size_t store_index);
  WriterLock() = default;
  WriterLock(WriterLock&& other) noexcept;
  WriterLock& operator=(WriterLock&& other) noexcept;
  ~WriterLock();

 private:
  explicit WriterLock(int fd);
  int fd_ = -1;
  std::uint64_t generation_ = 0;  ///< in another one `fd_` is not this object's any more
};

}  // namespace understudy::shm
