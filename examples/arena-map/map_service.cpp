// SPDX-License-Identifier: Apache-2.0
#include "map_service.hpp"

#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>

#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"

namespace arena_map {

namespace us = understudy;
using namespace std::chrono_literals;
using session_service::Descriptor;
using session_service::TcpConnections;

namespace {

enum What : std::uint64_t { FromLifecycle = 1, FromSignals = 2, FromListener = 10 };
constexpr auto mirror_deadline = 5s;
constexpr std::uint64_t max_fill = 1'000'000;

std::string_view next_word(std::string_view& rest) {
  const auto end = rest.find(' ');
  const auto word = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return word;
}

std::string told(const us::Status& done) { return done ? "OK" : "ERR " + done.error().message; }

std::string fill(Map& map, std::string_view count_text, std::string_view value) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(count_text.data(), count_text.data() + count_text.size(), count);
  if (error != std::errc{} || end != count_text.data() + count_text.size() || count > max_fill) {
    return "ERR write FILL count value";
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    if (auto put = map.put("k" + std::to_string(i), value); !put) { return told(put); }
  }
  return "OK";
}

}  // namespace

std::string answer(Map& map, std::string_view line) {
  const auto word = next_word(line);
  const auto first = next_word(line);
  if (word == "PUT") { return told(map.put(first, line)); }
  if (word == "FILL") { return fill(map, first, line); }
  if (word == "DEL") { return map.erase(first) ? "OK" : "NONE"; }
  if (word == "COUNT") { return "COUNT " + std::to_string(map.size()) + " " + std::to_string(map.changes()); }
  if (word == "GET") {
    const auto value = map.get(first);
    return value ? "VALUE " + *value : "NONE";
  }
  if (word == "SAME") {
    const auto value = map.common_value();
    return value ? "SAME " + *value : "DIFFERENT";
  }
  return "ERR write PUT, GET, DEL, FILL, COUNT or SAME";
}

us::Result<std::unique_ptr<Service>> Service::open(us::app::Lifecycle lifecycle, std::uint16_t port) {
  using session_service::Family;
  Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) { return us::failure(std::string("cannot make an epoll instance: ") + std::strerror(errno)); }
  std::unique_ptr<Service> service(new Service(std::move(lifecycle), std::move(epoll)));
  for (const auto family : {Family::V4, Family::V6}) {
    auto opened = session_service::open_bound(family, session_service::Transport::Tcp, port);
    if (!opened && opened.error().code == us::Errc::NotFound) { continue; }
    if (!opened) { return opened.error(); }
    service->listeners_.push_back(std::move(opened).value());
  }
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  service->signals_ = Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (auto watched = service->watch(service->signals_.get(), FromSignals); !watched) { return watched.error(); }
  if (auto watched = service->watch(service->lifecycle_.fd(), FromLifecycle); !watched) { return watched.error(); }
  return service;
}

Service::Service(us::app::Lifecycle lifecycle, Descriptor epoll)
    : lifecycle_(std::move(lifecycle)), epoll_(std::move(epoll)), tcp_(epoll_.get()) {}

us::Status Service::watch(int fd, std::uint64_t what) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = what;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) { return {}; }
  return us::failure(std::string("cannot watch a descriptor: ") + std::strerror(errno));
}

int Service::run() {
  lifecycle_.set_callbacks({[this](us::Term term) { activate(term); }, [this] { quiesce(); },
                            [this] { stop_serving(); }, [this] { exit_status_ = 0; }});
  lifecycle_.needs_quiescing();
  lifecycle_.ready();
  while (!exit_status_) {
    std::array<epoll_event, 64> events{};
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), pending_.empty() ? -1 : 1);
    for (int i = 0; i < count && !exit_status_; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      handle(event.data.u64, event.events);
    }
    checkpoint();
    send_replies();
  }
  stop_serving();
  return *exit_status_;
}

