// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How both sides reach each other, in one place: credentials, keepalive, reconnection. Private to the control API.

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "understudy/common/types.hpp"
#include "understudy/link/tls_credentials.hpp"

namespace understudy::link {

/// A dead peer is noticed within two of these; nothing is decided by that (BFD decides), streams are only renewed.
inline constexpr int kKeepaliveMs = 1000;
inline constexpr int kFirstReconnectMs = 100;
inline constexpr int kLastReconnectMs = 1000;
/// Who connects and does not come to speak (TLS, HTTP/2's first frame) holds a descriptor no longer than this.
inline constexpr int kHandshakeMs = 5000;
/// Trailing metadata of a call that was refused since another control-server leads: where.
inline constexpr const char* kLeaderMetadata = "understudy-leader";

/// A channel to a control-server. The credentials are read now, so that a renewed certificate serves with the next one.
Result<std::shared_ptr<grpc::Channel>> open_channel(const std::string& address, const tls::Wire& wire);

/// Follows its files: a renewed certificate serves new connections within seconds.
Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const tls::Wire& wire);

/// `told`: a sentence for each TLS handshake that fails in this process, on any thread; null ends it, and no call is
/// under way afterwards. gRPC tells nobody else of them.
void watch_failed_handshakes(const void* owner, std::function<void(const std::string& what)> told);

/// Who calls, by the certificate that the wire has checked.
struct Caller {
  std::optional<tls::Certificate> certificate;  ///< none on a plain wire
  std::string chassis;                          ///< the server's own; empty on a plain wire
  std::string peer;                             ///< its address

  /// "operator alice", or "ipv4:192.168.1.9:4711 in plain text".
  [[nodiscard]] std::string who() const;
};
Caller caller_of(const grpc::ServerContextBase& context, const std::string& chassis);

enum class Right { Attach, Look, Change };
/// Refused, with the sentence for the caller and the event log. Everything is allowed on a plain wire.
Status check_right(const Caller& caller, Right right);
/// A blade speaks for itself only.
Status check_claim(const Caller& caller, const BladeId& claimed);

inline void configure_server(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a second control-server on the port must fail
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kKeepaliveMs / 4);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
}

}  // namespace understudy::link
