// SPDX-License-Identifier: Apache-2.0
#pragma once
/// PROTOCOL.md's lines as values. Pure: no sockets, no store.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace session_service {

inline constexpr std::size_t max_line_bytes = 16 * 1024;

/// Values are stored (SessionValue::last_command): never renumber.
enum class Command : std::uint32_t { Login = 1, Count = 2, Read = 3, Store = 4, Fetch = 5, Logout = 6, Status = 7 };

struct Request {
  std::uint64_t client = 0;
  std::uint64_t number = 0;
  Command command = Command::Status;
  std::uint64_t session = 0;    ///< all but LOGIN and STATUS
  std::string user;             ///< LOGIN
  std::vector<std::byte> blob;  ///< STORE; may be longer than a session holds
};

/// A request, or the reply that says what is wrong with the line (without its newline). Neither for a line that is a
/// reply itself: two services that got hold of each other's address would answer for ever.
struct Parsed {
  std::optional<Request> request;
  std::string refusal;
};
[[nodiscard]] Parsed parse(std::string_view line);

[[nodiscard]] std::string hex(std::uint64_t value);                 ///< without leading zeros
[[nodiscard]] std::string session_text(std::uint64_t session);      ///< 16 digits
[[nodiscard]] std::string hex(const std::vector<std::byte>& blob);  ///< "-" when empty

[[nodiscard]] std::string ok(const Request& request, const std::string& results);
/// The same reply, saying that no mirror holds what it tells; an error stays as it is.
[[nodiscard]] std::string exposed(const std::string& reply);
[[nodiscard]] std::string error(const Request& request, const std::string& code, const std::string& sentence);

}  // namespace session_service
