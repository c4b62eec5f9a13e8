// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One request at a time to the session service, until it is answered.
///
/// UDP: the same datagram again each 100 ms. TCP: the same line again on a new connection when the old one ended or was
/// silent; a role that changed its place has ended the old one.

#include <cstdint>
#include <string>

#include "session_ledger.hpp"
#include "sockets.hpp"

namespace lab {

class SessionConnection {
 public:
  SessionConnection(Address server, bool is_tcp) : server_(server), is_tcp_(is_tcp) {}

  /// The reply to `line` ("<client> <number> ..."). Throws when there is none within `limit_s`.
  SessionReply ask(const std::string& client, std::uint64_t number, const std::string& line, double limit_s);

  [[nodiscard]] std::uint64_t reconnects() const { return connections_ > 0 ? connections_ - 1 : 0; }
  [[nodiscard]] std::uint64_t retries() const { return retries_; }
  [[nodiscard]] std::int64_t longest_wait_ns() const { return longest_wait_ns_; }

 private:
  bool try_once(const std::string& line);
  /// Reads what came within `wait_ms`; true when it is the reply.
  bool read_reply_to(const std::string& client, std::uint64_t number, int wait_ms, SessionReply& reply);
  void open();

  Address server_;
  bool is_tcp_;
  Descriptor socket_;
  std::string received_;  ///< TCP: bytes of a line that is not whole yet
  std::uint64_t connections_ = 0, retries_ = 0;
  std::int64_t longest_wait_ns_ = 0;
};

}  // namespace lab
