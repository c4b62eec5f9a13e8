// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/control_api_status.hpp"

namespace understudy::link {

const char* to_string(Severity severity) {
  switch (severity) {
    case Severity::Info:
      return "info";
    case Severity::Warning:
      return "warning";
    case Severity::Alarm:
      return "alarm";
  }
  return "info";
}

const char* to_string(Vote vote) {
  switch (vote) {
    case Vote::Unknown:
      return "unknown";
    case Vote::Up:
      return "up";
    case Vote::Down:
      return "down";
  }
  return "unknown";
}

const char* to_string(MirrorPhase phase) {
  switch (phase) {
    case MirrorPhase::Starting:
      return "starting";
    case MirrorPhase::Connected:
      return "connected";
    case MirrorPhase::Syncing:
      return "syncing";
    case MirrorPhase::Synced:
      return "synced";
    case MirrorPhase::Failed:
      return "failed";
    case MirrorPhase::Stopped:
      return "stopped";
  }
  return "failed";
}

const char* to_string(SyncStream stream) {
  switch (stream) {
    case SyncStream::None:
      return "none";
    case SyncStream::Syncing:
      return "syncing";
    case SyncStream::Synced:
      return "synced";
    case SyncStream::Stalled:
      return "stalled";
  }
  return "none";
}

const char* to_string(MovementPolicy policy) {
  switch (policy) {
    case MovementPolicy::WhenSlow:
      return "when-slow";
    case MovementPolicy::WhenQuiet:
      return "when-quiet";
    case MovementPolicy::Always:
      return "always";
    case MovementPolicy::Manual:
      return "manual";
  }
  return "manual";
}

const char* to_string(StopEvidence evidence) {
  switch (evidence) {
    case StopEvidence::None:
      return "none";
    case StopEvidence::NeverServed:
      return "never-served";
    case StopEvidence::Isolated:
      return "isolated";
    case StopEvidence::PoweredOff:
      return "powered-off";
    case StopEvidence::StoodDown:
      return "stood-down";
    case StopEvidence::LeaseRanOut:
      return "lease-ran-out";
  }
  return "none";
}

const char* to_string(UnfitCause cause) {
  switch (cause) {
    case UnfitCause::Health:
      return "health";
    case UnfitCause::Link:
      return "link";
    case UnfitCause::Apparatus:
      return "apparatus";
  }
  return "health";
}

const char* to_string(BfdAuthentication authentication) {
  switch (authentication) {
    case BfdAuthentication::None:
      return "none";
    case BfdAuthentication::Simple:
      return "simple";
    case BfdAuthentication::Sha1:
      return "sha1";
    case BfdAuthentication::MeticulousSha1:
      return "meticulous-sha1";
  }
  return "none";
}

std::string to_string(const BfdParameters& bfd) {
  std::string text = std::to_string(bfd.interval_ms) + " ms x " + std::to_string(bfd.multiplier) + ", ";
  if (bfd.authentication == BfdAuthentication::None) { return text + "not authenticated"; }
  return text + to_string(bfd.authentication) + " key " + std::to_string(bfd.key_id);
}

Result<MovementPolicy> parse_movement_policy(const std::string& text) {
  for (const auto policy :
       {MovementPolicy::WhenSlow, MovementPolicy::WhenQuiet, MovementPolicy::Always, MovementPolicy::Manual}) {
    if (text == to_string(policy)) { return policy; }
  }
  return failure("\"" + text + "\" is no movement policy; write always, when-slow, when-quiet or manual",
                 Errc::BadInput);
}

Result<BfdAuthentication> parse_bfd_authentication(const std::string& text) {
  for (const auto one : {BfdAuthentication::None, BfdAuthentication::Simple, BfdAuthentication::Sha1,
                         BfdAuthentication::MeticulousSha1}) {
    if (text == to_string(one)) { return one; }
  }
  return failure("\"" + text + "\" is no BFD authentication; write none, simple, sha1 or meticulous-sha1",
                 Errc::BadInput);
}

}  // namespace understudy::link
