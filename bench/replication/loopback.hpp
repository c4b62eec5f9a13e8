// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A backlog of changes on its way over loopback TCP: once as replication carries it, once as bare bytes.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace understudy::bench {

struct Carried {
  double seconds = 0;
  std::size_t bytes = 0;  ///< of the journal
};

/// A sender and a receiver with a region each, in a thread each, synced.
class Replication {
 public:
  /// Throws std::runtime_error when they do not come together.
  Replication(const std::string& directory, std::size_t records);
  ~Replication();
  Replication(const Replication&) = delete;
  Replication& operator=(const Replication&) = delete;

  /// Commits `changes` while nothing is sent, then sends: from the first byte to the acknowledgement of the last
  /// change, which means that it is in the mirror's region.
  Carried carry(std::size_t changes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// So many bytes from one thread to another, in writes of the size that replication's sender uses.
Carried carry_raw(std::size_t bytes);

}  // namespace understudy::bench
