// SPDX-License-Identifier: Apache-2.0
#pragma once
/// bfd.XmitAuthSeq of each peer, where a restarted daemon finds it: a mapped file in run_dir.
///
///   head: magic, boot id │ slot: address, number │ slot │ ...
///
/// A number is stored before the packet with it is sent: one store to memory, no system call. So whatever instant the
/// daemon is killed at, its successor goes on with the next number or skips one, and the peer, whose window is a few
/// numbers wide, takes its first packet. A block reserved ahead would be refused for twice the detection time.
///
/// The file need not outlive the host: on another boot the numbers begin at the clock, 256 a second since 2020, or
/// behind what the file says where that is further (the clock was put back). So they only grow, as long as a session
/// sends fewer than 256 packets a second on average, 5 ms x 3 that is, or reboots take as long as it was faster.
///
/// Invariants: a slot's address is written before its number is used, and no slot is ever freed; a file that is not
/// what it claims to be is begun anew, at the clock.

#include <atomic>
#include <cstdint>
#include <string>

#include "understudy/common/net_types.hpp"
#include "understudy/common/result.hpp"

namespace understudy::link::bfd {

class SequenceFile {
 public:
  /// `clock`: the number for this moment (sequence_of_clock). Failed: the file cannot be made or mapped.
  static Result<SequenceFile> open(const std::string& path, const std::string& boot_id, std::uint32_t clock);
  SequenceFile(SequenceFile&& other) noexcept;
  SequenceFile& operator=(SequenceFile&& other) noexcept;
  SequenceFile(const SequenceFile&) = delete;
  SequenceFile& operator=(const SequenceFile&) = delete;
  ~SequenceFile();

  struct Slot {
    std::uint32_t used;    ///< 0: free
    std::uint32_t number;  ///< the last one that a packet may have carried
    std::uint8_t family;
    std::uint8_t padding[7];
    std::uint8_t address[16];
  };
  /// The peer's place, valid while this object lives; its number is the last one used, or the clock's. Null: full.
  std::uint32_t* slot_of(const IpAddress& peer);

 private:
  struct Content;
  explicit SequenceFile(Content* content, std::uint32_t clock) : content_(content), clock_(clock) {}
  Content* content_;
  std::uint32_t clock_;
};

/// 256 a second since 2020, modulo 2^32 (half a year).
[[nodiscard]] std::uint32_t sequence_of_clock();
[[nodiscard]] std::string this_boot();

}  // namespace understudy::link::bfd
