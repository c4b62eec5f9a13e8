// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The service's TCP connections: lines in, replies out, both bounded. Connections have ids that are never used
/// again, so a reply that waited for the mirror cannot reach somebody else's connection.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "socket.hpp"

namespace session_service {

class TcpConnections {
 public:
  using Id = std::uint64_t;
  static constexpr Id first_id = 1'000;  ///< below: for the other things that the same epoll instance watches

  explicit TcpConnections(int epoll) : epoll_(epoll), spare_(open_spare()) {}

  /// Takes every waiting connection of a listening socket, some at a time.
  void accept(int listener);

  /// Handles what epoll told of connection `id`; calls `on_line` for each whole line (without its newline).
  void handle(Id id, std::uint32_t events, const std::function<void(Id, std::string_view)>& on_line);

  void reply(Id id, std::string_view line);  ///< ignored when the connection is gone
  void close_all();
  [[nodiscard]] std::size_t size() const { return connections_.size(); }

 private:
  struct Connection {
    Descriptor fd;
    std::string received;
    std::string unsent;
    bool ending = false;  ///< nothing more is read; closed when everything is sent
  };
  static Descriptor open_spare();
  void read(Id id, const std::function<void(Id, std::string_view)>& on_line);
  void flush(Id id);
  void too_long(Id id);

  int epoll_;
  Descriptor spare_;  ///< given up to accept and close a connection when descriptors run out
  std::map<Id, Connection> connections_;
  Id next_id_ = first_id;
};

}  // namespace session_service
