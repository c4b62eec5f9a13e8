// SPDX-License-Identifier: Apache-2.0
#include "request.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "tables.hpp"

namespace session_service {

namespace {

constexpr std::size_t max_fields = 5;
constexpr std::uint64_t max_number = std::numeric_limits<std::int64_t>::max();

template <class Integer>
std::optional<Integer> number_of(std::string_view text, int base) {
  Integer value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (problem != std::errc{} || end != text.data() + text.size()) { return std::nullopt; }
  return value;
}

/// Fields between single spaces; at most max_fields, the rest of the line in the last.
std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  while (fields.size() + 1 < max_fields) {
    const auto space = line.find(' ');
    if (space == std::string_view::npos) { break; }
    fields.push_back(line.substr(0, space));
    line.remove_prefix(space + 1);
  }
  fields.push_back(line);
  return fields;
}

std::optional<std::uint64_t> session_of(std::string_view text) {
  return text.size() == 16 ? number_of<std::uint64_t>(text, 16) : std::nullopt;
}

bool is_user(std::string_view text) {
  return !text.empty() && text.size() <= max_user_bytes && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

std::optional<std::vector<std::byte>> blob_of(std::string_view text) {
  std::vector<std::byte> blob;
  if (text == "-") { return blob; }
  if (text.empty() || text.size() % 2 != 0) { return std::nullopt; }
  blob.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto value = number_of<std::uint8_t>(text.substr(i, 2), 16);
    if (!value) { return std::nullopt; }
    blob.push_back(static_cast<std::byte>(*value));
  }
  return blob;
}

struct Grammar {
  std::string_view word;
  Command command;
  std::size_t arguments;
  const char* usage;
};
constexpr std::array<Grammar, 7> grammar{{
    {"LOGIN", Command::Login, 1, "LOGIN <user>, 1-31 letters, digits, '.', '_', '-'"},
    {"COUNT", Command::Count, 1, "COUNT <session>, 16 hex digits"},
    {"READ", Command::Read, 1, "READ <session>, 16 hex digits"},
    {"STORE", Command::Store, 2, "STORE <session> <hex>, '-' for no bytes"},
    {"FETCH", Command::Fetch, 1, "FETCH <session>, 16 hex digits"},
    {"LOGOUT", Command::Logout, 1, "LOGOUT <session>, 16 hex digits"},
    {"STATUS", Command::Status, 0, "STATUS"},
}};

/// The arguments after client, number and command. False: not what the command takes.
bool read_arguments(const std::vector<std::string_view>& fields, Request& request) {
  if (request.command == Command::Status) { return true; }
  if (request.command == Command::Login) {
    request.user = fields[3];
    return is_user(fields[3]);
  }
  const auto session = session_of(fields[3]);
  if (!session) { return false; }
  request.session = *session;
  if (request.command != Command::Store) { return true; }
  auto blob = blob_of(fields[4]);
  if (!blob) { return false; }
  request.blob = std::move(*blob);
  return true;
}

}  // namespace

Parsed parse(std::string_view line) {
  if (!line.empty() && line.back() == '\n') { line.remove_suffix(1); }
  if (!line.empty() && line.back() == '\r') { line.remove_suffix(1); }
  const auto unreadable = [](const std::string& what) { return Parsed{std::nullopt, "- 0 ERR bad-request " + what}; };
  if (line.size() > max_line_bytes) {
    return unreadable("a line has at most " + std::to_string(max_line_bytes) + " bytes");
  }
  const auto fields = split(line);
  if (fields.size() < 3) { return unreadable("write <client> <number> <COMMAND> ..."); }
  if (fields[2] == "OK" || fields[2] == "EXPOSED" || fields[2] == "ERR") { return {}; }
  const auto client = fields[0].size() <= 16 ? number_of<std::uint64_t>(fields[0], 16) : std::nullopt;
  if (!client) { return unreadable("client is 1-16 hex digits"); }
  const auto number = number_of<std::uint64_t>(fields[1], 10);
  if (!number || *number == 0 || *number > max_number) { return unreadable("number is 1 to 2^63-1"); }

  Request request;
  request.client = *client;
  request.number = *number;
  const auto* rule =
      std::find_if(grammar.begin(), grammar.end(), [&](const Grammar& known) { return known.word == fields[2]; });
  if (rule == grammar.end()) {
    return {std::nullopt, error(request, "bad-request", "commands are LOGIN COUNT READ STORE FETCH LOGOUT STATUS")};
  }
  request.command = rule->command;
  if (fields.size() != 3 + rule->arguments || !read_arguments(fields, request)) {
    return {std::nullopt, error(request, "bad-request", std::string("write ") + rule->usage)};
  }
  return {std::move(request), {}};
}

std::string hex(std::uint64_t value) {
  std::array<char, 16> digits{};
  const auto [end, problem] = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return {digits.data(), end};
}

std::string session_text(std::uint64_t session) {
  auto text = hex(session);
  return std::string(16 - text.size(), '0') + text;
}

std::string hex(const std::vector<std::byte>& blob) {
  if (blob.empty()) { return "-"; }
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(blob.size() * 2);
  for (const auto byte : blob) {
    text += digits[std::to_integer<std::size_t>(byte >> 4)];
    text += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return text;
}

std::string ok(const Request& request, const std::string& results) {
  auto reply = hex(request.client) + " " + std::to_string(request.number) + " OK";
  return results.empty() ? reply : reply + " " + results;
}

std::string exposed(const std::string& reply) {
  const auto at = reply.find(" OK");
  return at == std::string::npos ? reply : reply.substr(0, at) + " EXPOSED" + reply.substr(at + 3);
}

std::string error(const Request& request, const std::string& code, const std::string& sentence) {
  return hex(request.client) + " " + std::to_string(request.number) + " ERR " + code + " " + sentence;
}

}  // namespace session_service
