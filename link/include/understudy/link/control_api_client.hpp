// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The host-agent's side of the control API: one Attach stream, kept for ever.
///
///     start ──► trying address k ──Attached──► connected ──stream ends──► lost ──┐
///                  ▲   └─refused, or silent for `attach_timeout`─┐               │
///                  └──────────── next address, after a bounded backoff ◄─────────┘
///
/// A stream goes on under the certificate that it began with. When another good one lies in the file, it is proved by a
/// second stream at the same control-server, and only then the first begins anew with it.
///
/// Of several control-servers it attaches to the one that leads: one that follows names it (NotLeader), and it is tried
/// next, if it is among the addresses.
///
/// Invariants: callbacks run on the io_context only and never overlap; on_connected and on_lost alternate; nothing
/// is sent before on_connected was called, so what the owner sends there (its Hello) is first on the stream; what is
/// sent while not connected is dropped (the next Hello tells what is really there).

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "understudy/link/messages.hpp"
#include "understudy/link/tls_credentials.hpp"

namespace understudy::link {

struct ControlClientOptions {
  std::vector<std::string> addresses;                   ///< "host:port", tried in turn
  tls::Wire wire;                                       ///< files are read anew for every try
  std::chrono::milliseconds look_at_certificate{5000};  ///< while connected, this to twice this
  std::chrono::milliseconds first_backoff{100};
  std::chrono::milliseconds last_backoff{1000};
  std::chrono::milliseconds attach_timeout{2000};
};

struct ControlClientCallbacks {
  /// Whether orders of this leadership may be heard (LeaderGuard); not set: all may.
  std::function<Status(const std::string& state_id, std::uint64_t token)> admit = {};
  /// How this blade is watched, before on_connected(); not called by a control-server that does not tell it.
  std::function<void(const BfdParameters&)> on_bfd = {};
  std::function<void(const std::string& address, const std::string& state_id)> on_connected;
  std::function<void(const Order&)> on_order;
  std::function<void(const std::string& why)> on_lost;
};

/// Used and destroyed on the io_context's thread. No callback runs after the destructor.
class ControlClient {
 public:
  ControlClient(boost::asio::io_context& io, ControlClientOptions options, ControlClientCallbacks callbacks);
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  void start();
  /// False: not connected, the report was dropped.
  bool send(const Report& report);
  /// For the event log: somebody was refused at a wire of this blade's. Lost when not connected.
  void tell_refused(const std::string& what);
  [[nodiscard]] bool connected() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace understudy::link
