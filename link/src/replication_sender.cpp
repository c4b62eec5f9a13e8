// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/replication_sender.hpp"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "replication_connection.hpp"
#include "replication_mirror_link.hpp"
#include "replication_scan.hpp"
#include "replication_timer.hpp"
#include "understudy/common/log.hpp"

namespace understudy::link::replication {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

/// Connections that have not said Hello yet: no more than these, and each only for a while.
constexpr std::size_t candidates_max = 4;
constexpr auto hello_limit = std::chrono::seconds(2);
constexpr auto told_again = std::chrono::seconds(1);
constexpr auto same_told_again = std::chrono::minutes(1);
constexpr auto accept_retry = std::chrono::milliseconds(100);

class IoSenderEdge final : public IoEdge<SenderEdge> {
 public:
  using IoEdge::IoEdge;
  [[nodiscard]] std::unique_ptr<Scan> scan(shm::Store store, Sequence after, std::size_t piece_bytes) override {
    return std::make_unique<SnapshotScan>(std::move(store), after, piece_bytes);
  }
};
}  // namespace

struct ReplicationSender::Impl : std::enable_shared_from_this<ReplicationSender::Impl> {
  struct Candidate {
    explicit Candidate(asio::io_context& io) : limit(io) {}
    std::shared_ptr<FrameConnection> connection;
    asio::steady_timer limit;
  };

  Impl(asio::io_context& context, SenderOptions with, shm::Region of, PhaseCallback callback)
      : io(context),
        options(std::move(with)),
        region(std::move(of)),
        on_phase(std::move(callback)),
        acceptor(io),
        retry_timer(io),
        finish_timer(io) {}

  asio::io_context& io;
  const SenderOptions options;
  shm::Region region;
  PhaseCallback on_phase;
  tcp::acceptor acceptor;
  asio::steady_timer retry_timer;
  asio::steady_timer finish_timer;
  std::function<void(bool)> on_finished;
  std::vector<std::string> names;
  std::vector<shm::Store> stores;
  std::vector<StoreCounters> counters;
  std::vector<std::shared_ptr<Candidate>> candidates;
  std::shared_ptr<MirrorLink> link;
  SenderPhase phase = SenderPhase::NoMirror;
  std::string detail = "no mirror has connected yet";
  std::string complaint;  ///< the last one, since a mirror was accepted
  std::string lasting;    ///< what keeps the mirror out until a person has changed something, as on_refused was told
  std::string smaller;    ///< journal than ours, as on_smaller_journal was told
  std::string told;       ///< the last one that on_refused got
  FrameConnection::Clock::time_point told_at{};
  bool stopped = false;

  Result<std::vector<shm::Store>> open_stores() const {
    std::vector<shm::Store> opened;
    for (const auto& schema : region.schema().stores) {
      auto store = region.store(schema.name);
      if (!store) { return store.error(); }
      opened.push_back(std::move(store).value());
    }
    return opened;
  }

  Status start() {
    auto opened = open_stores();
    if (!opened) { return opened.error(); }
    stores = std::move(opened).value();
    counters.resize(stores.size());
    for (auto& store : stores) {
      names.push_back(store.schema().name);
      // What a former daemon left.
      if (auto exposed = store.set_mirrored({false, {}}); !exposed) { return exposed; }
      if (auto released = store.release_writer(); !released) { return released; }
    }
    boost::system::error_code error;
    const auto endpoint = endpoint_of(options.address, options.port);
    acceptor.open(endpoint.protocol(), error);
    if (!error && !options.address.is_v4()) { acceptor.set_option(asio::ip::v6_only(true), error); }
    if (!error) { acceptor.set_option(tcp::acceptor::reuse_address(true), error); }
    if (!error) { acceptor.bind(endpoint, error); }
    if (!error) { acceptor.listen(asio::socket_base::max_listen_connections, error); }
    if (error) {
      return failure("replication of " + options.role.value + " cannot listen on " + options.address.to_string() +
                     " port " + std::to_string(options.port) + ": " + error.message());
    }
    accept();
    return {};
  }

