// SPDX-License-Identifier: Apache-2.0
#include "sum.hpp"

#include <algorithm>
#include <cstdio>

namespace understudy::sim {

namespace {
constexpr std::array<const char*, kEvidences> kEvidenceWords{"none",        "never served", "isolated",
                                                             "powered off", "stood down",   "lease ran out"};
}  // namespace

void show_matrix(const Sum& sum) {
  std::printf("\n%-18s%10s%12s", "fault", "injected", "has bitten");
  for (const auto* state : kStateNames) { std::printf("%12s", state); }
  std::printf("\n");
  for (std::size_t f = 0; f < kFaults; ++f) {
    std::printf("%-18s%10llu%12llu", to_string(static_cast<Fault>(f)), static_cast<unsigned long long>(sum.injected[f]),
                static_cast<unsigned long long>(sum.bites[f]));
    for (std::size_t s = 0; s < kStates; ++s) { std::printf("%12llu", static_cast<unsigned long long>(sum.met[f][s])); }
    std::printf("\n");
  }
}

/// What a new term stood on, and which actives died for good.
void show_ends(const Sum& sum) {
  std::printf("evidence of new terms:");
  for (std::size_t i = 1; i < kEvidences; ++i) {
    std::printf("%s %llu %s", i == 1 ? "" : ",", static_cast<unsigned long long>(sum.evidence[i]), kEvidenceWords[i]);
  }
  std::printf("\n");
  for (std::size_t i = 0; i < kLastActs; ++i) {
    if (sum.last_acts[i] == 0) { continue; }
    std::printf("%llu actives were never mended that died %s\n", static_cast<unsigned long long>(sum.last_acts[i]),
                LastAct::kind_word(i));
  }
}

void show_replication(const Sum& sum) {
  std::printf("replication:");
  for (const auto& [name, member] : kExercised) {
    std::printf("%s %llu %s", member == kExercised[0].second ? "" : ",",
                static_cast<unsigned long long>(sum.exercised.*member), name);
  }
  std::printf("\n");
}

/// Where journals are lapped everything that replication can come to has come to pass.
bool check_replication(const Sum& sum) {
  bool all = true;
  for (const auto& [name, member] : kExercised) {
    if (sum.exercised.*member != 0 || member == &Exercised::torn) { continue; }  // too rare in a thousand histories
    std::printf("replication: no %s\n", name);
    all = false;
  }
  return all;
}

/// Every kind of fault, in every state of a role, and it has changed something; where several control-servers are,
/// those that are theirs, and where there are witnesses and blades' own words, those.
bool check_matrix(const Sum& sum, std::uint64_t last_seed, bool every_kind) {
  bool all = true;
  struct Range {
    std::uint64_t first;
    std::size_t from;
    std::size_t to;
  };
  constexpr std::array<Range, 7> ranges{{{kFirstHangSeed, kFaultsBeforeHangs, kFaults},
                                         {kFirstFilterSeed, kFaultsBeforeFilters, kFaultsBeforeHangs},
                                         {kFirstBlinkSeed, kFaultsBeforeBlinks, kFaultsBeforeFilters},
                                         {kFirstWordsSeed, kFaultsBeforeWords, kFaultsBeforeBlinks},
                                         {kFirstServersSeed, kFaultsBeforeServers, kFaultsBeforeWords},
                                         {kFirstSwitchoverSeed, 0, kFaultsBeforeServers},
                                         {0, 0, kFaultsBeforeSwitchovers}}};
  const auto& range =
      *std::find_if(ranges.begin(), ranges.end(), [&](const auto& one) { return last_seed >= one.first; });
  for (std::size_t f = every_kind ? 0 : range.from; f < (every_kind ? kFaults : range.to); ++f) {
    if (sum.bites[f] == 0) {
      std::printf("%s has never changed anything\n", to_string(static_cast<Fault>(f)));
      all = false;
    }
    for (std::size_t s = 0; s < kStates; ++s) {
      if (sum.met[f][s] != 0) { continue; }
      std::printf("%s was never met by a role that is %s\n", to_string(static_cast<Fault>(f)), kStateNames[s]);
      all = false;
    }
  }
  return all;
}

/// No range of histories is hollow: each kind of evidence has ended a term, each kind of last act was struck.
bool check_ends(const Sum& sum, std::uint64_t last_seed, bool every_kind) {
  const std::uint64_t kind = every_kind ? kKindsOfHistories : last_seed / kSeedsOfAKind;
  bool all = true;
  for (std::size_t i = 1; i < kEvidences; ++i) {
    const auto evidence = static_cast<link::StopEvidence>(i);
    const bool possible = (evidence != link::StopEvidence::LeaseRanOut || (kind >= 1 && kind < 6) || every_kind) &&
                          (evidence != link::StopEvidence::StoodDown || kind >= 2);
    if (sum.evidence[i] != 0 || !possible) { continue; }
    std::printf("no new term stood on \"%s\"\n", kEvidenceWords[i]);
    all = false;
  }
  constexpr std::array<std::uint64_t, kLastActs> theirs{3, 3, 3, 4, 4, 4, 4, 4, 6, 6};
  for (std::size_t i = 0; i < kLastActs; ++i) {
    if (sum.last_acts[i] != 0 || (theirs[i] != kind && !every_kind)) { continue; }
    std::printf("no active died for good %s\n", LastAct::kind_word(i));
    all = false;
  }
  return all;
}

}  // namespace understudy::sim
