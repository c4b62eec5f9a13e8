// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Why a wire does not work, in a sentence for a person: gRPC tells of a failed handshake that a socket was closed.
/// Private to the control API.

#include <chrono>
#include <string>

#include "understudy/link/tls_credentials.hpp"

namespace understudy::link {

/// Connects to `address` ("host:port") once more and looks: nobody there, plain text where TLS is spoken or the other
/// way round, whose certificate refuses whose. Blocks up to `limit` for each of connecting and listening. Sends no
/// credentials but in a handshake.
std::string examine_wire(const std::string& address, const tls::Wire& wire, std::chrono::milliseconds limit);

}  // namespace understudy::link
