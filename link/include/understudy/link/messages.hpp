// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What control-server and host-agents tell each other, as plain values. The cores speak these; the edges
/// carry them (link/proto/control.proto). Every order and report about a role carries its term.

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "understudy/common/net_types.hpp"
#include "understudy/common/types.hpp"

namespace understudy::link {

/// One logical port of a role: its MAC and addresses go where the role goes.
struct PortSpec {
  std::string name;     ///< logical, e.g. "ext"
  std::string network;  ///< which network; each blade's config maps it to an interface
  MacAddress mac;
  std::vector<IpPrefix> addresses;  ///< the router's link-local address included
  bool operator==(const PortSpec&) const = default;
};

struct RouteSpec {
  IpPrefix destination;
  IpAddress gateway;
  bool operator==(const RouteSpec&) const = default;
};

/// One table of the application's store (shared-mem's TableSchema, without depending on it).
struct TableSpec {
  std::string name;
  std::uint32_t key_bytes = 0;
  std::uint32_t value_bytes = 0;
  std::uint64_t capacity = 0;
  std::uint32_t kind = 0;          ///< 0 hashed, 1 blob, 2 dense
  std::uint64_t capacity_max = 0;  ///< after a rebuild; 0: none
  bool operator==(const TableSpec&) const = default;
};

/// The application of a role. The same command runs on an active, in the mirror and on the standby's host;
/// UNDERSTUDY_REGION, UNDERSTUDY_REGION_SIZE, UNDERSTUDY_AGENT (socket) are in its environment.
struct ApplicationSpec {
  std::string name;
  std::vector<std::string> command;  ///< empty: the role has no application
  std::string store;                 ///< its store's name in the region
  std::vector<TableSpec> tables;     ///< of that store
  std::uint64_t journal_bytes = 0;   ///< of that store, a power of two
  bool operator==(const ApplicationSpec&) const = default;
};

/// What tells a role that is served from one that is well served: a command that the host-agent runs while its host
/// serves the role, in the role's network namespace where it has one, with UNDERSTUDY_ROLE in its environment.
struct HealthSpec {
  std::vector<std::string> command;  ///< exit status 0: it is well; empty: nobody asks
  std::uint32_t interval_ms = 1000;
  std::uint32_t deadline_ms = 1000;  ///< then it is killed, which is a failure
  std::uint32_t failures = 3;        ///< in a row, and the blade is unfit for the role
  bool operator==(const HealthSpec&) const = default;
};
/// A link that blinks is not down: for so long it must be without carrier, and then with it.
inline constexpr std::uint32_t kLinkDownMs = 500;

/// A role's configuration bundle: the same, under one version, at every place (D15).
struct RoleSpec {
  RoleId id;
  std::uint32_t number = 0;  ///< 1..N
  std::string version;       ///< digest of everything below
  std::vector<PortSpec> ports;
  std::vector<RouteSpec> routes;
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::string ruleset;  ///< nftables text, loaded in the role's network namespace
  ApplicationSpec application;
  std::uint64_t region_bytes = 0;  ///< a power of two
  std::uint64_t flow_capacity = 0;
  IpPrefix mirror_address;  ///< the mirror's own address on the maintenance network
  MacAddress mirror_mac;
  std::uint32_t mirror_memory_mib = 0;
  BladeId mirror_blade =
      {};  ///< who runs the mirror, and so whose certificate it shows; empty: any blade of the chassis
  HealthSpec health;
  std::uint32_t link_down_ms = kLinkDownMs;
  bool operator==(const RoleSpec&) const = default;
};

/// How a BFD session proves who speaks (RFC 5880, section 6.7), numbered as on the wire. MD5 (2, 3) is not offered.
enum class BfdAuthentication : std::uint8_t { None = 0, Simple = 1, Sha1 = 4, MeticulousSha1 = 5 };

struct BfdParameters {
  std::uint32_t interval_ms = 50;
  std::uint32_t multiplier = 3;
  BfdAuthentication authentication = BfdAuthentication::None;  ///< the key itself is each blade's own file
  std::uint8_t key_id = 0;                                     ///< 0 without authentication
  bool operator==(const BfdParameters&) const = default;
};

/// Why the old place no longer speaks (D3).
enum class StopEvidence : std::uint8_t { None, NeverServed, Isolated, PoweredOff, StoodDown, LeaseRanOut };

enum class MovementPolicy : std::uint8_t { WhenSlow, WhenQuiet, Always, Manual };

// --- orders: control-server -> host-agent ---
struct ServeRole {  ///< serve on this blade's host OS; opens the gate under `term`
  RoleSpec spec;
  Term term;
  bool operator==(const ServeRole&) const = default;
};
struct StandDown {  ///< close the gate of any place below `term`, confirm with Stopped
  RoleId role;
  Term term;
  bool operator==(const StandDown&) const = default;
};
struct RunMirror {  ///< run the mirror of a role that `active` serves under `term`
  RoleSpec spec;
  Term term;
  BladeId active;
  IpAddress active_address;  ///< maintenance network: replication source and BFD peer
  BfdParameters bfd;
  bool operator==(const RunMirror&) const = default;
};
struct Activate {  ///< the mirror begins to serve
  RoleId role;
  Term term;
  StopEvidence evidence = StopEvidence::None;
  std::uint32_t deadline_ms = 0;  ///< past it the mirror's gate closes again (rule 11)
  bool operator==(const Activate&) const = default;
};
struct Move {  ///< guest -> host; `term` is reserved for the host before the freeze
  RoleId role;
  Term term;
  bool operator==(const Move&) const = default;
};
struct ReleaseMirrors {  ///< shut all guests of this blade down, in order
  std::vector<RoleId> except;
  bool operator==(const ReleaseMirrors&) const = default;
};
/// A lease (rules 3 to 5): the serving host's gate closes by itself unless the mirror goes on granting.
struct ArmLease {  ///< to the active: from the first grant on the gate is timed; told by LeaseState with the same id
  RoleId role;
  Term term;
  std::uint64_t id = 0;
  std::uint32_t length_ms = 0;   ///< a grant is good for this long, counted from the sending of its request
  std::uint32_t element_ms = 0;  ///< the gate stays open for this long after the last refreshing
  bool operator==(const ArmLease&) const = default;
};
struct DisarmLease {  ///< to the active: the role is exposed, the gate stays open without grants
  RoleId role;
  Term term;
  bool operator==(const DisarmLease&) const = default;
};
struct AllowGrants {  ///< to the standby: the mirror grants when it is asked under this term
  RoleId role;
  Term term;
  bool operator==(const AllowGrants&) const = default;
};
struct StopGrants {  ///< to the standby: no more grants for this term or a lower one, confirm with GrantsStopped
  RoleId role;
  Term term;
  bool operator==(const StopGrants&) const = default;
};
/// To the active, in a planned switchover: let go of the role when its mirror has applied all that was committed.
/// Confirmed by HandedOver; HandOverFailed: the active goes on serving under the term that it has.
struct HandOver {
  RoleId role;
  Term term;                      ///< the one that the mirror is to have
  std::uint32_t deadline_ms = 0;  ///< past it the active opens its gate again
  bool operator==(const HandOver&) const = default;
};
using Order = std::variant<ServeRole, StandDown, RunMirror, Activate, Move, ReleaseMirrors, ArmLease, DisarmLease,
                           AllowGrants, StopGrants, HandOver>;

// --- reports: host-agent -> control-server ---
struct HeldRole {
  RoleId role;
  Term term;
  PlaceKind kind = PlaceKind::Host;
  bool serving = false;
  bool operator==(const HeldRole&) const = default;
};
struct KnownTerm {  ///< the highest term of a role that a blade ever held or gave up, in this boot
  RoleId role;
  Term term;
  bool operator==(const KnownTerm&) const = default;
};
struct Hello {  ///< first on every connection, also after a restart: what is really there
  BladeId blade;
  std::string boot_id;
  std::vector<HeldRole> held;
  std::string state_before = {};      ///< the other state store whose control-server it obeyed until now; empty: none
  std::vector<KnownTerm> known = {};  ///< numbers to stay above, also of roles that it does not hold any more
  bool operator==(const Hello&) const = default;
};
struct Serving {
  RoleId role;
  Term term;
  bool operator==(const Serving&) const = default;
};
struct ServeFailed {
  RoleId role;
  Term term;
  std::string detail;
  bool operator==(const ServeFailed&) const = default;
};
struct Stopped {
  RoleId role;
  Term term;
  bool operator==(const Stopped&) const = default;
};
/// A whole copy whose stream ended counts as the active's last state for so long, while that one is heard.
inline constexpr Duration kSyncGrace = std::chrono::seconds(4);
enum class MirrorPhase : std::uint8_t { Starting, Connected, Syncing, Synced, Failed, Stopped };
struct MirrorState {
  RoleId role;
  Term term;
  MirrorPhase phase = MirrorPhase::Starting;
  std::string boot_nonce;  ///< SYNCED is bound to this guest's boot (rule 15)
  std::string detail;      ///< for Failed: what, and where the console log is
  bool whole = false;      ///< its copy is complete for this term, whether or not its stream still runs
  bool older = false;      ///< the active has lived on without it for longer than kSyncGrace; false: not that it knows
  bool operator==(const MirrorState&) const = default;
};
/// The active's end of replication: no mirror is connected; it is brought up; it follows; nothing is acknowledged.
enum class SyncStream : std::uint8_t { None, Syncing, Synced, Stalled };
struct StoreProgress {
  std::string store;
  Sequence committed;     ///< by its writer, on the active
  Sequence acknowledged;  ///< of it: applied in the mirror's region
  bool operator==(const StoreProgress&) const = default;
};
/// How far replication of a role has come, by the active, which knows both ends. Once a second at most while it changes
/// or the mirror is behind; at once when the stream changes.
struct SyncProgress {
  RoleId role;
  Term term;
  SyncStream stream = SyncStream::None;
  std::vector<StoreProgress> stores;
  bool operator==(const SyncProgress&) const = default;
};
struct MirrorWarning {  ///< something about a mirror that an operator must know, and that changes no state
  RoleId role;
  Term term;
  std::string detail;
  bool operator==(const MirrorWarning&) const = default;
};
enum class Vote : std::uint8_t { Unknown, Up, Down };
/// An observer that lost its peer, or never heard it, is Unknown for this long at most (rule 2).
inline constexpr Duration kVoteUnknownMax = std::chrono::seconds(5);
struct PeerVote {  ///< the mirror's view of its active
  RoleId role;
  BladeId peer;
  Vote vote = Vote::Unknown;
  bool operator==(const PeerVote&) const = default;
};
struct ApplicationFailed {
  RoleId role;
  Term term;
  std::string detail;
  bool operator==(const ApplicationFailed&) const = default;
};
/// A phase's name (design vocabulary) and how long it took.
struct PhaseTime {
  std::string phase;
  double ms = 0;
  bool operator==(const PhaseTime&) const = default;
};
struct Activated {
  RoleId role;
  Term term;
  std::vector<PhaseTime> phases;
  bool operator==(const Activated&) const = default;
};
struct ActivateFailed {
  RoleId role;
  Term term;
  std::string detail;
  bool operator==(const ActivateFailed&) const = default;
};
struct Moved {
  RoleId role;
  Term term;
  std::vector<PhaseTime> phases;
  bool operator==(const Moved&) const = default;
};
struct MoveFailed {  ///< rolled back: the guest serves on under its old term
  RoleId role;
  Term term;
  std::string detail;
  bool operator==(const MoveFailed&) const = default;
};
struct MirrorsReleased {
  std::uint32_t guests_running = 0;
  double ms = 0;
  bool operator==(const MirrorsReleased&) const = default;
};
struct LeaseState {  ///< the role's gate is timed, by the ArmLease of this id; 0: it is not, or no grants keep it open
  RoleId role;
  Term term;
  std::uint64_t id = 0;
  bool operator==(const LeaseState&) const = default;
};
struct GrantsStopped {  ///< the mirror's own word: it has granted nothing since, and never will up to this term
  RoleId role;
  Term term;
  bool operator==(const GrantsStopped&) const = default;
};
/// The active's gate is closed by its kernel's own word, the mirror has applied all that was committed, and the active
/// has let go of the role: stop-evidence, and more than that.
struct HandedOver {
  RoleId role;
  Term term;
  std::vector<PhaseTime> phases;
  bool operator==(const HandedOver&) const = default;
};
struct HandOverFailed {  ///< it has not let go and will not, for this order: it serves on, or is about to
  RoleId role;
  Term term;
  std::string detail;
  bool operator==(const HandOverFailed&) const = default;
};
enum class UnfitCause : std::uint8_t {
  Health,     ///< the role's health command failed, as often in a row as it may
  Link,       ///< no carrier on an interface of the role's networks
  Apparatus,  ///< the application says so itself
};
/// A blade's own word: it is there, but no good place for the role. Of the place that serves under this term; and of
/// the standby about the links that it would serve by, under its mirror's term. It holds until RoleFit, a newer term or
/// the end of the connection: all that holds is told anew after each Hello.
struct RoleUnfit {
  RoleId role;
  Term term;
  UnfitCause cause = UnfitCause::Health;
  std::vector<std::string> networks;  ///< of cause Link: all that have no carrier; each report has the whole list
  std::string detail;
  bool operator==(const RoleUnfit&) const = default;
};
struct RoleFit {
  RoleId role;
  Term term;
  UnfitCause cause = UnfitCause::Health;
  bool operator==(const RoleFit&) const = default;
};
/// Something about a role on this blade, or in its mirror, that a person must know and that decides nothing. With a
/// topic it stands until a report of the same topic without a detail, or the end of the connection: what stands is told
/// anew after each Hello. Without a topic it is an event.
struct RoleAlarm {
  RoleId role;
  Term term;  ///< of what the blade has of the role
  std::string topic;
  std::string detail;
  bool operator==(const RoleAlarm&) const = default;
};
using Report = std::variant<Hello, Serving, ServeFailed, Stopped, MirrorState, PeerVote, ApplicationFailed, Activated,
                            ActivateFailed, Moved, MoveFailed, MirrorsReleased, MirrorWarning, LeaseState,
                            GrantsStopped, HandedOver, HandOverFailed, RoleUnfit, RoleFit, SyncProgress, RoleAlarm>;

}  // namespace understudy::link
