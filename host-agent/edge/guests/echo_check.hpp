// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Does the guest have the very bytes before it that this host has (rule 24)? Asked at the begin of every conversation:
///
///   ask(): nonce into the region's echo line ── EchoOrder ──► guest-agent reads it there, writes its own
///   check(): what it read, and what it wrote ◄── Echoed ──
///
/// The guest is not trusted: it can only make the answer wrong, which costs it its job.

#include <cstdint>
#include <optional>
#include <string>

#include "edge/guests/guest_record.hpp"
#include "understudy/link/guest_channel.hpp"
#include "understudy/shm/echo.hpp"

namespace understudy::host {

class EchoCheck {
 public:
  /// Says the host's word in the region of `record`.
  Status ask(const GuestRecord& record);
  /// Refused: the guest sees other bytes, or none. Names guest and file, and what to do.
  [[nodiscard]] Status check(const GuestRecord& record, const link::guest::Echoed& echoed) const;

 private:
  std::optional<shm::Echo> echo_;
  std::uint64_t said_ = 0;
};

/// One sentence when the guest says that its mapping is slow (it sees the memory uncached), else nothing. The numbers
/// are the guest's: they lead to words, never to a decision.
[[nodiscard]] std::optional<std::string> slow_memory(const GuestRecord& record, const link::guest::Hello& hello);
/// A load from the region may take this many times one from the guest's own memory. Cached it is 1, uncached 20 and
/// more.
inline constexpr double slow_load_ratio = 8;

}  // namespace understudy::host
