// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/replication_options.hpp"

namespace understudy::link::replication {

const char* to_string(SenderPhase phase) {
  switch (phase) {
    case SenderPhase::NoMirror:
      return "no mirror";
    case SenderPhase::Syncing:
      return "syncing";
    case SenderPhase::Synced:
      return "synced";
    case SenderPhase::Stalled:
      return "stalled";
  }
  return "unknown";
}

const char* to_string(ReceiverPhase phase) {
  switch (phase) {
    case ReceiverPhase::Connecting:
      return "connecting";
    case ReceiverPhase::Syncing:
      return "syncing";
    case ReceiverPhase::Synced:
      return "synced";
    case ReceiverPhase::Lost:
      return "lost";
    case ReceiverPhase::Drained:
      return "drained";
  }
  return "unknown";
}

}  // namespace understudy::link::replication
