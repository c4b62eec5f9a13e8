// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What many runs add up to, what of it is shown, and what must not be missing: no range of histories is hollow.

#include "simulation.hpp"

namespace understudy::sim {

/// Plain ones, with leases, with switchovers, with a last act, with several control-servers, with witnesses and blades'
/// own words, with a maintenance network that blinks, with filters for BFD, with disks and
/// loops that hang (docs/SIMULATION.md).
inline constexpr std::uint64_t kKindsOfHistories = 9;
inline constexpr std::uint64_t kSeedsOfAKind = 1'000'000'000'000;

/// What many runs add up to; plain, so that a worker process writes it into a pipe as it is.
struct Sum {
  std::uint64_t runs = 0;
  std::uint64_t steps = 0;
  std::uint64_t failed = 0;
  std::uint64_t takeovers = 0;
  std::uint64_t asked = 0;
  std::uint64_t stayed_on_host = 0;
  std::uint64_t left_behind = 0;
  std::array<std::uint64_t, kLastActs> last_acts{};
  std::array<std::uint64_t, kEvidences> evidence{};
  double simulated_s = 0;
  double way_back_worst_s = 0;
  Matrix met{};
  Tally injected{};
  Tally bites{};
  Exercised exercised;
  template <std::size_t Kinds>
  static void add(const std::array<std::uint64_t, Kinds>& more, std::array<std::uint64_t, Kinds>& into) {
    for (std::size_t i = 0; i < Kinds; ++i) { into[i] += more[i]; }
  }
  void add(const Exercised& more) {
    for (const auto& [name, member] : kExercised) { exercised.*member += more.*member; }
  }
  void add(const Report& report) {
    ++runs;
    steps += report.steps;
    failed += report.violation ? 1U : 0U;
    takeovers += report.takeovers;
    asked += report.asked_a_person;
    stayed_on_host += report.stayed_on_host;
    left_behind += report.left_behind;
    add(report.last_acts, last_acts);
    add(report.evidence, evidence);
    add(report.exercised);
    simulated_s += static_cast<double>(report.simulated.count()) / 1e9;
    way_back_worst_s = std::max(way_back_worst_s, static_cast<double>(report.way_back.count()) / 1e9);
    for (std::size_t f = 0; f < kFaults; ++f) {
      injected[f] += report.injected[f];
      bites[f] += report.bites[f];
      for (std::size_t s = 0; s < kStates; ++s) { met[f][s] += report.met[f][s]; }
    }
  }
  void add(const Sum& other) {
    runs += other.runs;
    steps += other.steps;
    failed += other.failed;
    takeovers += other.takeovers;
    add(other.last_acts, last_acts);
    add(other.evidence, evidence);
    asked += other.asked;
    stayed_on_host += other.stayed_on_host;
    left_behind += other.left_behind;
    add(other.exercised);
    simulated_s += other.simulated_s;
    way_back_worst_s = std::max(way_back_worst_s, other.way_back_worst_s);
    for (std::size_t f = 0; f < kFaults; ++f) {
      injected[f] += other.injected[f];
      bites[f] += other.bites[f];
      for (std::size_t s = 0; s < kStates; ++s) { met[f][s] += other.met[f][s]; }
    }
  }
};

void show_matrix(const Sum& sum);
void show_ends(const Sum& sum);
void show_replication(const Sum& sum);
[[nodiscard]] bool check_replication(const Sum& sum);
[[nodiscard]] bool check_matrix(const Sum& sum, std::uint64_t last_seed, bool every_kind);
[[nodiscard]] bool check_ends(const Sum& sum, std::uint64_t last_seed, bool every_kind);

}  // namespace understudy::sim
