// SPDX-License-Identifier: Apache-2.0
#include "edge/hold_out_record.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "understudy/common/log.hpp"

namespace understudy::control {
namespace {
constexpr int kTriesAgain = 2;
}

/// A machine whose clock begins at 1970 again says what was before that as 1970 itself: a record that nobody could read
/// would let the blade back.
std::string hold_out_record(const HoldOutAges& ages, std::int64_t wall_ns) {
  const auto at = [wall_ns](Duration age) { return std::to_string(std::max<std::int64_t>(0, wall_ns - age.count())); };
  std::string text = ages.held ? at(*ages.held) : "-";
  for (const auto& age : ages.failures) { text += " " + at(age); }
  return text;
}

Result<HoldOutAges> read_hold_out_record(const std::string& text, std::int64_t wall_ns) {
  HoldOutAges ages;
  std::istringstream words(text);
  bool first = true;
  for (std::string word; words >> word; first = false) {
    if (first && word == "-") { continue; }
    std::int64_t at = 0;
    const auto* end = word.data() + word.size();
    if (std::from_chars(word.data(), end, at) != std::from_chars_result{end, std::errc{}} || at < 0) {
      return failure("\"" + text + "\" is no record of a blade that failed", Errc::Damaged);
    }
    const Duration age{wall_ns - at};
    if (first) {
      ages.held = age;
    } else {
      ages.failures.push_back(age);
    }
  }
  if (first) { return failure("an empty record of a blade that failed", Errc::Damaged); }
  return ages;
}

Result<std::map<BladeId, HoldOutAges>> read_hold_outs(StateStore& store, std::int64_t wall_ns) {
  std::map<BladeId, HoldOutAges> found;
  const auto kept = store.kept(kHoldOutKey);
  if (!kept) { return kept.error(); }
  for (const auto& [blade, text] : kept.value()) {
    auto ages = read_hold_out_record(text, wall_ns);
    if (ages) {
      found[BladeId{blade}] = std::move(ages).value();
    } else {
      log::error("{}: {}", blade, log::describe(ages.error()));
    }
  }
  return found;
}

Result<HoldOutsToBegin> hold_outs_to_begin(StateStore& store, std::int64_t wall_ns) {
  auto found = read_hold_outs(store, wall_ns);
  for (int again = 0; again < kTriesAgain && !found; ++again) { found = read_hold_outs(store, wall_ns); }
  if (found) { return HoldOutsToBegin{std::move(found).value(), ""}; }
  if (const auto answers = store.ownerships(); !answers) { return found.error(); }
  return HoldOutsToBegin{{}, found.error().message};
}

}  // namespace understudy::control
