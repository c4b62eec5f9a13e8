// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/control_api_server.hpp"

#include <boost/asio/post.hpp>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "control.grpc.pb.h"
#include "control_api_channel.hpp"
#include "control_api_convert.hpp"
#include "control_api_wire.hpp"

namespace understudy::link {
namespace {

/// More unsent orders than this and the agent does not read: its session ends.
constexpr std::size_t kMaxUnsent = 1024;
constexpr std::size_t kEventsAtOnce = 256;

grpc::Status stopping_status() { return {grpc::StatusCode::UNAVAILABLE, "the control-server stops"}; }

grpc::Status to_grpc(const Error& error) {
  switch (error.code) {
    case Errc::NotFound:
      return {grpc::StatusCode::NOT_FOUND, error.message};
    case Errc::BadInput:
      return {grpc::StatusCode::INVALID_ARGUMENT, error.message};
    case Errc::Refused:
      return {grpc::StatusCode::FAILED_PRECONDITION, error.message};
    default:
      return {grpc::StatusCode::INTERNAL, error.message};
  }
}

grpc::Status forbidden(const Error& error) { return {grpc::StatusCode::PERMISSION_DENIED, error.message}; }

/// A stream that is refused before it begins.
template <class Reactor>
class Refusal : public Reactor {
 public:
  explicit Refusal(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }  // gRPC's own way: nobody else has it
};

}  // namespace

class ControlApiServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  class Session;
  class Follower;
  class Service;

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
  [[nodiscard]] const std::string& state_id() const { return state_id_; }

  // Called on gRPC's threads.
  [[nodiscard]] Caller caller(const grpc::ServerContextBase& context) const { return caller_of(context, chassis_); }
  /// Refused things are told, on their way to the caller.
  Status tell_refused(Status checked);
  SessionId add(std::shared_ptr<Session> session);
  void remove(SessionId id);
  void add(std::shared_ptr<Follower> follower);
  void remove(const Follower* follower);
  std::uint64_t add_pending(grpc::ServerUnaryReactor* reactor);
  void finish_pending(std::uint64_t id, const grpc::Status& status);

 private:
  std::shared_ptr<Session> find(SessionId id);

  boost::asio::io_context& io_;
  std::string state_id_;
  std::string chassis_;  ///< of our own certificate; empty on a plain wire
  ControlApiHandlers handlers_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  bool stopped_ = false;  ///< io_context's thread only
  std::mutex mutex_;      ///< guards what is below
  std::map<SessionId, std::shared_ptr<Session>> sessions_;
  std::map<const Follower*, std::shared_ptr<Follower>> followers_;
  std::map<std::uint64_t, grpc::ServerUnaryReactor*> pending_;  ///< calls that wait for a handler
  std::uint64_t last_id_ = 0;
  bool stopping_ = false;
};

/// One host-agent's stream. The next report is read when the one before was handled, so nothing piles up.
class ControlApiServer::Impl::Session : public grpc::ServerBidiReactor<pb::Report, pb::Order>,
                                        public std::enable_shared_from_this<Session> {
 public:
  Session(Impl& impl, Caller caller) : impl_(impl), caller_(std::move(caller)) {}

  void start() {
    id_ = impl_.add(shared_from_this());
    pb::Order first;
    first.mutable_attached()->set_state_id(impl_.state_id());
    write(std::move(first));
    read_next();
  }

  bool write(pb::Order order) {
    const std::lock_guard lock(mutex_);
    if (finished_) { return false; }
    if (unsent_.size() >= kMaxUnsent) {
      finish_locked({grpc::StatusCode::RESOURCE_EXHAUSTED, "orders are not read"});
      return false;
    }
    unsent_.push_back(std::move(order));
    if (unsent_.size() == 1) { StartWrite(&unsent_.front()); }
    return true;
  }

  void finish(const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    finish_locked(status);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      finish(grpc::Status::OK);
      return;
    }
    if (greeted_ && incoming_.body_case() == pb::Report::kRefused) { return hear_refused(); }
    auto report = from_proto(incoming_);
    if (report && !std::exchange(greeted_, true) && !std::holds_alternative<Hello>(report.value())) {
      report = failure("the first report must be Hello", Errc::BadInput);
    }
    if (!report) {
      finish(to_grpc(report.error()));
      return;
    }
    if (const auto* hello = std::get_if<Hello>(&report.value())) {
      if (const auto itself = impl_.tell_refused(check_claim(caller_, hello->blade)); !itself) {
        finish(forbidden(itself.error()));
        return;
      }
      blade_ = hello->blade;
      tell_certificate(blade_);
    }
    impl_.post([session = shared_from_this(), report = std::move(report).value()](Impl& impl) {
      session->told_ = true;
      impl.handlers().on_report(session->id_, report);
      session->read_next();
    });
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (finished_) { return; }
    if (!ok) {
      finish_locked({grpc::StatusCode::UNAVAILABLE, "the stream broke"});
      return;
    }
    unsent_.pop_front();
    if (!unsent_.empty()) { StartWrite(&unsent_.front()); }
  }

  void OnCancel() override { finish({grpc::StatusCode::CANCELLED, "the agent went away"}); }

  void OnDone() override {
    const auto self = shared_from_this();
    impl_.remove(id_);
    impl_.post([self](Impl& impl) {
      if (self->told_) { impl.handlers().on_detached(self->id_, self->why_); }
    });
  }

 private:
  void hear_refused() {
    impl_.post([session = shared_from_this(), at = blade_, what = printable(incoming_.refused())](Impl& impl) {
      impl.handlers().on_refused(at, what);
      session->read_next();
    });
  }
  void tell_certificate(const BladeId& blade) {
    if (!caller_.certificate) { return; }
    impl_.post([blade, not_after = caller_.certificate->not_after](Impl& impl) {
      impl.handlers().on_certificate(blade, not_after);
    });
  }
  void read_next() {
    const std::lock_guard lock(mutex_);
    if (!finished_) { StartRead(&incoming_); }
  }
  void finish_locked(const grpc::Status& status) {
    if (std::exchange(finished_, true)) { return; }
    why_ = status.ok() ? "the agent ended the stream" : status.error_message();
    Finish(status);
  }

  Impl& impl_;
  const Caller caller_;
  SessionId id_ = 0;
  pb::Report incoming_;
  bool greeted_ = false;  ///< reads only (one at a time), as blade_
  BladeId blade_;
  bool told_ = false;  ///< io_context's thread: the owner knows this session
  std::mutex mutex_;   ///< guards what is below; nothing is started once finished_
  std::deque<pb::Order> unsent_;
  std::string why_;
  bool finished_ = false;
};

