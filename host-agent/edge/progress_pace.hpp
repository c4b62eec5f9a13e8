// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How often the control-server is told how far a role's mirror has come (link::SyncProgress).
///
///     the stream has changed  ──► at once: a sync that stops is an alarm within a second
///     the sequences have      ──► once a second at most
///     nothing has changed     ──► once a second: it is the word of a host-agent that lives, where BFD is blocked
///
/// After a new connection to the control-server, which knows nothing, all is told anew. One thread.

#include <optional>

#include "understudy/link/messages.hpp"

namespace understudy::host {

class ProgressPace {
 public:
  static constexpr Duration interval = std::chrono::seconds(1);

  /// True: `progress` is to be told now, and counts as told.
  bool tells(Instant now, const link::SyncProgress& progress) {
    const bool begins = !told_ || told_->term != progress.term || told_->stream != progress.stream;
    if (!begins && now - told_at_ < interval) { return false; }
    told_ = progress;
    told_at_ = now;
    return true;
  }

 private:
  std::optional<link::SyncProgress> told_;
  Instant told_at_;
};

}  // namespace understudy::host
