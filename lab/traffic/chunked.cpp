// SPDX-License-Identifier: Apache-2.0
#include "chunked.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace lab {

std::string chunk_header(std::size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%zx\r\n", bytes);
  return text;
}

bool ChunkDecoder::feed(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty() && state_ != State::Bad) {
    if (state_ != State::Data) {
      if (!step(bytes.front())) state_ = State::Bad;
      bytes.remove_prefix(1);
      continue;
    }
    const auto part = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(size_, bytes.size())));
    sink(part);
    size_ -= part.size();
    bytes.remove_prefix(part.size());
    if (size_ == 0) state_ = State::DataEnd1;
  }
  return state_ != State::Bad;
}

/// One byte outside a chunk's data.
bool ChunkDecoder::step(char letter) {
  constexpr int most_digits = 8;  // 4 GiB a chunk
  switch (state_) {
    case State::Size:
      if (letter == '\r' && digits_ > 0) {
        state_ = State::SizeEnd;
        return true;
      }
      if (!std::isxdigit(static_cast<unsigned char>(letter)) || ++digits_ > most_digits) return false;
      size_ = size_ * 16 + static_cast<std::uint64_t>(letter <= '9' ? letter - '0' : (letter | 0x20) - 'a' + 10);
      return true;
    case State::SizeEnd:
      state_ = size_ > 0 ? State::Data : State::LastEnd1;
      digits_ = 0;
      return letter == '\n';
    case State::DataEnd1:
      state_ = State::DataEnd2;
      return letter == '\r';
    case State::DataEnd2:
      state_ = State::Size;
      return letter == '\n';
    case State::LastEnd1:
      state_ = State::LastEnd2;
      return letter == '\r';
    case State::LastEnd2:
      state_ = State::Complete;
      return letter == '\n';
    case State::Data:
    case State::Complete:
    case State::Bad:
      return false;
  }
  return false;
}

}  // namespace lab