/// One reader of the event log: fetches a batch on the io_context, writes it out, fetches again.
class ControlApiServer::Impl::Follower : public grpc::ServerWriteReactor<pb::Event>,
                                         public std::enable_shared_from_this<Follower> {
 public:
  Follower(Impl& impl, std::uint64_t after, bool follow) : impl_(impl), after_(after), follow_(follow) {}

  void start() {
    impl_.add(shared_from_this());
    fetch();
  }

  /// There may be more events; without effect while a batch is on its way.
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      more_ = true;
      if (!std::exchange(idle_, false)) { return; }
    }
    fetch();
  }

  void finish(const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    finish_locked(status);
  }

  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      if (finished_) { return; }
      if (!ok) {
        finish_locked({grpc::StatusCode::UNAVAILABLE, "the stream broke"});
        return;
      }
      batch_.pop_front();
      if (!batch_.empty()) {
        StartWrite(&batch_.front());
        return;
      }
    }
    fetch();
  }
  void OnCancel() override { finish({grpc::StatusCode::CANCELLED, "the reader went away"}); }
  void OnDone() override {
    const auto self = shared_from_this();
    impl_.remove(this);
  }

 private:
  void fetch() {
    {
      const std::lock_guard lock(mutex_);
      more_ = false;
    }
    impl_.post([self = shared_from_this()](Impl& impl) {
      self->feed(impl.handlers().events_after(self->after_, kEventsAtOnce));
    });
  }

  void feed(const std::vector<EventRecord>& events) {
    bool again = false;
    {
      const std::lock_guard lock(mutex_);
      if (finished_) { return; }
      for (const auto& event : events) {
        batch_.push_back(to_proto(event));
        after_ = event.id;
      }
      if (!batch_.empty()) {
        StartWrite(&batch_.front());
      } else if (!follow_) {
        finish_locked(grpc::Status::OK);
      } else {
        again = more_;
        idle_ = !again;
      }
    }
    if (again) { fetch(); }
  }

  void finish_locked(const grpc::Status& status) {
    if (!std::exchange(finished_, true)) { Finish(status); }
  }

  Impl& impl_;
  std::uint64_t after_;  ///< io_context's thread only
  const bool follow_;
  std::mutex mutex_;  ///< guards what is below; nothing is started once finished_
  std::deque<pb::Event> batch_;
  bool more_ = false;  ///< woken since the last fetch
  bool idle_ = false;  ///< all told, waits for wake()
  bool finished_ = false;
};

class ControlApiServer::Impl::Service : public pb::Control::CallbackService {
 public:
  explicit Service(Impl& impl) : impl_(impl) {}

