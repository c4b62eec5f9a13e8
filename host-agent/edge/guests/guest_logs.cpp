// SPDX-License-Identifier: Apache-2.0
#include "edge/guests/guest_logs.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <vector>

namespace understudy::host {
namespace {

/// What of a line can be printed, without its colours (ESC [ ... m).
std::string printable(const std::string& line) {
  std::string clean;
  bool escaped = false;
  for (const char letter : line.substr(0, 200)) {
    if (letter == '\033') { escaped = true; }
    if (!escaped && letter >= ' ' && letter <= '~') { clean += letter; }
    if (std::isalpha(static_cast<unsigned char>(letter)) != 0) { escaped = false; }
  }
  return clean.find_first_not_of(' ') == std::string::npos ? std::string() : clean;
}

/// Lines of the file's end with something in them.
std::vector<std::string> last_lines(const std::string& path) {
  constexpr std::streamoff tail = 4096;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) { return {}; }
  const std::streamoff size = file.tellg();
  file.seekg(size > tail ? size - tail : 0);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (auto clean = printable(line); !clean.empty()) { lines.push_back(std::move(clean)); }
  }
  return lines;
}

}  // namespace

std::string telling_line(const std::string& console) {
  const auto lines = last_lines(console);
  const auto panic = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("Kernel panic") != std::string::npos;
  });
  if (panic != lines.end()) { return *panic; }
  return lines.empty() ? std::string() : lines.back();
}

std::string qemu_words(const std::string& log) {
  std::string words;
  for (const auto& line : last_lines(log)) { words += (words.empty() ? "" : " / ") + line; }
  return words.substr(0, 400);
}

void keep_former(const std::string& log) {
  const std::string ending = ".log";
  const auto stem = log.ends_with(ending) ? log.substr(0, log.size() - ending.size()) : log;
  std::error_code ignored;  // there is none at the first start
  std::filesystem::rename(log, stem + ".before.log", ignored);
}

}  // namespace understudy::host
