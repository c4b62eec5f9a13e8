// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A table of docs/tables, which a person reads and a test holds: what a machine does with each event in each state.
///
///     an event
///       a state, another state -> where it goes: what it does; what it does then
///       a third state: it stays, and does this
///
/// A state that is not named stays and does nothing. A line that is indented deeper goes on; one with # is for the
/// reader. Compared row by row, all of both sides; what the machine does is written beside the build when they differ.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "type_word.hpp"

namespace understudy::documented {

using test::type_word;

struct Cell {
  std::string state;
  std::string after;
  std::vector<std::string> effects;
};

/// What comes again later in the same cell is told once.
inline std::string outcome(const Cell& cell) {
  std::vector<std::string> order;
  std::map<std::string, int> times;
  for (const auto& effect : cell.effects) {
    if (++times[effect] == 1) { order.push_back(effect); }
  }
  std::string text = cell.after == cell.state ? "" : " -> " + cell.after;
  for (std::size_t i = 0; i < order.size(); ++i) {
    text += (i == 0 ? ": " : "; ") + order[i] + (times[order[i]] > 1 ? " (again)" : "");
  }
  return text;
}

/// "any but a, b" where that is shorter.
inline std::string states_text(const std::vector<std::string>& some, const std::vector<Cell>& all) {
  std::string named;
  for (const auto& state : some) { named += (named.empty() ? "" : ", ") + state; }
  std::string others;
  for (const auto& cell : all) {
    if (std::find(some.begin(), some.end(), cell.state) == some.end()) {
      others += (others.empty() ? " but " : ", ") + cell.state;
    }
  }
  return others.size() + 3 < named.size() ? "any" + others : named;
}

/// Cells that do the same stand together, at the place of the first one.
inline std::string row_text(const std::string& event, const std::vector<Cell>& cells) {
  std::vector<std::pair<std::string, std::vector<std::string>>> lines;  // outcome, states
  for (const auto& cell : cells) {
    const auto what = outcome(cell);
    if (what.empty()) { continue; }
    auto line = std::find_if(lines.begin(), lines.end(), [&](const auto& one) { return one.first == what; });
    if (line == lines.end()) { line = lines.insert(lines.end(), {what, {}}); }
    line->second.push_back(cell.state);
  }
  std::string text = event + "\n";
  for (const auto& [what, states] : lines) { text += "  " + states_text(states, cells) + what + "\n"; }
  return text;
}

/// Long lines go on below, deeper.
inline std::string wrapped(const std::string& row) {
  constexpr std::size_t kColumns = 118;
  std::string text;
  std::string line;
  for (const char letter : row) {
    if (letter == '\n') {
      text += line + "\n";
      line.clear();
      continue;
    }
    line += letter;
    const auto space = line.size() > kColumns ? line.rfind(' ') : std::string::npos;
    if (space == std::string::npos) { continue; }
    text += line.substr(0, space) + "\n";
    line = "      " + line.substr(space + 1);
  }
  return text + line;
}

struct DocumentedTable {
  std::string head;  ///< the reader's lines
  std::map<std::string, std::string> rows;
};

inline DocumentedTable read_table(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << "there is no table " << path;
  DocumentedTable table;
  std::string event;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') {
      if (event.empty()) { table.head += line + "\n"; }
    } else if (line[0] != ' ') {
      event = line;
      table.rows[event] = line + "\n";
    } else if (const auto deep = line.find_first_not_of(' '); deep > 2) {
      auto& row = table.rows[event];
      row.back() = ' ';
      row += line.substr(deep) + "\n";
    } else {
      table.rows[event] += line + "\n";
    }
  }
  return table;
}

/// `rows`: as row_text makes them. The table is docs/tables/NAME.
inline void expect_documented(const std::string& name, const std::vector<std::string>& rows) {
  const std::string path = std::string(DOCUMENTED_TABLES) + "/" + name;
  auto documented = read_table(path);
  std::string actual = documented.head;
  for (const auto& row : rows) {
    actual += wrapped(row);
    const auto event = row.substr(0, row.find('\n'));
    EXPECT_EQ(row, documented.rows[event]) << "(what is done, and what " << path << " says)";
    documented.rows.erase(event);
  }
  for (const auto& [event, row] : documented.rows) { ADD_FAILURE() << path << " has a row of no event: " << event; }
  if (!testing::Test::HasFailure()) { return; }
  const std::string found = std::string(TABLES_AS_FOUND) + "/" + name;
  std::ofstream(found) << actual;
  std::printf("the whole table as it is done: %s\n", found.c_str());
}

}  // namespace understudy::documented