void Service::handle(std::uint64_t what, std::uint32_t events) {
  if (what == FromLifecycle) {
    lifecycle_.dispatch();
  } else if (what == FromSignals) {
    exit_status_ = 0;
  } else if (what >= FromListener && what < FromListener + listeners_.size()) {
    tcp_.accept(listeners_[what - FromListener].get());
  } else {
    tcp_.handle(what, events, [this](TcpConnections::Id id, std::string_view line) {
      if (map_) { pending_.push_back({id, answer(*map_, line), std::nullopt}); }
    });
  }
}

void Service::activate(us::Term term) {
  const auto become = [&]() -> us::Result<us::shm::StoreWriter> {
    // After a movement that was rolled back the writer is ours already, and the area was only left alone.
    if (resting_ && term_ == term) { return std::move(*resting_); }
    map_.reset();
    resting_.reset();
    const auto store = lifecycle_.open_store(us::shm::Access::ReadWrite);
    return store ? store.value().become_writer(term) : us::Result<us::shm::StoreWriter>(store.error());
  };
  auto writer = become();
  resting_.reset();
  auto map = writer ? Map::attach(std::move(writer).value()) : us::Result<std::unique_ptr<Map>>(writer.error());
  if (!map) {
    us::log::error("cannot become active under term {}: {}", term.value, us::log::describe(map.error()));
    if (!lifecycle_.has_agent()) { exit_status_ = 1; }
    return lifecycle_.failed(map.error().message);
  }
  map_ = std::move(map).value();
  term_ = term;
  us::log::info("active under term {} with {} keys; changed pages are found by {}", term.value, map_->size(),
                map_->method());
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listeners_[i].get(), nullptr);
    if (auto watched = watch(listeners_[i].get(), FromListener + i); !watched) {
      us::log::error("{}", us::log::describe(watched.error()));
    }
  }
  lifecycle_.active(term);
}

/// The gate outside is closed: whose answer is still pending asks again.
void Service::quiesce() {
  for (const auto& listener : listeners_) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.get(), nullptr); }
  pending_.clear();
  tcp_.close_all();
  if (!map_) { return lifecycle_.quiesced(); }
  auto writer = map_->detach();
  if (!writer) { return lost(writer.error().message); }
  map_.reset();
  resting_.emplace(std::move(writer).value());
  lifecycle_.quiesced();
  us::log::info("quiesced");
}

void Service::stop_serving() {
  for (const auto& listener : listeners_) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.get(), nullptr); }
  pending_.clear();
  tcp_.close_all();
  if (map_) {
    if (auto at = map_->detach(); !at) { us::log::warn("no last checkpoint: {}", us::log::describe(at.error())); }
  }
  map_.reset();
  resting_.reset();
}

void Service::lost(const std::string& reason) {
  us::log::warn("no longer the writer, standing by: {}", reason);
  map_.reset();
  stop_serving();
  lifecycle_.lost_writer(reason);
  if (!lifecycle_.has_agent()) { exit_status_ = 1; }
}

void Service::checkpoint() {
  if (!map_ || pending_.empty() || pending_.back().waiting) { return; }
  const auto at = map_->checkpoint();
  if (!at) { return lost(at.error().message); }
  for (auto& pending : pending_) {
    if (!pending.waiting) { pending.waiting.emplace(at.value(), us::boot_now() + mirror_deadline); }
  }
}

void Service::send_replies() {
  using Answer = us::app::CommitMirrored::Answer;
  while (map_ && !pending_.empty() && pending_.front().waiting) {
    const auto answered = pending_.front().waiting->check(map_->store().mirrored(), us::boot_now());
    if (answered == Answer::Wait) { return; }
    auto reply = answered == Answer::Expired ? "ERR the mirror did not acknowledge in time" : pending_.front().reply;
    if (answered == Answer::Exposed && lifecycle_.has_agent()) { reply += " EXPOSED"; }
    tcp_.reply(pending_.front().asker, reply);
    pending_.pop_front();
  }
}

}  // namespace arena_map
