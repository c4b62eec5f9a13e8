// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The map over TCP, a line a request:
///
///   PUT key value      OK                          FILL count value   OK       count keys k0, k1 ... get the value
///   GET key            VALUE value | NONE          COUNT              COUNT keys changes
///   DEL key            OK | NONE                   SAME               SAME value | DIFFERENT
///
/// What one round of the loop has read is one checkpoint, and no answer leaves before the mirror holds it (or there is
/// none: "OK EXPOSED"). A quiesce is a last checkpoint, after which the area is left alone.

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "map.hpp"
#include "socket.hpp"
#include "tcp.hpp"
#include "understudy/app/commit_mirrored.hpp"
#include "understudy/app/lifecycle.hpp"

namespace arena_map {

/// The answer to one request; changes `map`, checkpoints nothing.
std::string answer(Map& map, std::string_view line);

class Service {
 public:
  /// Listens on both families; nothing is answered yet.
  static understudy::Result<std::unique_ptr<Service>> open(understudy::app::Lifecycle lifecycle, std::uint16_t port);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  /// Until told to stop. The exit status.
  int run();

 private:
  struct Pending {
    session_service::TcpConnections::Id asker;
    std::string reply;
    std::optional<understudy::app::CommitMirrored> waiting;  ///< nothing: not checkpointed yet
  };
  Service(understudy::app::Lifecycle lifecycle, session_service::Descriptor epoll);
  understudy::Status watch(int fd, std::uint64_t what);
  void activate(understudy::Term term);
  void quiesce();
  void stop_serving();
  void lost(const std::string& reason);
  void handle(std::uint64_t what, std::uint32_t events);
  void checkpoint();
  void send_replies();

  understudy::app::Lifecycle lifecycle_;
  session_service::Descriptor epoll_;
  session_service::Descriptor signals_;
  std::vector<session_service::Descriptor> listeners_;
  session_service::TcpConnections tcp_;
  std::unique_ptr<Map> map_;                             ///< while it is active
  std::optional<understudy::shm::StoreWriter> resting_;  ///< the writer while quiesced
  understudy::Term term_;
  std::deque<Pending> pending_;
  std::optional<int> exit_status_;
};

}  // namespace arena_map