  void accept() {
    acceptor.async_accept([weak = weak_from_this()](const boost::system::error_code& error, tcp::socket socket) {
      const auto self = weak.lock();
      if (!self || self->stopped) { return; }
      if (error) { return self->accept_later(); }
      self->on_connection(std::move(socket));
      self->accept();
    });
  }

  /// Out of file descriptors, say: it may pass.
  void accept_later() {
    retry_timer.expires_after(accept_retry);
    retry_timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self && !self->stopped) { self->accept(); }
    });
  }

  /// Null on a plain wire.
  Result<std::unique_ptr<tls::Session>> new_session() const {
    if (!options.credentials) { return std::unique_ptr<tls::Session>(); }
    const auto credentials = options.credentials();
    if (!credentials) { return credentials.error(); }
    return tls::Session::open(tls::End::Server, credentials.value());
  }

  enum class Why { Refused, Chance, Lasting };
  static Why why_of(RefusalReason reason) {
    switch (reason) {
      case RefusalReason::WrongRole:
        return Why::Refused;
      case RefusalReason::OtherStores:
      case RefusalReason::SmallerJournal:
        return Why::Lasting;
      default:
        return Why::Chance;
    }
  }
  /// A mirror that cannot be accepted comes again and again: one line says it.
  void complain(Why why, const std::string& what) {
    const auto text = "replication of " + options.role.value + ": no mirror accepted: " + what;
    if (std::exchange(complaint, what) != what) { log::warn("{}", text); }
    if (why == Why::Lasting) {
      if (std::exchange(lasting, what) != what && options.on_refused) { options.on_refused(text); }
      return;
    }
    const auto since = FrameConnection::Clock::now() - told_at;
    if (why == Why::Chance || !options.on_refused || since < (told == what ? same_told_again : told_again)) { return; }
    told = what;
    told_at += since;
    options.on_refused(text);
  }

  void on_connection(tcp::socket socket) {
    boost::system::error_code error;
    const auto from = address_of(socket.remote_endpoint(error));
    if (error) { return; }
    if (options.mirror && *options.mirror != from) {
      return complain(Why::Refused,
                      "a connection from " + from.to_string() + ", and the mirror is " + options.mirror->to_string());
    }
    if (candidates.size() >= candidates_max) {
      // Whoever has said nothing for longest makes room: silent strangers do not keep the mirror out.
      const auto oldest = candidates.front();
      candidates.erase(candidates.begin());
      oldest->connection->close();
    }
    auto session = new_session();
    if (!session) { return complain(Why::Chance, session.error().message); }
    auto candidate = std::make_shared<Candidate>(io);
    candidate->connection = std::make_shared<FrameConnection>(std::move(socket), std::move(session).value());
    candidates.push_back(candidate);
    const std::weak_ptr<Impl> weak = weak_from_this();
    const std::weak_ptr<Candidate> weak_candidate = candidate;
    const auto forget = [weak, weak_candidate] {
      const auto self = weak.lock();
      const auto gone = weak_candidate.lock();
      if (!self || !gone) { return; }
      gone->connection->close();
      std::erase(self->candidates, gone);
    };
    FrameConnection::Handlers handlers;
    handlers.on_frame = [weak, weak_candidate](const Frame& frame) {
      const auto self = weak.lock();
      const auto speaker = weak_candidate.lock();
      return self && speaker ? self->on_hello(speaker, frame) : Status{};
    };
    handlers.on_closed = [weak, weak_candidate, forget, from](const std::string& why) {
      const auto self = weak.lock();
      const auto gone = weak_candidate.lock();
      const bool refused = gone && gone->connection->refused();
      forget();
      if (!self) { return; }
      self->complain(refused ? Why::Refused : Why::Chance, "a connection from " + from.to_string() + ": " + why);
    };
    candidate->connection->set_handlers(std::move(handlers));
    candidate->connection->on_other_version([weak, weak_candidate, from](std::uint8_t version) {
      const auto self = weak.lock();
      const auto speaker = weak_candidate.lock();
      return self && speaker ? std::optional(self->refuse_version(speaker, from, version)) : std::nullopt;
    });
    candidate->limit.expires_after(hello_limit);
    candidate->limit.async_wait([forget](const boost::system::error_code& cancelled) {
      if (!cancelled) { forget(); }
    });
    candidate->connection->start();
  }

  /// In words of that version: a Refused frame is the same in all of them.
  EncodedFrame refuse_version(const std::shared_ptr<Candidate>& candidate, const IpAddress& from,
                              std::uint8_t version) {
    candidate->limit.cancel();
    std::erase(candidates, candidate);
    const auto refusal = refusal_of_version(version, from.to_string(), options.mirror_blade);
    complain(Why::Lasting, refusal.text);
    return encode({FrameType::Refused, 0, options.term, digest_of(options.role), {}, version}, encode_payload(refusal));
  }

  void tell_smaller_journals(const Hello& hello) {
    const auto what = smaller_journals(stores, hello);
    if (std::exchange(smaller, what) == what) { return; }
    if (!what.empty()) { log::warn("replication of {}: {}", options.role.value, what); }
    if (options.on_smaller_journal) { options.on_smaller_journal(what); }
  }

  std::optional<Refusal> refusal_of(const tls::Session* session, const Frame& frame, const Hello& hello) const {
    if (session != nullptr) {
      const auto& peer = *session->peer().identity;
      const bool ours = session->own().identity && peer.chassis == session->own().identity->chassis;
      if (!ours || peer.kind != tls::Kind::Mirror || peer.role != options.role.value) {
        return Refusal{RefusalReason::WrongRole, "this is " + options.role.value + ", and the certificate is that of " +
                                                     describe(peer) + " of " + peer.chassis};
      }
    }
    if (session != nullptr && !options.mirror_blade.empty()) {
      const auto& peer = *session->peer().identity;
      if (peer.name != options.mirror_blade.value) {
        return Refusal{RefusalReason::WrongRole,
                       "the mirror of " + options.role.value + " runs on " + options.mirror_blade.value +
                           ", and the certificate is that of " + describe(peer) + ": either " + peer.name +
                           " has no business here, or the file of " + options.mirror_blade.value +
                           " is another blade's; `understudy pki issue mirror " + options.mirror_blade.value + " " +
                           options.role.value + "` makes the right one"};
      }
    }
    return replication::refusal_of(options, stores, frame.header, hello, counters);
  }

  Status on_hello(const std::shared_ptr<Candidate>& candidate, const Frame& frame) {
    if (frame.header.type != FrameType::Hello) { return failure("a connection that does not begin with Hello"); }
    const auto hello = decode_hello(frame.payload, frame.header.version);
    if (!hello) { return hello.error(); }
    candidate->limit.cancel();
    std::erase(candidates, candidate);
    if (const auto refusal = refusal_of(candidate->connection->session(), frame, hello.value())) {
      complain(why_of(refusal->reason), refusal->text);
      candidate->connection->write_and_close(
          encode({FrameType::Refused, 0, options.term, digest_of(options.role), {}, frame.header.version},
                 encode_payload(*refusal)));
      return {};
    }
    complaint.clear();
    lasting.clear();
    tell_smaller_journals(hello.value());
    auto opened = open_stores();
    if (!opened) { return opened.error(); }
    if (link) { link->refuse_and_close(RefusalReason::Replaced, "another connection of the mirror took over"); }
    link = std::make_shared<MirrorLink>(std::make_shared<IoSenderEdge>(io), options, std::move(opened).value(),
                                        counters, candidate->connection);
    MirrorLink::Handlers handlers;
    const std::weak_ptr<Impl> weak = weak_from_this();
    handlers.on_phase = [weak](SenderPhase now, const std::string& why) {
      if (const auto self = weak.lock()) { self->become(now, why); }
    };
    handlers.on_lost = [weak](const std::string& why) {
      if (const auto self = weak.lock()) { self->on_lost(why); }
    };
    const auto starting = link;  // a callback may stop us
    starting->start(hello.value(), std::move(handlers));
    return {};
  }

  void on_lost(const std::string& why) {
    link.reset();
    become(SenderPhase::NoMirror, why);
    finished(false);
  }

  void become(SenderPhase next, const std::string& why) {
    if (stopped) { return; }
    phase = next;
    detail = why;
    log::info("replication of {}: {}{}{}", options.role.value, to_string(next), why.empty() ? "" : ", ", why);
    const auto callback = on_phase;  // outlives a stop() inside
    callback(next, why);
  }

  void finish(Duration limit, std::function<void(bool)> done) {
    on_finished = std::move(done);
    if (!link || phase != SenderPhase::Synced) {
      asio::post(io, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) { self->finished(false); }
      });
      return;
    }
    finish_timer.expires_after(limit);
    finish_timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self) { self->finished(false); }
    });
    link->finish([weak = weak_from_this()] {
      if (const auto self = weak.lock()) { self->finished(true); }
    });
  }

  void finished(bool all) {
    if (!on_finished) { return; }
    const auto done = std::exchange(on_finished, nullptr);
    stop();
    done(all);
  }

  void stop() {
    if (stopped) { return; }
    stopped = true;
    on_finished = nullptr;
    boost::system::error_code ignored;
    acceptor.close(ignored);
    retry_timer.cancel();
    finish_timer.cancel();
    for (const auto& candidate : candidates) {
      candidate->limit.cancel();
      candidate->connection->close();
    }
    candidates.clear();
    if (link) { link->close(); }
    link.reset();
    phase = SenderPhase::NoMirror;
    detail = "stopped";
  }
};

