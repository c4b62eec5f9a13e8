// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Counts SYN and RST by connection: pure.

#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "frame.hpp"

namespace lab {

/// One TCP connection as one end of it sees its addresses. A repeated SYN is the same attempt: its sequence number is
/// the same. Resets are counted whoever sent them.
struct ConnectionFlags {
  std::set<std::uint32_t> attempts;  ///< sequence numbers of SYNs without ACK
  std::uint64_t resets_out = 0, resets_in = 0;
};

class TcpFlags {
 public:
  /// `outgoing`: sent by this end.
  void add(const Frame& frame, bool outgoing);
  [[nodiscard]] boost::json::array to_json() const;

  static constexpr std::size_t most_connections = 100'000;

 private:
  std::map<std::pair<std::string, std::string>, ConnectionFlags> connections_;  // (this end, other end)
};

}  // namespace lab
