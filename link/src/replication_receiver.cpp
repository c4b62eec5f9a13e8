// SPDX-License-Identifier: Apache-2.0
/// The edge around ReceiverCore: connects, and looks whose certificate it is.
#include "understudy/link/replication_receiver.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <random>

#include "replication_connection.hpp"
#include "replication_receiver_core.hpp"
#include "replication_timer.hpp"

namespace understudy::link::replication {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

class IoReceiverEdge final : public IoEdge<ReceiverEdge>, public std::enable_shared_from_this<IoReceiverEdge> {
 public:
  using IoEdge::IoEdge;
  std::optional<ReceiverTarget> target;

  void connect(Connected done) override {
    auto socket = std::make_shared<tcp::socket>(io_);
    connecting_ = socket;
    socket->async_connect(endpoint_of(target->active, target->port),
                          [weak = weak_from_this(), socket, done](const boost::system::error_code& error) {
                            const auto self = weak.lock();
                            if (!self || self->connecting_ != socket) { return; }
                            self->connecting_.reset();
                            if (error) { return done(failure(error.message())); }
                            done(self->wire_over(std::move(*socket)));
                          });
  }
  /// Closed at once: the attempt's answer, if there is one, finds that it is nobody's.
  void stop_connecting() override {
    if (!connecting_) { return; }
    boost::system::error_code ignored;
    std::exchange(connecting_, nullptr)->close(ignored);
  }
  void post(std::function<void()> action) override { asio::post(io_, std::move(action)); }
  [[nodiscard]] std::uint32_t random() override { return static_cast<std::uint32_t>(random_()); }

 private:
  Result<std::shared_ptr<Wire>> wire_over(tcp::socket socket) {
    std::unique_ptr<tls::Session> session;
    if (target->credentials) {
      auto opened = tls::Session::open(tls::End::Client, *target->credentials);
      if (!opened) { return opened.error(); }
      session = std::move(opened).value();
    }
    auto connection = std::make_shared<FrameConnection>(std::move(socket), std::move(session));
    connection->on_secured([weak = weak_from_this(), own = std::weak_ptr(connection)](const tls::Certificate& peer) {
      const auto self = weak.lock();
      const auto secured = own.lock();
      return self && secured ? self->check_active(*secured->session(), peer) : Status{};
    });
    return std::shared_ptr<Wire>(std::move(connection));
  }

  /// Only the active that we were told of may give us its role's state.
  [[nodiscard]] Status check_active(const tls::Session& session, const tls::Certificate& peer) const {
    const auto& own = session.own().identity;
    const auto& active = *peer.identity;
    if (own && active.chassis == own->chassis && active.kind == tls::Kind::Blade &&
        active.name == target->blade.value) {
      return {};
    }
    return failure("at " + target->active.to_string() + " is " + describe(active) + " of " + active.chassis + ", not " +
                       target->blade.value,
                   Errc::Refused);
  }

  std::shared_ptr<tcp::socket> connecting_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace

struct ReplicationReceiver::Impl {
  Impl(asio::io_context& io, ReceiverOptions options, shm::Region region, ReceiverCallbacks callbacks)
      : edge(std::make_shared<IoReceiverEdge>(io)),
        core(std::make_shared<ReceiverCore>(edge, std::move(options), std::move(region), std::move(callbacks))) {}
  const std::shared_ptr<IoReceiverEdge> edge;
  const std::shared_ptr<ReceiverCore> core;
};

ReplicationReceiver::ReplicationReceiver(asio::io_context& io, ReceiverOptions options, shm::Region region,
                                         ReceiverCallbacks callbacks)
    : impl_(std::make_shared<Impl>(io, std::move(options), std::move(region), std::move(callbacks))) {}

ReplicationReceiver::~ReplicationReceiver() { impl_->core->release_writers(); }

Status ReplicationReceiver::configure(const ReceiverTarget& next) {
  const auto core = impl_->core;  // a callback may destroy us
  const auto edge = impl_->edge;
  const auto& held = edge->target;
  const bool same = held && held->active == next.active && held->port == next.port && held->blade == next.blade &&
                    held->credentials.has_value() == next.credentials.has_value();
  const auto goes_on = core->prepare(next.term, same, next.copy_was_synced);
  if (!goes_on) { return goes_on.error(); }
  if (goes_on.value()) {
    edge->target->credentials = next.credentials;
    return {};
  }
  edge->target = next;
  core->begin(next.active.to_string() + " port " + std::to_string(next.port));
  return {};
}

void ReplicationReceiver::drain(Duration quiet, Duration limit, std::function<void(const DrainReport&)> done) {
  impl_->core->drain(quiet, limit, std::move(done));
}
void ReplicationReceiver::release_writers() { impl_->core->release_writers(); }
void ReplicationReceiver::grant(Term term, std::uint64_t nonce) { impl_->core->grant(term, nonce); }
ReceiverStatus ReplicationReceiver::status() const { return impl_->core->status(); }

}  // namespace understudy::link::replication
