// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What crosses the Unix socket between an application and its agent: one JSON object a line, each way one kind.
///
///   application -> agent   {"duty":"active","term":3,"ready":true,"needs_quiescing":false,"quiesced":false,"order":7,
///                           "refused":false,"reason":"","unfit":""}
///   agent -> application   {"order":"activate","term":3,"number":7}
///
/// The application always tells its *whole* status, so a lost line or a new connection loses nothing.
/// `order` echoes the number of the last order it knows of, so that an older status never acknowledges a newer
/// order. Numbers are counted anew with each connection.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "understudy/app/lifecycle.hpp"

namespace understudy::app {

inline constexpr std::size_t max_line_bytes = 4096;

enum class OrderKind : std::uint8_t { StandBy, Activate, Quiesce, Stop };
[[nodiscard]] const char* to_string(OrderKind kind);

struct Order {
  OrderKind kind = OrderKind::StandBy;
  Term term;
  std::uint64_t number = 0;
};

struct StatusLine {
  Duty duty = Duty::StandingBy;
  Term term;
  bool ready = false;
  bool needs_quiescing = false;
  bool quiesced = false;
  std::uint64_t order = 0;
  bool refused = false;  ///< the order of that number was not done; `reason` says why
  std::string reason;
  std::string unfit = {};  ///< why this blade is no good place for it, by its own word; empty: it is
};

[[nodiscard]] std::string encode(const Order& order);        ///< with its newline
[[nodiscard]] std::string encode(const StatusLine& status);  ///< with its newline; the reason cut to fit
Result<Order> decode_order(std::string_view line);
Result<StatusLine> decode_status(std::string_view line);

/// Bytes of a stream, cut into lines. Holds at most one unfinished line of max_line_bytes.
class LineBuffer {
 public:
  /// False: a line is too long; the stream cannot be trusted any more.
  [[nodiscard]] bool append(std::string_view bytes);
  std::optional<std::string> next();
  void clear() { bytes_.clear(); }

 private:
  std::string bytes_;
};

}  // namespace understudy::app
