// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The service: one thread, one epoll instance.
///
///   UDP, TCP ──line──► parse ──► Sessions::perform ──► pending ──(mirror has it, or exposed)──► reply
///                                                        └── polled each millisecond while it is not empty
///   Lifecycle ──► activate: become the writer, open the ears;  stand by, lost: close them, drop what is pending
///                 quiesce: read the sockets dry, let pending replies go, then say so
///
/// Invariants
///   - No reply leaves before everything it tells is mirrored (or the role is exposed): pending is in commit order.
///   - Only the active place reads requests. Standing by, datagrams are read and dropped (an old one must not be
///     answered after the activation), connections wait in the backlog.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sessions.hpp"
#include "socket.hpp"
#include "tcp.hpp"
#include "udp.hpp"
#include "understudy/app/commit_mirrored.hpp"
#include "understudy/app/lifecycle.hpp"

namespace session_service {

class Service {
 public:
  /// The sockets, bound; nothing is answered yet.
  static understudy::Result<std::unique_ptr<Service>> open(understudy::app::Lifecycle lifecycle, std::uint16_t port);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// Until told to stop (signal or agent). The exit status.
  int run();

 private:
  using Asker = std::variant<UdpPeer, TcpConnections::Id>;
  struct Pending {
    understudy::app::CommitMirrored waiting;
    Asker asker;
    std::string reply;
    std::string late_reply;  ///< when the mirror does not acknowledge in time
  };

  Service(understudy::app::Lifecycle lifecycle, Descriptor epoll);
  understudy::Status open_sockets(std::uint16_t port);
  understudy::Status watch(int fd, std::uint64_t what);
  void unwatch(int fd);
  understudy::Status map_for_reading();

  void on_activate(understudy::Term term);
  void on_quiesce();
  void finish_quiesce();
  void close_ears();
  void stop_serving();
  [[nodiscard]] bool serving() const;
  void lost(const std::string& reason);

  void handle(std::uint64_t what, std::uint32_t events);
  void read_signals();
  void read_datagrams(int socket);
  void on_line(const Asker& asker, std::string_view line);
  void answer_pending();
  void send_reply(const Asker& asker, const std::string& reply);

  understudy::app::Lifecycle lifecycle_;
  Descriptor epoll_;
  Descriptor signals_;
  std::vector<Descriptor> udp_;
  std::vector<Descriptor> listeners_;
  TcpConnections tcp_;

  std::optional<understudy::shm::Store> standby_view_;  ///< mapped before it is needed, read-only: it cannot do harm
  std::optional<Sessions> sessions_;                    ///< while this process is the writer
  bool listening_ = false;
  std::deque<Pending> pending_;
  std::optional<understudy::Instant> quiesce_until_;
  std::optional<int> exit_status_;
};

}  // namespace session_service
