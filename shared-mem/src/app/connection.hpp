// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The agent's end of one application's connection: lines in, lines out, both bounded.

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <functional>
#include <memory>
#include <string>

#include "messages.hpp"

namespace understudy::app {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;
  struct Callbacks {
    std::function<void(const StatusLine&)> on_status;
    std::function<void()> on_closed;  ///< ended by the other side or by a line that cannot be; once
  };

  explicit Connection(Socket socket) : socket_(std::move(socket)) {}
  void start(Callbacks callbacks);
  void send(std::string line);
  void close();  ///< no callback after it

  /// Process id of the peer as the kernel knows it; 0 when it cannot be told.
  [[nodiscard]] pid_t peer_pid();

 private:
  void read();
  void write();
  void broken();

  Socket socket_;
  Callbacks callbacks_;
  LineBuffer lines_;
  std::array<char, max_line_bytes> buffer_{};
  std::string queued_;
  std::string writing_;
};

}  // namespace understudy::app
