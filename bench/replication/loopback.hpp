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
  double sender_cpu = 0;  ///< seconds of processor time of the thread at each end, the kernel's part included
  double receiver_cpu = 0;
};

/// The mirrored table.
struct Mirrored {
  std::size_t records = 0;
  std::size_t value_bytes = 24;  ///< from 4 KiB on they are blobs
  bool tls = false;              ///< on the wire
  friend bool operator==(const Mirrored&, const Mirrored&) = default;
};
/// So many changes with values of that size fit into the backlog, at most `most`.
std::size_t changes_for(std::size_t bytes, std::size_t most);

/// Processor time of the calling thread, in seconds.
double thread_cpu();

/// A sender and a receiver with a region each, in a thread each, synced.
class Replication {
 public:
  /// Throws std::runtime_error when they do not come together.
  Replication(const std::string& directory, const Mirrored& table);
  ~Replication();
  Replication(const Replication&) = delete;
  Replication& operator=(const Replication&) = delete;

  /// Commits `changes` while nothing is sent, then sends: from the first byte to the acknowledgement of the last
  /// change, which means that it is in the mirror's region. Then looks whether it is: throws if it is not.
  Carried carry(std::size_t changes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// So many bytes from one thread to another, in blocks as iperf3 writes them.
inline constexpr std::size_t block_bytes = 128 << 10;
Carried carry_raw(std::size_t bytes);
/// The same through OpenSSL on both sides, by TLS 1.3 with the cipher that replication's ends agree on.
Carried carry_raw_tls(std::size_t bytes);

}  // namespace understudy::bench
