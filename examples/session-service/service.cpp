// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"

#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "request.hpp"
#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"

namespace session_service {

namespace us = understudy;
using namespace std::chrono_literals;

namespace {

enum What : std::uint64_t { FromLifecycle = 1, FromSignals = 2, FromUdp = 100, FromListener = 200 };

constexpr auto mirror_deadline = 2s;
constexpr auto quiesce_deadline = 100ms;
constexpr std::size_t max_pending = 16384;
constexpr int datagrams_at_once = 256;

}  // namespace

us::Result<std::unique_ptr<Service>> Service::open(us::app::Lifecycle lifecycle, std::uint16_t port) {
  Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) { return us::failure(std::string("cannot make an epoll instance: ") + std::strerror(errno)); }
  std::unique_ptr<Service> service(new Service(std::move(lifecycle), std::move(epoll)));
  if (auto opened = service->open_sockets(port); !opened) { return opened.error(); }
  return service;
}

Service::Service(us::app::Lifecycle lifecycle, Descriptor epoll)
    : lifecycle_(std::move(lifecycle)), epoll_(std::move(epoll)), tcp_(epoll_.get()) {}

us::Status Service::open_sockets(std::uint16_t port) {
  for (const auto family : {Family::V4, Family::V6}) {
    for (const auto transport : {Transport::Udp, Transport::Tcp}) {
      auto opened = open_bound(family, transport, port);
      if (!opened && opened.error().code == us::Errc::NotFound) {
        us::log::warn("{}: goes on without", opened.error().message);
        continue;
      }
      if (!opened) { return opened.error(); }
      auto& owners = transport == Transport::Udp ? udp_ : listeners_;
      owners.push_back(std::move(opened).value());
    }
  }
  if (udp_.empty()) { return us::failure("there is neither IPv4 nor IPv6"); }
  for (std::size_t i = 0; i < udp_.size(); ++i) {
    if (auto watched = watch(udp_[i].get(), FromUdp + i); !watched) { return watched; }
  }
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) { return us::failure(std::string("cannot make a signalfd: ") + std::strerror(errno)); }
  if (auto watched = watch(signals_.get(), FromSignals); !watched) { return watched; }
  return watch(lifecycle_.fd(), FromLifecycle);
}

us::Status Service::watch(int fd, std::uint64_t what) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = what;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) { return {}; }
  return us::failure(std::string("cannot watch a descriptor: ") + std::strerror(errno));
}

void Service::unwatch(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

int Service::run() {
  lifecycle_.set_callbacks({[this](us::Term term) { on_activate(term); }, [this] { on_quiesce(); },
                            [this] { stop_serving(); }, [this] { exit_status_ = 0; }});
  if (auto mapped = map_for_reading(); !mapped) {
    us::log::error("not ready: {}", mapped.error().message);
    return 2;
  }
  lifecycle_.ready();
  while (!exit_status_) {
    std::array<epoll_event, 64> events{};
    const bool waiting = !pending_.empty() || quiesce_until_;
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), waiting ? 1 : -1);
    for (int i = 0; i < count && !exit_status_; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      handle(event.data.u64, event.events);
    }
    answer_pending();
    if (quiesce_until_ && (pending_.empty() || us::boot_now() >= *quiesce_until_)) { finish_quiesce(); }
  }
  return *exit_status_;
}

us::Status Service::map_for_reading() {
  auto store = lifecycle_.open_store(us::shm::Access::ReadOnly);
  if (!store) { return store.error(); }
  if (auto fits = Sessions::check(store.value()); !fits) { return fits; }
  standby_view_.emplace(std::move(store).value());
  return {};
}

void Service::handle(std::uint64_t what, std::uint32_t events) {
  if (what == FromLifecycle) {
    lifecycle_.dispatch();
  } else if (what == FromSignals) {
    read_signals();
  } else if (what >= FromUdp && what < FromUdp + udp_.size()) {
    read_datagrams(udp_[what - FromUdp].get());
  } else if (what >= FromListener && what < FromListener + listeners_.size()) {
    tcp_.accept(listeners_[what - FromListener].get());
  } else {
    tcp_.handle(what, events, [this](TcpConnections::Id id, std::string_view line) { on_line(id, line); });
  }
}

// --- what the lifecycle orders ---

