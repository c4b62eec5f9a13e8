// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What must hold between the control API's bytes and plain values, whatever the bytes (D6):
///
///     bytes ──parse──► message ──from_proto──► value ──to_proto──► message ──bytes──► the same value
///              │                     │
///              └── an error          └── an error: named by message and field
///
/// and what a guest may say in a line is carried on to the control-server: one mirror's word ends no blade's stream.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control_api_convert.hpp"

namespace understudy::link::fuzz {

enum class What : std::uint8_t { Order, Report, Status, Event, GuestLine };
inline constexpr std::uint8_t what_count = 5;

struct Found {
  bool parsed = false;  ///< it is a message of its kind
  bool valid = false;   ///< and passed from_proto
  std::string problem;  ///< what does not hold; empty: all does
};
[[nodiscard]] Found check(What what, std::string_view bytes);

/// An empty message of the kind; none for a line.
[[nodiscard]] std::unique_ptr<google::protobuf::Message> message_of(What what);

struct Seed {
  What what;
  std::string bytes;
};
/// One valid message of every kind and body.
[[nodiscard]] std::vector<Seed> seeds();

}  // namespace understudy::link::fuzz
