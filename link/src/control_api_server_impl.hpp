// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the parts of the control API's server share. Private to it.
///
///     control_api_calls.cpp ── who may what, operators' calls ──► Impl ◄── control_api_session.hpp: one host-agent
///                                                                  ▲
///     control_api_server.cpp ── start, stop, who is there ─────────┴────── control_api_follower.hpp: one event reader

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <mutex>

#include "control.grpc.pb.h"
#include "control_api_channel.hpp"
#include "control_api_convert.hpp"
#include "understudy/link/control_api_server.hpp"

namespace understudy::link {

[[nodiscard]] grpc::Status to_grpc(const Error& error);
[[nodiscard]] inline grpc::Status forbidden(const Error& error) {
  return {grpc::StatusCode::PERMISSION_DENIED, error.message};
}

class ControlApiServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  class Session;
  class Follower;

  Impl(boost::asio::io_context& io, std::string state_id, ControlApiHandlers handlers);
  ~Impl();
  Status listen(const std::string& address, const tls::Wire& wire);
  void stop();

  [[nodiscard]] int port() const { return port_; }
  bool send(SessionId id, const Order& order);
  void close(SessionId id);
  void wake_followers();

  /// Runs `action` on the io_context unless the server has stopped by then. Any thread.
  template <class Action>
  void post(Action action) {
    boost::asio::post(io_, [weak = weak_from_this(), action = std::move(action)]() mutable {
      const auto self = weak.lock();
      if (self && !self->stopped_) { action(*self); }
    });
  }

  [[nodiscard]] const ControlApiHandlers& handlers() const { return handlers_; }
  void lead(const std::string& state_id, std::uint64_t token);
  void follow(const std::string& leader);

  struct Standing {
    bool leads = false;
    std::string state_id;
    std::uint64_t token = 0;
    std::string leader;  ///< where another leads
  };
  // Any thread.
  [[nodiscard]] Standing standing();

  // Called on gRPC's threads.
  [[nodiscard]] Caller caller(const grpc::ServerContextBase& context) const { return caller_of(context, chassis_); }
  [[nodiscard]] std::int64_t wall_now() const;
  /// Refused things are told, on their way to the caller.
  Status tell_refused(Status checked);
  SessionId add(std::shared_ptr<Session> session);
  void remove(SessionId id);
  void add(std::shared_ptr<Follower> follower);
  void remove(const Follower* follower);
  std::uint64_t add_pending(grpc::ServerUnaryReactor* reactor);
  /// Nobody waits for that call any more. `context` may be gone when it has been answered.
  [[nodiscard]] bool is_gone(std::uint64_t id, const grpc::CallbackServerContext* context);
  /// `reply` fills the reply, unless the call has ended meanwhile.
  void finish_pending(std::uint64_t id, const std::function<grpc::Status()>& reply);

 private:
  std::shared_ptr<Session> find(SessionId id);
  /// Readers only: a blade's stream that stands goes on, since a chassis without orders is worse than one that is
  /// commanded under a certificate of yesterday; the blade cannot come back, and that is an alarm of the owner's.
  void end_readers_with_certificates();

  boost::asio::io_context& io_;
  std::string chassis_;  ///< of our own certificate; empty on a plain wire
  ControlApiHandlers handlers_;
  std::unique_ptr<pb::Control::CallbackService> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  boost::asio::steady_timer certificates_;
  bool stopped_ = false;  ///< io_context's thread only
  std::mutex mutex_;      ///< guards what is below
  Standing standing_;
  std::map<SessionId, std::shared_ptr<Session>> sessions_;
  std::map<const Follower*, std::shared_ptr<Follower>> followers_;
  std::map<std::uint64_t, grpc::ServerUnaryReactor*> pending_;  ///< calls that wait for a handler
  std::uint64_t last_id_ = 0;
  bool stopping_ = false;
};

/// "not the leader, leader is ADDRESS"
[[nodiscard]] grpc::Status not_leader(const std::string& leader);

/// Who may call what, and what each call does.
[[nodiscard]] std::unique_ptr<pb::Control::CallbackService> make_service(ControlApiServer::Impl& impl);

}  // namespace understudy::link
