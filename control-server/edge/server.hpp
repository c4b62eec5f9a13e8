// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The control-server's loop: streams, BFD, timers and workers become events of the group's core; its effects are
/// performed here in the listed order.
///
///   host-agents ─ gRPC ─┐                    ┌─► StateStore (SQLite): ownership, event log
///   BFD thread ─────────┼─► Group (core) ────┼─► switch worker, power worker
///   timer ──────────────┘                    └─► orders
///
/// One thread decides. A crash leaves roles served as they are; a restart reads the store and hears the agents.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>

#include "core/group.hpp"
#include "edge/config_file.hpp"
#include "edge/drivers.hpp"
#include "edge/state_store.hpp"
#include "edge/worker.hpp"
#include "understudy/link/bfd_service.hpp"
#include "understudy/link/control_api_server.hpp"

namespace understudy::control {

class Server {
 public:
  Server(boost::asio::io_context& io, ServerConfig config);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  Status start();

 private:
  void handle(const Event& event);
  void perform(const Persist& effect);
  void perform(const Isolate& effect);
  void perform(const Readmit& effect);
  void perform(const PowerOff& effect);
  void perform(const Send& effect);
  void perform(const Note& effect);
  void arm_timer();
  void post(Event event);
  void on_report(link::SessionId session, const link::Report& report);
  void on_detached(link::SessionId session);
  Status start_bfd();
  Status listen();
  void look_at_switch();
  [[nodiscard]] std::vector<std::string> ports_of(const BladeId& blade) const;

  boost::asio::io_context& io_;
  ServerConfig config_;
  boost::asio::steady_timer timer_;
  std::unique_ptr<StateStore> store_;
  std::unique_ptr<Group> group_;
  std::shared_ptr<SwitchDriver> switch_;
  std::map<BladeId, link::SessionId> sessions_;
  std::map<link::SessionId, BladeId> blades_;
  std::unique_ptr<link::ControlApiServer> api_;
  std::unique_ptr<link::bfd::BfdService> bfd_;
  Worker switch_worker_;  ///< last: their threads end before what they use
  Worker power_worker_;
};

}  // namespace understudy::control
