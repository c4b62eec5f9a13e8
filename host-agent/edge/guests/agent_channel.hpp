// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The host's end of a mirror's guest channel (link/guest_channel.hpp): a Unix socket of QEMU's, JSON lines.
///
///   open() ──► connected ── Identify ──► hello of a guest-agent ──► conversation: orders go, events come
///     ▲                                        │ guest-agent died (VSERPORT_CHANGE), or another hello
///     └── socket closed: again after a pause   └──► on_lost, wait for the next hello
///
/// Invariants
///   - Orders are sent within a conversation only, so that a restarted guest-agent never gets one that was meant for
///     the former. on_hello opens each conversation: send Configure there.
///   - What arrives is bounded and checked; what is no event is counted, the first of them are logged.
///   - What waits to be sent is bounded: a guest that does not read makes send() fail, not the host grow.
///
/// Threads: the one that runs the io_context.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "understudy/common/result.hpp"
#include "understudy/link/guest_channel.hpp"

namespace understudy::host {

class AgentChannel {
 public:
  struct Callbacks {
    std::function<void(const link::guest::Hello&)> on_hello;
    std::function<void(const link::guest::GuestEvent&)> on_event;  ///< all but Hello, within a conversation
    std::function<void()> on_lost;                                 ///< the conversation is over
  };

  /// `name` is for the log, e.g. "mirror-role-2".
  AgentChannel(boost::asio::io_context& io, std::string name, Callbacks callbacks);
  AgentChannel(const AgentChannel&) = delete;
  AgentChannel& operator=(const AgentChannel&) = delete;
  ~AgentChannel();

  /// Connects, and again whenever the connection is lost, until close().
  void open(const std::string& socket_path);
  void close();

  /// Refused: no conversation is open. Full: the guest does not read.
  Status send(const link::guest::GuestOrder& order);

  /// The guest opened or closed its end of the port (QMP's VSERPORT_CHANGE).
  void on_guest_end(bool open);

  [[nodiscard]] bool in_conversation() const;
  [[nodiscard]] std::uint64_t bad_line_count() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace understudy::host
