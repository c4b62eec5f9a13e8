// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The two halves of a hashed transfer over one TCP connection; server and client use the same code for the same half.
///
///   sender:   paced chunks ──► ... ──► last chunk when the amount is reached or it was told to stop
///   receiver: decodes, hashes, counts; both report bytes and SHA-256, a third party compares
///
/// No retry, no second connection: what breaks is reported as broken.

#include <boost/json.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "stream.hpp"

namespace lab {

/// What one side of a transfer saw; becomes its JSON result.
struct Transfer {
  std::string id, direction, local, peer, sha256, error;
  std::uint64_t bytes = 0;
  int connections = 0;
  std::int64_t started_ns = 0, ended_ns = 0, longest_stall_ns = 0;

  [[nodiscard]] boost::json::value to_json() const;
};

struct SendPlan {
  Amount amount;
  std::uint64_t bytes_per_second = 1'000'000;
  std::string stop_file;  ///< told to stop when it exists
};

/// Sends the body named `transfer.id`; fills bytes and hash, throws when the connection fails.
void send_body(int socket, const SendPlan& plan, Transfer& transfer);
/// Receives a chunked body of which `already` has arrived with the head; throws when it ends early.
void receive_body(int socket, std::string_view already, Transfer& transfer);
/// Reads up to and including the empty line; what came after it goes to `rest`.
std::string receive_head(int socket, std::string& rest);

}  // namespace lab