  grpc::ServerBidiReactor<pb::Report, pb::Order>* Attach(grpc::CallbackServerContext* context) override {
    auto caller = impl_.caller(*context);
    if (const auto allowed = impl_.tell_refused(check_right(caller, Right::Attach)); !allowed) {
      return new Refusal<grpc::ServerBidiReactor<pb::Report, pb::Order>>(forbidden(allowed.error()));
    }
    const auto session = std::make_shared<Session>(impl_, std::move(caller));
    session->start();
    return session.get();
  }

  grpc::ServerWriteReactor<pb::Event>* WatchEvents(grpc::CallbackServerContext* context,
                                                   const pb::WatchEventsRequest* request) override {
    if (const auto allowed = impl_.tell_refused(check_right(impl_.caller(*context), Right::Look)); !allowed) {
      return new Refusal<grpc::ServerWriteReactor<pb::Event>>(forbidden(allowed.error()));
    }
    const auto follower = std::make_shared<Follower>(impl_, request->after_id(), request->follow());
    follower->start();
    return follower.get();
  }

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context, const pb::GetStatusRequest* /*request*/,
                                      pb::GroupStatus* reply) override {
    return answer(context, Right::Look, [reply](Impl& impl) {
      *reply = to_proto(impl.handlers().status());
      return grpc::Status::OK;
    });
  }

  grpc::ServerUnaryReactor* MoveRole(grpc::CallbackServerContext* context, const pb::MoveRoleRequest* request,
                                     pb::Done* reply) override {
    return change(context, *request, [request, reply](Impl& impl, const Command& command) {
      if (!valid_name(request->role())) { return to_grpc(failure("that is no role's name", Errc::BadInput)); }
      return done(impl.handlers().move_role(command, RoleId{request->role()}), *reply);
    });
  }

  grpc::ServerUnaryReactor* LetBack(grpc::CallbackServerContext* context, const pb::LetBackRequest* request,
                                    pb::Done* reply) override {
    return change(context, *request, [request, reply](Impl& impl, const Command& command) {
      if (!valid_name(request->blade())) { return to_grpc(failure("that is no blade's name", Errc::BadInput)); }
      return done(impl.handlers().let_back(command, BladeId{request->blade()}), *reply);
    });
  }

  grpc::ServerUnaryReactor* Switchover(grpc::CallbackServerContext* context, const pb::SwitchoverRequest* request,
                                       pb::Done* reply) override {
    return change(context, *request, [request, reply](Impl& impl, const Command& command) {
      if (!valid_name(request->role())) { return to_grpc(failure("that is no role's name", Errc::BadInput)); }
      return done(impl.handlers().switchover(command, RoleId{request->role()}, request->force()), *reply);
    });
  }

  grpc::ServerUnaryReactor* SetMovementPolicy(grpc::CallbackServerContext* context,
                                              const pb::SetMovementPolicyRequest* request, pb::Done* reply) override {
    return change(context, *request, [request, reply](Impl& impl, const Command& command) {
      const auto policy = from_proto(request->policy());
      if (!policy) { return to_grpc(policy.error()); }
      return done(impl.handlers().set_movement_policy(command, policy.value()), *reply);
    });
  }

 private:
  static grpc::Status done(const Result<std::string>& result, pb::Done& reply) {
    if (!result) { return to_grpc(result.error()); }
    reply.set_text(result.value());
    return grpc::Status::OK;
  }

  template <class Request, class Action>
  grpc::ServerUnaryReactor* change(grpc::CallbackServerContext* context, const Request& request, Action action) {
    const Command command{impl_.caller(*context).who(), request.reason()};
    return answer(context, Right::Change, [command, action](Impl& impl) {
      if (command.reason.size() > bounds::kReasonBytes) {
        return to_grpc(
            failure("a reason has at most " + std::to_string(bounds::kReasonBytes) + " bytes", Errc::BadInput));
      }
      return action(impl, Command{command.who, printable(command.reason)});
    });
  }

  /// Request and reply live until Finish; a stopping server finishes what its handlers never saw.
  template <class Action>
  grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context, Right right, Action action) {
    auto* reactor = context->DefaultReactor();
    if (const auto allowed = impl_.tell_refused(check_right(impl_.caller(*context), right)); !allowed) {
      reactor->Finish(forbidden(allowed.error()));
      return reactor;
    }
    const auto id = impl_.add_pending(reactor);
    impl_.post([id, action](Impl& impl) { impl.finish_pending(id, action(impl)); });
    return reactor;
  }

  Impl& impl_;
};

ControlApiServer::Impl::Impl(boost::asio::io_context& io, std::string state_id, ControlApiHandlers handlers)
    : io_(io), state_id_(std::move(state_id)), handlers_(std::move(handlers)) {}
ControlApiServer::Impl::~Impl() = default;

