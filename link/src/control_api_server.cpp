// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/control_api_server.hpp"

#include <time.h>

#include "control_api_follower.hpp"
#include "control_api_session.hpp"

namespace understudy::link {
namespace {

constexpr auto kLookAtCertificates = std::chrono::seconds(1);

grpc::Status stopping_status() { return {grpc::StatusCode::UNAVAILABLE, "the control-server stops"}; }

}  // namespace

ControlApiServer::Impl::Impl(boost::asio::io_context& io, std::string state_id, ControlApiHandlers handlers)
    : io_(io), handlers_(std::move(handlers)), certificates_(io), standing_{!state_id.empty(), state_id, 0, ""} {}
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
  service_ = make_service(*this);
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
  if (!wire.plain_text) { end_readers_with_certificates(); }
  return {};
}

std::int64_t ControlApiServer::Impl::wall_now() const {
  return handlers_.now ? handlers_.now() : static_cast<std::int64_t>(time(nullptr));
}

void ControlApiServer::Impl::end_readers_with_certificates() {
  std::vector<std::shared_ptr<Follower>> followers;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, follower] : followers_) { followers.push_back(follower); }
  }
  for (const auto& follower : followers) {
    if (!follower->end_with_certificate()) { continue; }
    const auto& caller = follower->caller();
    handlers_.on_refused({}, caller.who() + " is not told any more: its certificate has ended at " +
                                 tls::utc_text(caller.certificate->not_after) +
                                 "; `understudy pki renew` makes a new one");
  }
  certificates_.expires_after(kLookAtCertificates);
  certificates_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self && !self->stopped_) { self->end_readers_with_certificates(); }
  });
}

ControlApiServer::Impl::Standing ControlApiServer::Impl::standing() {
  const std::lock_guard lock(mutex_);
  return standing_;
}

void ControlApiServer::Impl::lead(const std::string& state_id, std::uint64_t token) {
  const std::lock_guard lock(mutex_);
  standing_ = {true, state_id, token, ""};
}

void ControlApiServer::Impl::follow(const std::string& leader) {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard lock(mutex_);
    const bool led = std::exchange(standing_, Standing{false, "", 0, leader}).leads;
    if (!led) { return; }
    for (const auto& [id, session] : sessions_) { sessions.push_back(session); }
  }
  for (const auto& session : sessions) { session->finish(not_leader(leader)); }
}

Status ControlApiServer::Impl::tell_refused(Status checked) {
  if (!checked) {
    post([what = checked.error().message](Impl& impl) { impl.handlers().on_refused({}, what); });
  }
  return checked;
}

void ControlApiServer::Impl::stop() {
  stopped_ = true;
  certificates_.cancel();
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

bool ControlApiServer::Impl::is_gone(std::uint64_t id, const grpc::CallbackServerContext* context) {
  const std::lock_guard lock(mutex_);
  return !pending_.contains(id) || context->IsCancelled() || context->deadline() <= std::chrono::system_clock::now();
}

void ControlApiServer::Impl::finish_pending(std::uint64_t id, const std::function<grpc::Status()>& reply) {
  grpc::ServerUnaryReactor* reactor = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = pending_.find(id);
    if (found == pending_.end()) { return; }
    reactor = found->second;
    pending_.erase(found);
  }
  reactor->Finish(reply());
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
void ControlApiServer::lead(const std::string& state_id, std::uint64_t token) { impl_->lead(state_id, token); }
void ControlApiServer::follow(const std::string& leader) { impl_->follow(leader); }
bool ControlApiServer::send(SessionId session, const Order& order) { return impl_->send(session, order); }
void ControlApiServer::close(SessionId session) { impl_->close(session); }
void ControlApiServer::wake_followers() { impl_->wake_followers(); }

}  // namespace understudy::link
