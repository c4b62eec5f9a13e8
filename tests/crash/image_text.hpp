// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Expected states, changes, and what was found, as text between two processes. Numbers and lines; nothing in it is
/// trusted to be anything but whole, and what is not is told as a violation.

#include <sstream>
#include <string>
#include <vector>

#include "fresh_process.hpp"
#include "image_check.hpp"

namespace understudy::shm::crash {

inline std::string text_of(const Expected& state) {
  std::ostringstream text;
  text << state.committed << ' ' << state.content.size();
  for (const auto& [id, seed] : state.content) { text << ' ' << id << ' ' << seed; }
  text << '\n';
  return text.str();
}
inline bool read_from(std::istream& text, Expected& state) {
  std::size_t records = 0;
  text >> state.committed >> records;
  for (std::uint64_t id = 0, seed = 0; records > 0 && text >> id >> seed; --records) { state.content[id] = seed; }
  return static_cast<bool>(text);
}

inline std::string text_of(const std::vector<Step>& steps) {
  std::ostringstream text;
  text << steps.size();
  for (const Step& step : steps) {
    text << ' ' << step.id << ' ' << step.seed.has_value() << ' ' << step.seed.value_or(0);
  }
  text << '\n';
  return text.str();
}
inline bool read_from(std::istream& text, std::vector<Step>& steps) {
  std::size_t count = 0;
  text >> count;
  for (std::uint64_t id = 0, seed = 0, puts = 0; count > 0 && text >> id >> puts >> seed; --count) {
    steps.push_back({id, puts != 0 ? std::optional(seed) : std::nullopt});
  }
  return static_cast<bool>(text);
}

/// Its last line says that there is no more.
inline std::string text_of(const Told& told) {
  std::ostringstream text;
  text << told.found << ' ' << told.committed << ' ' << told.images << ' ' << told.noted << '\n';
  for (const auto& violation : told.violations) { text << violation << '\n'; }
  text << ".\n";
  return text.str();
}
inline Told told_from(const std::string& from) {
  Told told;
  std::istringstream text(from);
  text >> told.found >> told.committed >> told.images >> told.noted;
  text.ignore(1);
  bool whole = false;
  for (std::string line; std::getline(text, line);) {
    whole = line == ".";
    if (!whole) { told.violations.push_back(line); }
  }
  if (!whole) { told.violations.emplace_back("a fresh process did not tell all that it saw"); }
  return told;
}

}  // namespace understudy::shm::crash
