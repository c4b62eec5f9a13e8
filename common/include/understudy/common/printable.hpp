// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Texts that quote consoles and other programs, made fit for logs, wires and stores.

#include <cstddef>
#include <string>

namespace understudy {

/// At most `most` bytes of printable ASCII, line ends and tabs; whatever else is there becomes '?'. A strange byte
/// would make a whole batch of events unreadable for who reads UTF-8.
inline std::string printable(std::string text, std::size_t most) {
  if (text.size() > most) { text.resize(most); }
  for (auto& letter : text) {
    if ((letter < ' ' && letter != '\n' && letter != '\t') || letter > '~') { letter = '?'; }
  }
  return text;
}

}  // namespace understudy
