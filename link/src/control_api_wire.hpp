// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the conversions of orders, reports and status share. Private to the control API.

#include <algorithm>
#include <string>

#include "control_api_check.hpp"
#include "understudy/common/printable.hpp"

namespace understudy::link {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;  // clang 16 deduces no aggregates

// --- enumerators: by name, so that neither side's numbers bind the other ---

template <class Plain, class Wire>
struct Pair {
  Plain plain;
  Wire wire;
};
inline constexpr Pair<StopEvidence, pb::StopEvidence> kEvidence[] = {
    {StopEvidence::None, pb::STOP_EVIDENCE_NONE},
    {StopEvidence::NeverServed, pb::STOP_EVIDENCE_NEVER_SERVED},
    {StopEvidence::Isolated, pb::STOP_EVIDENCE_ISOLATED},
    {StopEvidence::PoweredOff, pb::STOP_EVIDENCE_POWERED_OFF},
    {StopEvidence::StoodDown, pb::STOP_EVIDENCE_STOOD_DOWN},
    {StopEvidence::LeaseRanOut, pb::STOP_EVIDENCE_LEASE_RAN_OUT}};
inline constexpr Pair<PlaceKind, pb::PlaceKind> kPlace[] = {{PlaceKind::Host, pb::PLACE_KIND_HOST},
                                                            {PlaceKind::Mirror, pb::PLACE_KIND_MIRROR}};
inline constexpr Pair<MirrorPhase, pb::MirrorPhase> kPhase[] = {
    {MirrorPhase::Starting, pb::MIRROR_PHASE_STARTING}, {MirrorPhase::Connected, pb::MIRROR_PHASE_CONNECTED},
    {MirrorPhase::Syncing, pb::MIRROR_PHASE_SYNCING},   {MirrorPhase::Synced, pb::MIRROR_PHASE_SYNCED},
    {MirrorPhase::Failed, pb::MIRROR_PHASE_FAILED},     {MirrorPhase::Stopped, pb::MIRROR_PHASE_STOPPED}};
inline constexpr Pair<SyncStream, pb::SyncStream> kStream[] = {{SyncStream::None, pb::SYNC_STREAM_NONE},
                                                               {SyncStream::Syncing, pb::SYNC_STREAM_SYNCING},
                                                               {SyncStream::Synced, pb::SYNC_STREAM_SYNCED},
                                                               {SyncStream::Stalled, pb::SYNC_STREAM_STALLED}};
inline constexpr Pair<Vote, pb::Vote> kVote[] = {
    {Vote::Unknown, pb::VOTE_UNKNOWN}, {Vote::Up, pb::VOTE_UP}, {Vote::Down, pb::VOTE_DOWN}};
inline constexpr Pair<UnfitCause, pb::UnfitCause> kUnfitCause[] = {{UnfitCause::Health, pb::UNFIT_CAUSE_HEALTH},
                                                                   {UnfitCause::Link, pb::UNFIT_CAUSE_LINK},
                                                                   {UnfitCause::Apparatus, pb::UNFIT_CAUSE_APPARATUS}};
inline constexpr Pair<MovementPolicy, pb::MovementPolicy> kPolicy[] = {
    {MovementPolicy::WhenSlow, pb::MOVEMENT_POLICY_WHEN_SLOW},
    {MovementPolicy::WhenQuiet, pb::MOVEMENT_POLICY_WHEN_QUIET},
    {MovementPolicy::Always, pb::MOVEMENT_POLICY_ALWAYS},
    {MovementPolicy::Manual, pb::MOVEMENT_POLICY_MANUAL}};

inline constexpr Pair<BfdAuthentication, pb::BfdAuthentication> kBfdAuthentication[] = {
    {BfdAuthentication::None, pb::BFD_AUTHENTICATION_NONE},
    {BfdAuthentication::Simple, pb::BFD_AUTHENTICATION_SIMPLE},
    {BfdAuthentication::Sha1, pb::BFD_AUTHENTICATION_SHA1},
    {BfdAuthentication::MeticulousSha1, pb::BFD_AUTHENTICATION_METICULOUS_SHA1}};

template <class Plain, class Wire, std::size_t N>
Wire to_wire(const Pair<Plain, Wire> (&pairs)[N], Plain plain) {
  const auto* found = std::find_if(std::begin(pairs), std::end(pairs), [&](auto& p) { return p.plain == plain; });
  UNDERSTUDY_ASSERT(found != std::end(pairs));
  return found->wire;
}
template <class Plain, class Wire, std::size_t N>
Plain from_wire(Check& check, const Pair<Plain, Wire> (&pairs)[N], Wire wire, const char* field) {
  const auto* found = std::find_if(std::begin(pairs), std::end(pairs), [&](auto& p) { return p.wire == wire; });
  check.require(found != std::end(pairs), field, "a known enumerator, not " + std::to_string(static_cast<int>(wire)));
  return found != std::end(pairs) ? found->plain : pairs[0].plain;
}

/// Details quote consoles and other programs: what the wire or the other side's bounds would refuse is replaced or
/// cut here, so that a strange message never ends a stream.
inline std::string printable(std::string text) { return understudy::printable(std::move(text), bounds::kTextBytes); }

// --- addresses ---

inline std::string bytes_of(const MacAddress& mac) { return {mac.bytes.begin(), mac.bytes.end()}; }
inline std::string bytes_of(const IpAddress& address) {
  const std::size_t size = address.family == 4 ? 4 : address.family == 6 ? 16 : 0;
  return {address.bytes.begin(), address.bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}
inline void fill(pb::Prefix& to, const IpPrefix& from) {
  to.set_address(bytes_of(from.address));
  to.set_length(from.length);
}

inline void fill(pb::Bfd& to, const BfdParameters& from) {
  to.set_interval_ms(from.interval_ms);
  to.set_multiplier(from.multiplier);
  to.set_authentication(to_wire(kBfdAuthentication, from.authentication));
  to.set_key_id(from.key_id);
}
inline BfdParameters read_bfd(Check& check, const pb::Bfd& from) {
  check.require(from.interval_ms() >= 1 && from.interval_ms() <= 60000, "bfd.interval_ms", "1 to 60000");
  check.require(from.multiplier() >= 1 && from.multiplier() <= 255, "bfd.multiplier", "1 to 255");
  check.require(from.key_id() <= 255, "bfd.key_id", "0 to 255");
  return {from.interval_ms(), from.multiplier(),
          from_wire(check, kBfdAuthentication, from.authentication(), "bfd.authentication"),
          static_cast<std::uint8_t>(from.key_id())};
}

inline void fill(pb::StoreProgress& to, const StoreProgress& from) {
  to.set_store(from.store);
  to.set_committed(from.committed.value);
  to.set_acknowledged(from.acknowledged.value);
}
template <class Wires>
std::vector<StoreProgress> read_progress(Check& check, const Wires& from) {
  std::vector<StoreProgress> stores;
  check.count(from.size(), "stores", bounds::kTables);
  for (const auto& one : from) {
    stores.push_back(
        {check.text(one.store(), "stores.store"), Sequence{one.committed()}, Sequence{one.acknowledged()}});
  }
  return stores;
}

inline void fill(pb::RoleTerm& to, const RoleId& role, Term term) {
  to.set_role(role.value);
  to.set_term(term.value);
}
}  // namespace understudy::link
