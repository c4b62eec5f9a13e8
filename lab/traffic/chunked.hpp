// SPDX-License-Identifier: Apache-2.0
#pragma once
/// HTTP/1.1 chunked transfer coding: pure, incremental, bounded.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace lab {

/// The line before a chunk's bytes; after them comes "\r\n". A chunk of 0 bytes ends the body.
std::string chunk_header(std::size_t bytes);
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

/// Feed it bytes as they arrive, cut anywhere. Trailers are not accepted: nobody here sends any.
class ChunkDecoder {
 public:
  using Sink = std::function<void(std::string_view)>;

  /// False when the bytes are no chunked body; it stays false.
  bool feed(std::string_view bytes, const Sink& sink);
  [[nodiscard]] bool is_complete() const { return state_ == State::Complete; }

 private:
  enum class State { Size, SizeEnd, Data, DataEnd1, DataEnd2, LastEnd1, LastEnd2, Complete, Bad };
  bool step(char letter);

  State state_ = State::Size;
  std::uint64_t size_ = 0;
  int digits_ = 0;
};

}  // namespace lab