Status ControlApiServer::Impl::listen(const std::string& address, const tls::Wire& wire) {
  const auto credentials = server_credentials(wire);
  if (!credentials) { return credentials.error(); }
  if (!wire.plain_text) {
    const auto own = tls::read_credentials(wire.files);
    const auto certificate = own ? tls::read_certificate(own->certificate) : Result<tls::Certificate>(own.error());
    if (!certificate) { return certificate.error(); }
    chassis_ = certificate->identity->chassis;
  }
  service_ = std::make_unique<Service>(*this);
  grpc::ServerBuilder builder;
  configure_server(builder);
  builder.AddListeningPort(address, credentials.value(), &port_);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port_ == 0) {
    return failure("cannot listen at " + address + ": the address is not of this host or the port is taken");
  }
  watch_failed_handshakes(
      this, [this](const std::string& what) { post([what](Impl& impl) { impl.handlers().on_refused({}, what); }); });
  return {};
}

Status ControlApiServer::Impl::tell_refused(Status checked) {
  if (!checked) {
    post([what = checked.error().message](Impl& impl) { impl.handlers().on_refused({}, what); });
  }
  return checked;
}

void ControlApiServer::Impl::stop() {
  stopped_ = true;
  watch_failed_handshakes(this, nullptr);
  if (!server_) { return; }
  std::map<std::uint64_t, grpc::ServerUnaryReactor*> pending;
  std::vector<std::shared_ptr<Session>> sessions;
  std::vector<std::shared_ptr<Follower>> followers;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    pending.swap(pending_);
    for (const auto& [id, session] : sessions_) { sessions.push_back(session); }
    for (const auto& [key, follower] : followers_) { followers.push_back(follower); }
  }
  const grpc::Status stopping = stopping_status();
  for (const auto& [id, reactor] : pending) { reactor->Finish(stopping); }
  for (const auto& session : sessions) { session->finish(stopping); }
  for (const auto& follower : followers) { follower->finish(stopping); }
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

bool ControlApiServer::Impl::send(SessionId id, const Order& order) {
  const auto session = find(id);
  return session && session->write(to_proto(order));
}

void ControlApiServer::Impl::close(SessionId id) {
  if (const auto session = find(id)) { session->finish({grpc::StatusCode::ABORTED, "closed by the control-server"}); }
}

void ControlApiServer::Impl::wake_followers() {
  std::vector<std::shared_ptr<Follower>> followers;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, follower] : followers_) { followers.push_back(follower); }
  }
  for (const auto& follower : followers) { follower->wake(); }
}

std::shared_ptr<ControlApiServer::Impl::Session> ControlApiServer::Impl::find(SessionId id) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  return found != sessions_.end() ? found->second : nullptr;
}

SessionId ControlApiServer::Impl::add(std::shared_ptr<Session> session) {
  const std::lock_guard lock(mutex_);
  sessions_[++last_id_] = std::move(session);
  return last_id_;
}
void ControlApiServer::Impl::remove(SessionId id) {
  const std::lock_guard lock(mutex_);
  sessions_.erase(id);
}
void ControlApiServer::Impl::add(std::shared_ptr<Follower> follower) {
  const std::lock_guard lock(mutex_);
  const auto* key = follower.get();
  followers_[key] = std::move(follower);
}
void ControlApiServer::Impl::remove(const Follower* follower) {
  const std::lock_guard lock(mutex_);
  followers_.erase(follower);
}

std::uint64_t ControlApiServer::Impl::add_pending(grpc::ServerUnaryReactor* reactor) {
  const std::lock_guard lock(mutex_);
  if (stopping_) {
    reactor->Finish(stopping_status());
    return 0;
  }
  pending_[++last_id_] = reactor;
  return last_id_;
}
void ControlApiServer::Impl::finish_pending(std::uint64_t id, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = pending_.find(id);
    if (found == pending_.end()) { return; }
    reactor = found->second;
    pending_.erase(found);
  }
  reactor->Finish(status);
}

Result<std::unique_ptr<ControlApiServer>> ControlApiServer::listen(boost::asio::io_context& io,
                                                                   const std::string& address, const tls::Wire& wire,
                                                                   std::string state_id, ControlApiHandlers handlers) {
  auto impl = std::make_shared<Impl>(io, std::move(state_id), std::move(handlers));
  std::unique_ptr<ControlApiServer> server(new ControlApiServer(impl));
  if (auto listening = impl->listen(address, wire); !listening) { return listening.error(); }
  return server;
}

ControlApiServer::ControlApiServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlApiServer::~ControlApiServer() { impl_->stop(); }
int ControlApiServer::port() const { return impl_->port(); }
bool ControlApiServer::send(SessionId session, const Order& order) { return impl_->send(session, order); }
void ControlApiServer::close(SessionId session) { impl_->close(session); }
void ControlApiServer::wake_followers() { impl_->wake_followers(); }

}  // namespace understudy::link
