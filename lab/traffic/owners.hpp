// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Who speaks for an address on a segment: pure.
///
///     frame arrives at port A ──► the bridge forwards it ──► the same frame leaves at other ports of the segment
///             (seen)                   or drops it (isolated, gate closed: it never leaves, and does not count)
///
/// An address (a service MAC, or an IP address that somebody claims) belongs to the port from which frames of it were
/// forwarded last. When port B's frames begin to be forwarded, A is a former owner; another forwarded frame from A is
/// a violation: two places announced one address. Frames of the same bytes from several ports within the window are
/// told apart by counting (each arrival leaves at a port once at the most) and in the owner's favour.

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "frame.hpp"

namespace lab {

struct Change {
  std::int64_t time_ns;
  std::string segment, address, port, before;  ///< `before` is empty for the first owner
};

struct Violation {
  std::int64_t time_ns;
  std::string segment, address, port, owner, frame;
};

class OwnerWatch {
 public:
  void arrived(std::int64_t time_ns, const std::string& segment, const std::string& port, std::uint64_t hash,
               const Frame& frame);
  void left(std::int64_t time_ns, const std::string& segment, const std::string& port, std::uint64_t hash);

  [[nodiscard]] const std::vector<Change>& changes() const { return changes_; }
  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }
  [[nodiscard]] std::uint64_t forwarded() const { return forwarded_; }
  /// Frames that arrived and never left: what isolation held back.
  [[nodiscard]] std::uint64_t held_back() const { return arrived_ - forwarded_; }

  static constexpr std::int64_t window_ns = 500'000'000;
  static constexpr std::size_t most_recorded = 1000;

 private:
  struct Arrival {
    std::int64_t time_ns;
    std::string segment, port;
    std::uint64_t hash;
    Frame frame;
    std::set<std::string> left_at;
  };
  struct Owner {
    std::string port;
    std::set<std::string> former;
  };

  void forget_before(std::int64_t time_ns);
  Arrival* match(const std::string& segment, const std::string& port, std::uint64_t hash);
  [[nodiscard]] bool is_from_owner(const Arrival& arrival) const;
  [[nodiscard]] static std::vector<std::string> addresses_of(const Frame& frame);
  void speaks(std::int64_t time_ns, const Arrival& arrival, const std::string& address);

  std::deque<Arrival> arrivals_;  // oldest first; elements never move while they are in it
  std::unordered_map<std::uint64_t, std::deque<Arrival*>> by_hash_;
  std::map<std::pair<std::string, std::string>, Owner> owners_;  // (segment, address)
  std::vector<Change> changes_;
  std::vector<Violation> violations_;
  std::uint64_t arrived_ = 0, forwarded_ = 0;
};

}  // namespace lab
