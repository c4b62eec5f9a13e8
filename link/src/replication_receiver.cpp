// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/replication_receiver.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <random>

#include "replication_applier.hpp"
#include "replication_connection.hpp"
#include "understudy/common/log.hpp"

namespace understudy::link::replication {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {
constexpr unsigned reads_unacknowledged_max = 4;
}  // namespace

const char* to_string(ReceiverPhase phase) {
  switch (phase) {
    case ReceiverPhase::Connecting:
      return "connecting";
    case ReceiverPhase::Syncing:
      return "syncing";
    case ReceiverPhase::Synced:
      return "synced";
    case ReceiverPhase::Lost:
      return "lost";
    case ReceiverPhase::Drained:
      return "drained";
  }
  return "unknown";
}

struct ReplicationReceiver::Impl : std::enable_shared_from_this<ReplicationReceiver::Impl> {
  using Clock = std::chrono::steady_clock;

  Impl(asio::io_context& context, ReceiverOptions with, shm::Region of, ReceiverCallbacks to)
      : io(context),
        options(std::move(with)),
        region(std::move(of)),
        callbacks(std::move(to)),
        applier(callbacks),
        role_digest(digest_of(options.role)),
        retry_timer(io),
        heartbeat_timer(io),
        quiet_timer(io),
        limit_timer(io) {}

  asio::io_context& io;
  const ReceiverOptions options;
  shm::Region region;
  const ReceiverCallbacks callbacks;
  Applier applier;
  const std::uint64_t role_digest;
  std::optional<ReceiverTarget> target;
  std::optional<tcp::socket> connecting;
  std::shared_ptr<FrameConnection> connection;
  asio::steady_timer retry_timer;
  asio::steady_timer heartbeat_timer;
  asio::steady_timer quiet_timer;
  asio::steady_timer limit_timer;
  Duration backoff{0};
  std::minstd_rand random{std::random_device{}()};
  ReceiverPhase phase = ReceiverPhase::Connecting;
  std::string detail = "not configured";
  bool ack_due = false;
  unsigned reads_unacknowledged = 0;
  std::optional<std::uint64_t> grant_due;  ///< its request's nonce
  bool spoke = false;                      ///< since the last beat
  bool progressed = false;                 ///< on this connection: the next backoff starts small
  Clock::time_point heartbeat_expected;
  std::uint64_t attempt = 0;  ///< an answer to an older attempt is nobody's

  Duration drain_quiet{0};
  std::function<void(const DrainReport&)> on_drained;
  bool stopped = true;

  void become(ReceiverPhase next, const std::string& why) {
    if (phase == next && detail == why) { return; }
    phase = next;
    detail = why;
    log::info("mirror of {}: {}{}{}", options.role.value, to_string(next), why.empty() ? "" : ", ", why);
    callbacks.on_phase(next, why);
  }

  Status configure(const ReceiverTarget& next) {
    if (target && next.term < target->term) {
      return failure("mirror of " + options.role.value + " follows term " + std::to_string(target->term.value) +
                         ", term " + std::to_string(next.term.value) + " is stale",
                     Errc::Refused);
    }
    const bool same = target && !stopped && applier.acquired() && target->active == next.active &&
                      target->port == next.port && target->term == next.term && target->blade == next.blade &&
                      target->credentials.has_value() == next.credentials.has_value();
    if (same) {
      target->credentials = next.credentials;
      return {};
    }
    close();
    if (auto acquired = applier.acquire(region, next.term, next.copy_was_synced); !acquired) { return acquired; }
    target = next;
    stopped = false;
    backoff = options.backoff_min;
    become(ReceiverPhase::Connecting, "");
    connect();
    return {};
  }

  // --- connecting ---

