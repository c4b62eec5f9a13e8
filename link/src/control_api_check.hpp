// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Reads untrusted fields: every reader returns a usable value and keeps the first problem, so that conversions are
/// straight-line code.

#include <cmath>
#include <cstring>
#include <optional>
#include <string>

#include "control_api_convert.hpp"

namespace understudy::link {

/// Upper bounds of what one message may carry.
namespace bounds {
inline constexpr int kPorts = 16;
inline constexpr int kAddresses = 64;
inline constexpr int kRoutes = 4096;
inline constexpr int kSysctls = 256;
inline constexpr int kTables = 64;
inline constexpr int kWords = 128;  ///< of a command
inline constexpr int kRoles = 256;  ///< in one list
inline constexpr int kPhases = 64;
inline constexpr std::size_t kRulesetBytes = std::size_t{1} << 20;
inline constexpr std::size_t kTextBytes = 4096;
inline constexpr std::size_t kReasonBytes = 500;
inline constexpr std::uint64_t kRegionBytes = std::uint64_t{1} << 40;
}  // namespace bounds

class Check {
 public:
  explicit Check(const char* message) : message_(message) {}

  void require(bool holds, const char* field, const std::string& expected) {
    if (holds || problem_) { return; }
    problem_ = failure(std::string("not valid on the wire: ") + message_ + "." + field + " must be " + expected,
                       Errc::BadInput);
  }
  void absorb(const Error& error) {
    if (!problem_) { problem_ = error; }
  }

  std::string name(const std::string& text, const char* field) {
    require(valid_name(text), field, "1 to 64 letters, digits, '.', '_', '-'");
    return text;
  }
  std::string optional_name(const std::string& text, const char* field) {
    return text.empty() ? text : name(text, field);
  }
  std::string text(const std::string& value, const char* field, std::size_t limit = bounds::kTextBytes) {
    require(value.size() <= limit, field, "at most " + std::to_string(limit) + " bytes");
    require(value.find('\0') == std::string::npos, field, "text without NUL bytes");
    return value;
  }
  void count(int size, const char* field, int limit) {
    require(size <= limit, field, "at most " + std::to_string(limit) + " entries");
  }
  double duration_ms(double value, const char* field) {
    require(std::isfinite(value) && value >= 0 && value < 1e12, field, "a duration in ms");
    return value;
  }
  Term term(std::uint64_t value, const char* field) {
    require(value != 0 && value < (std::uint64_t{1} << 62), field, "a term, 1 or more");
    return Term{value};
  }
  MacAddress mac(const std::string& bytes, const char* field) {
    MacAddress mac;
    require(bytes.size() == mac.bytes.size(), field, "6 bytes");
    if (bytes.size() == mac.bytes.size()) { std::memcpy(mac.bytes.data(), bytes.data(), bytes.size()); }
    return mac;
  }
  IpAddress address(const std::string& bytes, const char* field) {
    IpAddress address;
    require(bytes.size() == 4 || bytes.size() == 16, field, "4 or 16 bytes");
    if (bytes.size() != 4 && bytes.size() != 16) { return address; }
    address.family = bytes.size() == 4 ? 4 : 6;
    std::memcpy(address.bytes.data(), bytes.data(), bytes.size());
    return address;
  }
  IpPrefix prefix(const pb::Prefix& from, const char* field) {
    IpPrefix prefix{address(from.address(), field), 0};
    require(from.length() <= (prefix.address.is_v4() ? 32U : 128U), field, "a prefix of a possible length");
    prefix.length = static_cast<std::uint8_t>(from.length());
    return prefix;
  }

  /// `value`, or the first problem.
  template <class Wanted, class Value>
  Result<Wanted> result(Value&& value) const {
    if (problem_) { return *problem_; }
    return Wanted(std::forward<Value>(value));
  }

 private:
  const char* message_;
  std::optional<Error> problem_;
};

}  // namespace understudy::link
