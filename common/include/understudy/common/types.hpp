// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The strong types of the vocabulary: one word for one thing, everywhere.

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace understudy {

/// A name that cannot be mixed up with a name of another kind.
template <class Tag>
struct Name {
  std::string value;
  auto operator<=>(const Name&) const = default;
  [[nodiscard]] bool empty() const { return value.empty(); }
};

using BladeId = Name<struct BladeTag>;  ///< one physical server, e.g. "blade-2"
using RoleId = Name<struct RoleTag>;    ///< the job of one active, e.g. "role-2"

/// The role's ownership number; it only grows, a lower one is refused. 0 = never owned.
struct Term {
  std::uint64_t value = 0;
  auto operator<=>(const Term&) const = default;
  [[nodiscard]] Term next() const { return Term{value + 1}; }
};

/// Position of a committed change in a store. 0 = nothing committed yet.
struct Sequence {
  std::uint64_t value = 0;
  auto operator<=>(const Sequence&) const = default;
};

/// Virtual or real monotonic time, always passed in (CLOCK_BOOTTIME at the edges).
using Duration = std::chrono::nanoseconds;
struct Instant {
  Duration since_boot{0};
  auto operator<=>(const Instant&) const = default;
  friend Instant operator+(Instant at, Duration by) { return {at.since_boot + by}; }
  friend Instant operator-(Instant at, Duration by) { return {at.since_boot - by}; }
  friend Duration operator-(Instant a, Instant b) { return a.since_boot - b.since_boot; }
};

/// Where a role is served.
enum class PlaceKind : std::uint8_t { Host, Mirror };
struct Place {
  BladeId blade;
  PlaceKind kind = PlaceKind::Host;
  auto operator<=>(const Place&) const = default;
};

[[nodiscard]] inline const char* to_string(PlaceKind kind) { return kind == PlaceKind::Host ? "host" : "mirror"; }
[[nodiscard]] inline std::string to_string(const Place& place) {
  return place.blade.value + "/" + to_string(place.kind);
}
[[nodiscard]] inline double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace understudy
