// SPDX-License-Identifier: Apache-2.0
#include "messages.hpp"

#include <array>
#include <boost/json.hpp>
#include <limits>

namespace understudy::app {

namespace json = boost::json;

namespace {

constexpr std::array duty_names{"standing-by", "active", "quiescing", "stopping"};
constexpr std::array order_names{"stand-by", "activate", "quiesce", "stop"};
constexpr std::size_t max_reason_bytes = 512;

template <class Enum, std::size_t N>
std::optional<Enum> enum_of(const std::array<const char*, N>& names, std::string_view name) {
  for (std::size_t i = 0; i < N; ++i) {
    if (name == names[i]) { return static_cast<Enum>(i); }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> unsigned_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) { return std::nullopt; }
  if (value->is_uint64()) { return value->get_uint64(); }
  if (value->is_int64() && value->get_int64() >= 0) { return static_cast<std::uint64_t>(value->get_int64()); }
  return std::nullopt;
}

std::optional<bool> bool_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_bool()) { return std::nullopt; }
  return value->get_bool();
}

std::optional<std::string> string_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) { return std::nullopt; }
  return std::string(value->get_string());
}

Result<json::object> parse_object(std::string_view line) {
  if (line.size() > max_line_bytes) {
    return failure("a line of " + std::to_string(line.size()) + " bytes", Errc::Damaged);
  }
  json::parse_options options;
  options.max_depth = 2;
  json::error_code error;
  auto value = json::parse(line, error, {}, options);
  if (error || !value.is_object()) { return failure("a line that is no JSON object", Errc::Damaged); }
  return std::move(value.get_object());
}

/// A cut or foreign multi-byte character would be no valid JSON; and what is told goes on to a person's terminal.
std::string reason_of(const std::string& text) {
  std::string reason = text.substr(0, max_reason_bytes);
  for (auto& c : reason) {
    if (c < ' ' || c > '~') { c = '?'; }
  }
  return reason;
}

}  // namespace

const char* to_string(Duty duty) { return duty_names.at(static_cast<std::size_t>(duty)); }
const char* to_string(OrderKind kind) { return order_names.at(static_cast<std::size_t>(kind)); }

std::string encode(const Order& order) {
  const json::object object{{"order", to_string(order.kind)}, {"term", order.term.value}, {"number", order.number}};
  return json::serialize(object) + "\n";
}

std::string encode(const StatusLine& status) {
  const std::string reason = reason_of(status.reason);
  const std::string unfit = reason_of(status.unfit);
  const json::object object{{"duty", to_string(status.duty)},
                            {"term", status.term.value},
                            {"ready", status.ready},
                            {"needs_quiescing", status.needs_quiescing},
                            {"quiesced", status.quiesced},
                            {"order", status.order},
                            {"refused", status.refused},
                            {"reason", reason},
                            {"unfit", unfit}};
  return json::serialize(object) + "\n";
}

Result<Order> decode_order(std::string_view line) {
  const auto object = parse_object(line);
  if (!object) { return object.error(); }
  const auto name = string_of(object.value(), "order");
  const auto kind = name ? enum_of<OrderKind>(order_names, *name) : std::nullopt;
  const auto term = unsigned_of(object.value(), "term");
  const auto number = unsigned_of(object.value(), "number");
  if (!kind || !term || !number) { return failure("an order that lacks order, term or number", Errc::Damaged); }
  return Order{*kind, Term{*term}, *number};
}

Result<StatusLine> decode_status(std::string_view line) {
  const auto object = parse_object(line);
  if (!object) { return object.error(); }
  const auto& fields = object.value();
  const auto name = string_of(fields, "duty");
  const auto duty = name ? enum_of<Duty>(duty_names, *name) : std::nullopt;
  const auto term = unsigned_of(fields, "term");
  const auto ready = bool_of(fields, "ready");
  const auto needs_quiescing = bool_of(fields, "needs_quiescing").value_or(false);  // not told by older libraries
  const auto quiesced = bool_of(fields, "quiesced");
  const auto order = unsigned_of(fields, "order");
  const auto refused = bool_of(fields, "refused");
  const auto reason = string_of(fields, "reason");
  const auto unfit = string_of(fields, "unfit").value_or("");  // likewise
  if (!duty || !term || !ready || !quiesced || !order || !refused || !reason) {
    return failure("a status that lacks duty, term, ready, quiesced, order, refused or reason", Errc::Damaged);
  }
  return StatusLine{*duty,    Term{*term},        *ready,          needs_quiescing, *quiesced, *order,
                    *refused, reason_of(*reason), reason_of(unfit)};
}

bool LineBuffer::append(std::string_view bytes) {
  bytes_.append(bytes);
  const auto last = bytes_.rfind('\n');
  const auto unfinished = last == std::string::npos ? bytes_.size() : bytes_.size() - last - 1;
  return unfinished <= max_line_bytes;
}

std::optional<std::string> LineBuffer::next() {
  const auto end = bytes_.find('\n');
  if (end == std::string::npos) { return std::nullopt; }
  auto line = bytes_.substr(0, end);
  bytes_.erase(0, end + 1);
  return line;
}

}  // namespace understudy::app
