// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the control-server tells operators, as plain values: the group's status and its event log.

#include <cstdint>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"
#include "understudy/link/messages.hpp"

namespace understudy::link {

/// What the synchronization unit knows of a role's mirror.
struct SyncStatus {
  BladeId standby;          ///< whose mirror it is
  std::string stream = {};  ///< of the active's last word: "none", "syncing", "synced", "stalled"; empty: no word
  std::vector<StoreProgress> stores = {};  ///< likewise
  std::uint64_t behind_ms = 0;  ///< for how long something was committed that is not acknowledged; 0: nothing
  bool operator==(const SyncStatus&) const = default;
};

struct RoleStatus {
  RoleId role;
  std::string state;  ///< "starting", "exposed", "protected", "taking-over", "on-mirror", "moving", "on-host", "lost";
                      ///< "unknown" while nobody leads: then its place is the last that was known, maybe none
  Place place;        ///< who owns the role in the store
  Term term;
  bool is_protected = false;
  std::string mirror_phase;      ///< "synced" and so on, "serving" where it has the role; "none" without a mirror
  std::string detail;            ///< the standing alarm, or empty
  std::string lease = {};        ///< "off", "none", "arming", "armed", "stopping", "counting", "ran-out"
  std::uint32_t priority = 100;  ///< the higher one comes first
  SyncStatus sync = {};
  bool operator==(const RoleStatus&) const = default;
};

struct BladeStatus {
  BladeId blade;
  bool agent_connected = false;
  Vote bfd = Vote::Unknown;  ///< the control-server's own view
  bool isolated = false;
  bool standby = false;
  std::string detail;      ///< for a person: why it gets no mirrors
  bool spare = false;      ///< a standby that no role uses: watched, and runs no mirrors
  std::string agent = {};  ///< "connected", "lost"; "unknown" to who does not lead; empty: as agent_connected says
  std::string ports = {};  ///< "isolated", "partly", "connected", "unknown"; empty: by a control-server that tells less
  bool operator==(const BladeStatus&) const = default;
};

/// One of several control-servers, as etcd tells.
struct ControlServerStatus {
  std::string address;
  std::string state;          ///< "leads", "follows", "absent"; "unknown": etcd does not say
  std::int64_t since_ns = 0;  ///< of the leadership, wall clock
  bool operator==(const ControlServerStatus&) const = default;
};

/// Something that is no blade and tells whether the control-server's own network works.
struct WitnessStatus {
  std::string name;
  std::string address;
  std::string by;  ///< "bfd" or "icmp"
  Vote vote = Vote::Unknown;
  bool operator==(const WitnessStatus&) const = default;
};

struct GroupStatus {
  BladeId standby;  ///< whose mirrors are used; empty: it has become an active, nobody stands by
  MovementPolicy movement = MovementPolicy::WhenSlow;
  BfdParameters bfd;  ///< by which blades and mirrors are watched
  std::vector<RoleStatus> roles;
  std::vector<BladeStatus> blades;
  bool plain_text = false;  ///< the wires have no protection
  std::vector<ControlServerStatus> control_servers =
      {};                          ///< where there are several; of a follower nothing else counts
  std::string control_alarm = {};  ///< why nobody decides; empty: somebody does
  std::vector<WitnessStatus> witnesses = {};
  bool store_plain_text = false;  ///< etcd is spoken to without protection
  std::string power = {};         ///< by what blades are powered off: "none", "command", a fence agent; empty: not told
  std::vector<std::string> alarms = {};  ///< of the group as a whole, a sentence each: certificates, who was refused
  bool operator==(const GroupStatus&) const = default;
};

enum class Severity : std::uint8_t { Info, Warning, Alarm };

/// One line of the control-server's event log.
struct EventRecord {
  std::uint64_t id = 0;      ///< grows by one, never used twice
  std::int64_t time_ns = 0;  ///< wall clock since 1970
  Severity severity = Severity::Info;
  std::string kind;  ///< "state", "phase", "vote", "agent", ...
  RoleId role;
  BladeId blade;
  std::string phase;  ///< for kind "phase"; the design's phase names
  double ms = 0;
  std::string text;
  bool operator==(const EventRecord&) const = default;
};

[[nodiscard]] const char* to_string(Severity severity);
[[nodiscard]] const char* to_string(Vote vote);
[[nodiscard]] const char* to_string(MirrorPhase phase);
[[nodiscard]] const char* to_string(SyncStream stream);
[[nodiscard]] const char* to_string(MovementPolicy policy);
[[nodiscard]] const char* to_string(StopEvidence evidence);
[[nodiscard]] const char* to_string(UnfitCause cause);
[[nodiscard]] const char* to_string(BfdAuthentication authentication);
/// "50 ms x 3, meticulous-sha1 key 1"
[[nodiscard]] std::string to_string(const BfdParameters& bfd);
Result<MovementPolicy> parse_movement_policy(const std::string& text);
Result<BfdAuthentication> parse_bfd_authentication(const std::string& text);

}  // namespace understudy::link