ReplicationSender::ReplicationSender(asio::io_context& io, SenderOptions options, shm::Region region,
                                     PhaseCallback on_phase)
    : impl_(std::make_shared<Impl>(io, std::move(options), std::move(region), std::move(on_phase))) {}

ReplicationSender::~ReplicationSender() { stop(); }

Status ReplicationSender::start() { return impl_->start(); }
void ReplicationSender::stop() { impl_->stop(); }
void ReplicationSender::finish(Duration limit, std::function<void(bool)> done) {
  impl_->finish(limit, std::move(done));
}
void ReplicationSender::poke() {
  if (const auto link = impl_->link) { link->poke(); }
}

void ReplicationSender::ask_grant(std::uint64_t nonce) {
  if (const auto link = impl_->link) { link->ask_grant(nonce); }
}

std::uint16_t ReplicationSender::port() const {
  boost::system::error_code error;
  const auto endpoint = impl_->acceptor.local_endpoint(error);
  return error ? std::uint16_t{0} : endpoint.port();
}

SenderStatus ReplicationSender::status() const {
  SenderStatus status{impl_->phase, impl_->detail, impl_->link ? impl_->link->bytes_sent() : 0, {}};
  for (std::size_t i = 0; i < impl_->stores.size(); ++i) {
    const auto& counters = impl_->counters[i];
    const auto* link = impl_->link.get();
    status.stores.push_back(
        {impl_->names[i], impl_->stores[i].committed(), link != nullptr ? link->sent(i) : Sequence{},
         link != nullptr ? link->acknowledged(i) : impl_->stores[i].mirrored().acknowledged, counters.journal_resumes,
         counters.delta_snapshots, counters.full_snapshots, counters.laps, impl_->stores[i].throttled(),
         counters.throttle.times(), impl_->stores[i].writer_waited()});
  }
  return status;
}

}  // namespace understudy::link::replication
