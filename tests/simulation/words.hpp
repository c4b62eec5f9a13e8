// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The names that a run counts by: faults, invariants, planted bugs.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace understudy::sim {

enum class Fault : std::uint8_t {
  Loss,
  Delay,
  Duplicate,
  Reorder,
  Partition,
  OneWayPartition,
  ControlCrash,
  ControlPowerLoss,
  HostAgentCrash,
  GuestAgentCrash,
  PowerLoss,
  Freeze,
  SlowClock,
  ClockJump,
  StoreRefuses,
  StoreLost,
  StoreTorn,
  QemuDeath,
  FailedFreeze,
  FailedCont,
  FenceFails,
  FenceLies,
  FenceHangs,
  SwitchFails,
  SwitchHangs,
  ApplicationDeath,
  FailedStep,
  SlowGuest,
  OperatorMove,
  OperatorPolicy,
  OperatorSwitchover,
  StoreLate,
  StoreLoses,
  StorePartition,
  LeaderFreeze,
  LeaderStalls,
  WitnessLost,
  WitnessLate,
  WitnessBack,
  HealthFails,
  ApplicationUnfit,
  LinkLost,
  StandbyLacks,
  NetworkBlink,
  OrderlyStop,
  BfdFiltered,
  StoreHangs,
  LoopHangs,
};
inline constexpr std::size_t kFaults = 48;
inline constexpr std::size_t kFaultsBeforeHangs = 46;
inline constexpr std::size_t kFaultsBeforeFilters = 45;
inline constexpr std::size_t kFaultsBeforeBlinks = 43;
inline constexpr std::size_t kFaultsBeforeWords = 36;
inline constexpr std::size_t kFaultsBeforeServers = 31;
inline constexpr std::size_t kFaultsBeforeSwitchovers = 30;
[[nodiscard]] const char* to_string(Fault fault);

enum class Invariant : std::uint8_t {
  OneOwner,        ///< never two owners of a service address on any network segment
  OneRole,         ///< no single fault stops more than one role
  TermOnce,        ///< a term never goes back or repeats
  MirroredKept,    ///< what was acknowledged as mirrored is at the new place
  InstalledFirst,  ///< nothing is announced before it is installed
  OldPlaceSilent,  ///< a guest never speaks again after ownership left it
  StandbyKept,     ///< a false alarm never consumes the standby
  WayBack,         ///< whatever heals leads back to all roles served and protected, within a bound
  StoredFirst,     ///< nothing is ordered under a term that is not stored
  HeldOut,         ///< who is held out has failed as often as that, and gets no mirror before it is let back
  HigherFirst,     ///< a role of a higher priority never waits for a lower one's movement
  OneLeader,       ///< a former leader writes nothing, and no blade obeys one that is older than one it has heard
  WholeCopy,       ///< a copy that is whole holds exactly what was committed up to there, and whole transactions only
  EdgeHolds,       ///< the core asks the edge for nothing that would end the daemon, and never makes it spin
};
inline constexpr std::size_t kInvariants = 14;
[[nodiscard]] const char* to_string(Invariant invariant);

/// Bugs of the edges, planted one at a time. Each has the invariant that finds it.
enum class Bug : std::uint8_t {
  None,
  SkipIsolation,
  HalfIsolation,
  StoreInMemoryOnly,
  AnnounceBeforeInstall,
  ContAfterCommit,
  GateKeptAtStandDown,
  AcknowledgeReceived,
  SyncedTooEarly,
  NeverIdentify,
  OneVoteIsEnough,
  ShootTheNeighbour,
  ReleaseEverything,
  ForgetRecords,
  OrderBeforeStore,
  NoTimers,
  ReadmitNothing,
  GateOpenAtBoot,
  NeverReconnect,
  ForgetTheLease,
  CountFromTheAnswer,
  HandOverUnshipped,
  LowerFirst,
  ForgetTheHoldOut,
  ObeyAnyLeader,
  WriteUnfenced,
  StaleRecord,
  ForgetProtection,
  ForgetDeletions,
  HalfATransaction,
  ScanWithoutMark,
  ServeUnfinished,
  BlindWitness,
  BfdOnTheLoop,
  AnswerBeforeTheDisk,
};
inline constexpr std::size_t kBugs = 35;
/// Histories from this seed on have leases; those below are what they were before there were any.
inline constexpr std::uint64_t kFirstLeaseSeed = 1'000'000'000'001;
/// Histories from this seed on have switchovers too, some of them leases.
inline constexpr std::uint64_t kFirstSwitchoverSeed = 2'000'000'000'001;
/// Histories from this seed on have no switchovers and end with an active that is never mended (last_act.hpp).
inline constexpr std::uint64_t kFirstLastActSeed = 3'000'000'000'001;
/// Histories from this seed on have several control-servers and etcd.
inline constexpr std::uint64_t kFirstServersSeed = 4'000'000'000'001;
/// Histories from this seed on have witnesses, and blades that say of themselves that they are no good place; some of
/// them switchovers, several control-servers, leases, a last act.
inline constexpr std::uint64_t kFirstWordsSeed = 5'000'000'000'001;
/// Histories from this seed on are of the kind before, and the whole maintenance network goes away for moments; half of
/// them have no other fault, so that nobody may be taken over.
inline constexpr std::uint64_t kFirstBlinkSeed = 6'000'000'000'001;
/// Histories from this seed on are of the kind with words, and a filter takes a blade's BFD away while its streams
/// live; half of them have no other fault, so that nobody may be taken over.
inline constexpr std::uint64_t kFirstFilterSeed = 7'000'000'000'001;
/// Histories from this seed on are of the kind with words, and a state store's disk, or a host-agent's loop, hangs for
/// moments; half of them have no other fault, so that nobody may be taken over.
inline constexpr std::uint64_t kFirstHangSeed = 8'000'000'000'001;
[[nodiscard]] constexpr std::uint64_t first_seed_of(Bug bug) {
  if (bug >= Bug::BfdOnTheLoop) { return kFirstHangSeed; }
  // Snapshots are rare where a journal holds everything.
  if (bug >= Bug::ForgetDeletions || bug == Bug::SyncedTooEarly) { return kFirstWordsSeed; }
  if (bug >= Bug::ObeyAnyLeader) { return kFirstServersSeed; }
  if (bug >= Bug::HandOverUnshipped) { return kFirstSwitchoverSeed; }
  return bug >= Bug::ForgetTheLease ? kFirstLeaseSeed : 1;
}
[[nodiscard]] const char* to_string(Bug bug);
[[nodiscard]] Invariant found_as(Bug bug);

/// The control-server's states of a role, as the core names them.
inline constexpr std::size_t kStates = 8;
inline constexpr std::array<const char*, kStates> kStateNames{"starting",  "exposed", "protected", "taking-over",
                                                              "on-mirror", "moving",  "on-host",   "lost"};

}  // namespace understudy::sim