  void connect() {
    if (stopped) { return; }
    const auto endpoint = endpoint_of(target->active, target->port);
    connecting.emplace(io);
    const auto mine = ++attempt;
    retry_timer.expires_after(options.silence);  // a dead blade answers nothing
    retry_timer.async_wait([weak = weak_from_this(), mine](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self && self->attempt == mine) { self->connect_failed("no answer"); }
    });
    connecting->async_connect(endpoint, [weak = weak_from_this(), mine](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!self || self->attempt != mine) { return; }
      if (error) { return self->connect_failed(error.message()); }
      self->on_connected();
    });
  }

  void connect_failed(const std::string& why) {
    connecting.reset();
    log::debug("mirror of {}: {} port {}: {}", options.role.value, target->active.to_string(), target->port, why);
    connect_later();
  }

  void connect_later() {
    const auto mine = ++attempt;
    const auto wait = backoff / 2 + backoff / 2 * static_cast<int>(random() % 1000) / 1000;  // not all mirrors at once
    backoff = std::min(backoff * 2, options.backoff_max);
    retry_timer.expires_after(wait);
    retry_timer.async_wait([weak = weak_from_this(), mine](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self && self->attempt == mine) { self->connect(); }
    });
  }

  void on_connected() {
    retry_timer.cancel();
    progressed = false;
    std::unique_ptr<tls::Session> session;
    if (target->credentials) {
      auto opened = tls::Session::open(tls::End::Client, *target->credentials);
      if (!opened) { return connect_failed(opened.error().message); }
      session = std::move(opened).value();
    }
    connection = std::make_shared<FrameConnection>(std::move(*connecting), std::move(session));
    connecting.reset();
    const std::weak_ptr<Impl> weak = weak_from_this();
    FrameConnection::Handlers handlers;
    handlers.on_frame = [weak](const Frame& frame) {
      const auto self = weak.lock();
      return self ? self->on_frame(frame) : Status{};
    };
    handlers.on_secured = [weak](const tls::Certificate& peer) {
      const auto self = weak.lock();
      return self ? self->check_active(peer) : Status{};
    };
    handlers.on_read_done = [weak] {
      if (const auto self = weak.lock()) { self->on_read_done(); }
    };
    handlers.on_written = [weak] {
      if (const auto self = weak.lock()) { self->acknowledge(); }
    };
    handlers.on_closed = [weak](const std::string& why) {
      if (const auto self = weak.lock()) { self->on_closed(why); }
    };
    connection->set_handlers(std::move(handlers));
    applier.begin_connection();
    grant_due.reset();
    std::vector<EncodedFrame> hello;
    hello.push_back(encode(header(FrameType::Hello), encode_payload(Hello{options.role, applier.resume_points()})));
    connection->start();
    connection->write(std::move(hello));
    heartbeat_expected = {};
    on_heartbeat();
  }

  // --- a connection ---

  /// Only the active that we were told of may give us its role's state.
  Status check_active(const tls::Certificate& peer) const {
    const auto& own = connection->session()->own().identity;
    const auto& active = *peer.identity;
    if (own && active.chassis == own->chassis && active.kind == tls::Kind::Blade &&
        active.name == target->blade.value) {
      return {};
    }
    return failure("at " + target->active.to_string() + " is " + describe(active) + " of " + active.chassis + ", not " +
                       target->blade.value,
                   Errc::Refused);
  }

  FrameHeader header(FrameType type) const { return {type, 0, target->term, role_digest, {}}; }

  Status on_frame(const Frame& frame) {
    if (frame.header.role_digest != role_digest) { return failure("the sender is of another role", Errc::Refused); }
    if (frame.header.type == FrameType::Refused) {
      const auto refusal = decode_refusal(frame.payload);
      return refusal ? failure("refused by the active: " + refusal.value().text, Errc::Refused) : refusal.error();
    }
    if (frame.header.term != target->term) {
      return failure("the sender's term is " + std::to_string(frame.header.term.value) + ", this mirror follows term " +
                         std::to_string(target->term.value),
                     Errc::Refused);
    }
    return applier.on_frame(frame);
  }

  void on_read_done() {
    ack_due = true;
    // What waits in the socket is read next; an acknowledgement for each read of a backlog would cost both ends more.
    const bool more =
        ++reads_unacknowledged < reads_unacknowledged_max && connection && connection->waiting_bytes() > 0;
    if (!more) { acknowledge(); }
    const bool synced = applier.synced();
    if (synced && !progressed) {
      progressed = true;
      backoff = options.backoff_min;
    }
    if (on_drained) { return arm_quiet(); }
    become(synced ? ReceiverPhase::Synced : ReceiverPhase::Syncing, "");
  }

  void acknowledge() {
    if ((!ack_due && !grant_due) || !connection || connection->writing()) { return; }
    std::vector<EncodedFrame> batch;
    if (grant_due) { batch.push_back(encode(header(FrameType::Grant), encode_payload(GrantNonce{*grant_due}))); }
    grant_due.reset();
    if (std::exchange(ack_due, false)) {
      spoke = true;
      reads_unacknowledged = 0;
      batch.push_back(encode(header(FrameType::Ack), encode_payload(applier.progress())));
    }
    connection->write(std::move(batch));
  }

  void grant(Term term, std::uint64_t nonce) {
    if (stopped || !connection || term != target->term) { return; }
    grant_due = nonce;
    acknowledge();
  }

  void on_heartbeat() {
    if (!connection) { return; }
    const auto now = Clock::now();
    const bool late = heartbeat_expected != Clock::time_point{} && now - heartbeat_expected > options.silence / 2;
    if (late) { connection->forgive_silence(); }  // it was us who stood still (rule 2)
    if (now - connection->last_received() > options.silence && !on_drained) {
      connection->close();
      return on_closed("nothing heard from the active for " + std::to_string(options.silence.count() / 1'000'000) +
                       " ms");
    }
    // An acknowledgement says everything that a heartbeat would, and so did any other since the last beat.
    ack_due = ack_due || !std::exchange(spoke, false);
    acknowledge();
    heartbeat_expected = now + options.heartbeat;
    heartbeat_timer.expires_at(heartbeat_expected);
    heartbeat_timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self) { self->on_heartbeat(); }
    });
  }

  void on_closed(const std::string& why) {
    heartbeat_timer.cancel();
    if (on_drained) { return drained(why == FrameConnection::in_order, false); }
    connection.reset();
    become(ReceiverPhase::Lost, why);
    if (!stopped && !connection && !connecting) { connect_later(); }
  }

  void close() {
    stopped = true;
    ++attempt;
    retry_timer.cancel();
    heartbeat_timer.cancel();
    quiet_timer.cancel();
    limit_timer.cancel();
    connecting.reset();
    if (connection) { connection->close(); }
    connection.reset();
    on_drained = nullptr;
  }

  // --- draining ---

  void drain(Duration quiet, Duration limit, std::function<void(const DrainReport&)> done) {
    stopped = true;  // no new connection
    ++attempt;
    retry_timer.cancel();
    connecting.reset();
    drain_quiet = quiet;
    on_drained = std::move(done);
    if (!connection) {
      asio::post(io, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) { self->drained(false, false); }
      });
      return;
    }
    limit_timer.expires_after(limit);
    limit_timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self) { self->drained(false, true); }
    });
    arm_quiet();
  }

  void arm_quiet() {
    quiet_timer.expires_after(drain_quiet);
    quiet_timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self || !self->on_drained) { return; }
      if (self->quiet_timer.expiry() > Clock::now()) { return; }  // set anew while this was already on its way
      // This thread may have been busy: bytes that came meanwhile are not quiet.
      if (self->connection && self->connection->waiting_bytes() > 0) { return self->arm_quiet(); }
      self->drained(false, false);
    });
  }

  void drained(bool end_of_stream, bool by_deadline) {
    if (!on_drained) { return; }
    DrainReport report{end_of_stream, by_deadline, connection ? connection->partial_bytes() : 0, applier.ready(),
                       applier.status()};
    const auto done = std::exchange(on_drained, nullptr);
    close();
    become(ReceiverPhase::Drained, "");
    done(report);
  }
};

ReplicationReceiver::ReplicationReceiver(asio::io_context& io, ReceiverOptions options, shm::Region region,
                                         ReceiverCallbacks callbacks)
    : impl_(std::make_shared<Impl>(io, std::move(options), std::move(region), std::move(callbacks))) {}

ReplicationReceiver::~ReplicationReceiver() {
  impl_->close();
  impl_->applier.release();
}

Status ReplicationReceiver::configure(const ReceiverTarget& target) { return impl_->configure(target); }

void ReplicationReceiver::drain(Duration quiet, Duration limit, std::function<void(const DrainReport&)> done) {
  impl_->drain(quiet, limit, std::move(done));
}

void ReplicationReceiver::release_writers() {
  impl_->close();
  impl_->applier.release();
}

void ReplicationReceiver::grant(Term term, std::uint64_t nonce) { impl_->grant(term, nonce); }

ReceiverStatus ReplicationReceiver::status() const {
  return {impl_->phase, impl_->detail, impl_->applier.ready(), impl_->applier.status()};
}

}  // namespace understudy::link::replication
