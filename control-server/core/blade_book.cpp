// SPDX-License-Identifier: Apache-2.0
#include "core/blade_book.hpp"

#include <algorithm>

namespace understudy::control {

bool Blade::silent() const {
  const bool said_hello = connected && sign_of_life && *sign_of_life >= bfd.since;
  return bfd.vote == link::Vote::Down && !said_hello;
}

void Blade::look_for_absence(Instant now) {
  const bool here = bfd.vote != link::Vote::Down && !away_since;
  const bool open = absence && !absence->ended;
  if (here == !open) { return; }
  if (here) {
    absence->ended = now;
  } else {
    absence = Absence{now, sign_of_life == now, std::nullopt};
  }
}

/// What was under way when it fell silent has come within the detection time. One that was never heard has not fallen
/// silent now: what it has just said counts.
std::optional<Instant> Blade::talks_until(const Timings& timings) const {
  const bool silent_now = bfd.vote == link::Vote::Down;
  if (!silent_now || !connected || !spoke_at) { return std::nullopt; }
  const Instant said_by_now = bfd.overdue ? bfd.since - timings.word_lasts : bfd.since + timings.detection;
  if (*spoke_at < said_by_now) { return std::nullopt; }
  return *spoke_at + timings.word_lasts;
}

std::optional<Instant> Blade::gone_from(Duration agent_restart) const {
  if (powered_off) { return Instant{}; }
  if (connected || bfd.vote != link::Vote::Down) { return std::nullopt; }
  return sign_of_life ? *sign_of_life + agent_restart : bfd.since;
}

std::optional<Instant> Blade::off_is_doubted_at(Duration settle) const {
  if (!powered_off || bfd.vote != link::Vote::Up) { return std::nullopt; }
  return std::max(powered_off_at, bfd.since) + settle;
}

BladeBook::BladeBook(const GroupConfig& config) : standbys_(config.standbys()), control_blade_(config.control_blade) {
  for (const auto& blade : config.blades) { blades_[blade.id].config = blade; }
}

bool BladeBook::is_standby(const BladeId& id) const {
  return std::find(standbys_.begin(), standbys_.end(), id) != standbys_.end();
}

void BladeBook::look_for_absences(Instant now) {
  for (auto& [id, blade] : blades_) { blade.look_for_absence(now); }
}

std::size_t BladeBook::away_together(const BladeId& id, Duration apart) const {
  const auto& one = at(id).absence;
  if (!one) { return 0; }
  const bool of_two = that_can_be_away() <= 2;
  return static_cast<std::size_t>(std::count_if(blades_.begin(), blades_.end(), [&](const auto& entry) {
    const auto& other = entry.second.absence;
    if (!other || other->alive || entry.first == control_blade_) { return false; }
    const bool over = (other->ended && *other->ended <= one->began) || (one->ended && *one->ended <= other->began);
    if (of_two && over) { return false; }
    return other->began <= one->began + apart && one->began <= other->began + apart;
  }));
}

std::size_t BladeBook::that_can_be_away() const { return blades_.size() - blades_.count(control_blade_); }

Blade* BladeBook::find(const BladeId& id) {
  const auto found = blades_.find(id);
  return found != blades_.end() ? &found->second : nullptr;
}
const Blade* BladeBook::find(const BladeId& id) const {
  const auto found = blades_.find(id);
  return found != blades_.end() ? &found->second : nullptr;
}
Blade& BladeBook::at(const BladeId& id) {
  auto* blade = find(id);
  UNDERSTUDY_ASSERT(blade != nullptr);
  return *blade;
}
const Blade& BladeBook::at(const BladeId& id) const {
  const auto* blade = find(id);
  UNDERSTUDY_ASSERT(blade != nullptr);
  return *blade;
}

}  // namespace understudy::control