void Service::on_activate(us::Term term) {
  quiesce_until_.reset();
  // After a movement that was rolled back this process is the writer already, under the same term.
  if (!sessions_ || sessions_->term() != term) {
    sessions_.reset();
    const auto store = lifecycle_.open_store(us::shm::Access::ReadWrite);
    auto sessions = store ? Sessions::attach(store.value(), term) : us::Result<Sessions>(store.error());
    if (!sessions) {
      us::log::error("cannot become active under term {}: {}", term.value, us::log::describe(sessions.error()));
      if (!lifecycle_.has_agent()) { exit_status_ = 1; }
      stop_serving();
      return lifecycle_.failed(sessions.error().message);
    }
    sessions_.emplace(std::move(sessions).value());
  }
  for (std::size_t i = 0; i < listeners_.size() && !listening_; ++i) {
    if (auto watched = watch(listeners_[i].get(), FromListener + i); !watched) {
      us::log::error("{}", us::log::describe(watched.error()));
    }
  }
  listening_ = true;
  lifecycle_.active(term);
  us::log::info("active under term {}", term.value);
}

void Service::on_quiesce() {
  // What has arrived is still done: the agent closed the gate outside, so these are the last.
  for (const auto& socket : udp_) { read_datagrams(socket.get()); }
  quiesce_until_ = us::boot_now() + quiesce_deadline;
}

void Service::finish_quiesce() {
  close_ears();  // whose reply is still pending asks again and gets the same one
  lifecycle_.quiesced();
  us::log::info("quiesced");
}

void Service::close_ears() {
  for (const auto& listener : listeners_) {
    if (listening_) { unwatch(listener.get()); }
  }
  listening_ = false;
  pending_.clear();
  quiesce_until_.reset();
  tcp_.close_all();
}

void Service::stop_serving() {
  close_ears();
  sessions_.reset();
}

bool Service::serving() const {
  const auto duty = lifecycle_.duty();
  return sessions_ && (duty == us::app::Duty::Active || (duty == us::app::Duty::Quiescing && quiesce_until_));
}

void Service::lost(const std::string& reason) {
  us::log::warn("no longer the writer, standing by: {}", reason);
  stop_serving();
  lifecycle_.lost_writer(reason);
  if (!lifecycle_.has_agent()) { exit_status_ = 1; }  // alone, nobody would ever activate it again
}

void Service::read_signals() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) { exit_status_ = 0; }
}

// --- requests and replies ---

void Service::read_datagrams(int socket) {
  for (int i = 0; i < datagrams_at_once; ++i) {
    const auto datagram = receive(socket);
    if (!datagram) { return; }
    on_line(datagram->peer, datagram->text);
  }
}

void Service::on_line(const Asker& asker, std::string_view line) {
  if (!serving()) { return; }
  const auto parsed = parse(line);
  if (!parsed.request) {
    if (!parsed.refusal.empty()) { send_reply(asker, parsed.refusal); }
    return;
  }
  if (pending_.size() >= max_pending) {
    return send_reply(asker, error(*parsed.request, "failed", "too many requests are under way"));
  }
  auto outcome = sessions_->perform(*parsed.request);
  if (outcome.no_longer_writer) { return lost(*outcome.no_longer_writer); }
  pending_.push_back({us::app::CommitMirrored(outcome.tells_up_to, us::boot_now() + mirror_deadline), asker,
                      std::move(outcome.reply),
                      error(*parsed.request, "not-mirrored", "the mirror did not acknowledge in time")});
  answer_pending();
}

void Service::answer_pending() {
  if (pending_.empty() || !sessions_) { return; }
  const auto mirrored = sessions_->store().mirrored();
  const auto at = us::boot_now();
  while (!pending_.empty()) {
    const auto answer = pending_.front().waiting.check(mirrored, at);
    if (answer == us::app::CommitMirrored::Answer::Wait) { return; }
    const Pending ready = std::move(pending_.front());
    pending_.pop_front();
    // Alone, without any agent, there was never a mirror to miss.
    const bool unmirrored = answer == us::app::CommitMirrored::Answer::Exposed && lifecycle_.has_agent();
    const bool late = answer == us::app::CommitMirrored::Answer::Expired;
    send_reply(ready.asker, late ? ready.late_reply : unmirrored ? exposed(ready.reply) : ready.reply);
  }
}

void Service::send_reply(const Asker& asker, const std::string& reply) {
  if (const auto* peer = std::get_if<UdpPeer>(&asker)) {
    send(*peer, reply);
  } else {
    tcp_.reply(std::get<TcpConnections::Id>(asker), reply);
  }
}

}  // namespace session_service
