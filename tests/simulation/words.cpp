// SPDX-License-Identifier: Apache-2.0
#include "words.hpp"

namespace understudy::sim {

namespace {
constexpr std::array<const char*, kFaults> fault_names{
    "loss",          "delay",         "duplicate",        "reorder",         "partition",     "one-way-partition",
    "control-crash", "control-power", "host-agent-crash", "guest-crash",     "power-loss",    "freeze",
    "slow-clock",    "clock-jump",    "store-refuses",    "store-lost",      "store-torn",    "qemu-death",
    "failed-freeze", "failed-cont",   "fence-fails",      "fence-lies",      "fence-hangs",   "switch-fails",
    "switch-hangs",  "application",   "failed-step",      "slow-guest",      "operator-move", "operator-policy",
    "switchover",    "store-late",    "store-loses",      "store-partition", "leader-freeze", "leader-stalls",
    "witness-lost",  "witness-late",  "witness-back",     "health-fails",    "app-unfit",     "link-lost",
    "standby-lacks", "network-blink", "orderly-stop",     "bfd-filtered",    "store-hangs",   "loop-hangs"};
constexpr std::array<const char*, kInvariants> invariant_names{
    "one-owner", "one-role",     "term-once", "mirrored-kept", "installed-first", "old-place-silent", "standby-kept",
    "way-back",  "stored-first", "held-out",  "higher-first",  "one-leader",      "whole-copy",       "edge-holds"};
struct BugWord {
  const char* name;
  Invariant invariant;
};
constexpr std::array<BugWord, kBugs> bugs{{
    {"none", Invariant::EdgeHolds},
    {"skip-isolation", Invariant::OneOwner},
    {"half-isolation", Invariant::OneOwner},
    {"store-in-memory-only", Invariant::TermOnce},
    {"announce-before-install", Invariant::InstalledFirst},
    {"cont-after-commit", Invariant::OldPlaceSilent},
    {"gate-kept-at-stand-down", Invariant::OneOwner},
    {"acknowledge-received", Invariant::MirroredKept},
    {"synced-too-early", Invariant::WholeCopy},
    {"never-identify", Invariant::WayBack},
    {"one-vote-is-enough", Invariant::StandbyKept},
    {"shoot-the-neighbour", Invariant::OneRole},
    {"release-everything", Invariant::WayBack},
    {"forget-records", Invariant::WayBack},
    {"order-before-store", Invariant::StoredFirst},
    {"no-timers", Invariant::WayBack},
    {"readmit-nothing", Invariant::WayBack},
    {"gate-open-at-boot", Invariant::OldPlaceSilent},
    {"never-reconnect", Invariant::WayBack},
    {"forget-the-lease", Invariant::OneOwner},
    {"count-from-the-answer", Invariant::OneOwner},
    {"hand-over-unshipped", Invariant::MirroredKept},
    {"lower-first", Invariant::HigherFirst},
    {"forget-the-hold-out", Invariant::HeldOut},
    {"obey-any-leader", Invariant::OneLeader},
    {"write-unfenced", Invariant::OneLeader},
    {"stale-record", Invariant::WayBack},
    {"forget-protection", Invariant::WayBack},
    {"forget-deletions", Invariant::WholeCopy},
    {"half-a-transaction", Invariant::WholeCopy},
    {"scan-without-mark", Invariant::WholeCopy},
    {"serve-unfinished", Invariant::WholeCopy},
    {"blind-witness", Invariant::StandbyKept},
    {"bfd-on-the-loop", Invariant::StandbyKept},
    {"answer-before-the-disk", Invariant::StoredFirst},
}};
}  // namespace

const char* to_string(Fault fault) { return fault_names[static_cast<std::size_t>(fault)]; }
const char* to_string(Invariant invariant) { return invariant_names[static_cast<std::size_t>(invariant)]; }
const char* to_string(Bug bug) { return bugs[static_cast<std::size_t>(bug)].name; }
Invariant found_as(Bug bug) { return bugs[static_cast<std::size_t>(bug)].invariant; }

}  // namespace understudy::sim
