// SPDX-License-Identifier: Apache-2.0
#include "understudy/app/lifecycle.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "descriptor.hpp"
#include "messages.hpp"
#include "store_fits.hpp"

namespace understudy::app {

namespace {

constexpr long reconnect_nanoseconds = 50'000'000;   ///< between two tries to reach the agent
constexpr std::size_t max_unsent_bytes = 64 * 1024;  ///< an agent that reads nothing is left

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') { return std::nullopt; }
  return std::string(value);
}

Result<std::uint64_t> bytes_variable(const char* name) {
  const auto text = variable(name);
  if (!text) { return failure(std::string(name) + " is not set", Errc::BadInput); }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc{} || end != text->data() + text->size() || value == 0) {
    return failure(std::string(name) + " is \"" + *text + "\", write a number of bytes", Errc::BadInput);
  }
  return value;
}

std::string because(const std::string& what) { return what + ": " + std::strerror(errno); }

}  // namespace

struct Lifecycle::Impl {
  std::string region_path;
  std::uint64_t region_bytes = 0;  ///< 0: as the file says
  std::uint64_t region_offset = 0;
  std::string store;
  shm::StoreSchema built_for;  ///< as the application gave it; no tables: it takes what it finds
  std::string agent_path;      ///< empty: alone

  Callbacks callbacks;
  StatusLine status;  ///< what we tell; its term is the last we were active under

  Descriptor epoll;
  Descriptor wakeup;     ///< alone: readable until the first dispatch, and anew when there is a callback to activate
  Descriptor reconnect;  ///< with an agent: the timer of the next try
  Descriptor socket;
  LineBuffer received;
  std::string unsent;

  Status open_descriptors();
  Status watch(int fd, std::uint32_t events, int operation = EPOLL_CTL_ADD);
  void arm_reconnect();
  void connect();
  void disconnect();
  void receive();
  void tell();
  void flush();
  void obey(const Order& given);
  void refuse(std::string reason);
  void activate(const Order& given);
  void become(Duty duty);
};

Status Lifecycle::Impl::watch(int fd, std::uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll.get(), operation, fd, &event) != 0) { return failure(because("cannot watch a descriptor")); }
  return {};
}

Status Lifecycle::Impl::open_descriptors() {
  epoll = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) { return failure(because("cannot make an epoll instance")); }
  if (agent_path.empty()) {
    wakeup = Descriptor(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wakeup) { return failure(because("cannot make an eventfd")); }
    return watch(wakeup.get(), EPOLLIN);
  }
  reconnect = Descriptor(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!reconnect) { return failure(because("cannot make a timer")); }
  return watch(reconnect.get(), EPOLLIN);
}

void Lifecycle::Impl::arm_reconnect() {
  itimerspec next{};
  next.it_value.tv_nsec = reconnect_nanoseconds;
  ::timerfd_settime(reconnect.get(), 0, &next, nullptr);
}

void Lifecycle::Impl::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, agent_path.c_str(), agent_path.size() + 1);  // its length was checked at the start
  Descriptor fresh(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // A Unix socket connects at once or not at all: ENOENT and ECONNREFUSED while the agent is away, EAGAIN while its
  // backlog is full.
  if (!fresh || ::connect(fresh.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    arm_reconnect();
    return;
  }
  socket = std::move(fresh);
  received.clear();
  unsent.clear();
  // the agent may be another one: it repeats what still holds, with its own numbers
  status.order = 0;
  status.refused = false;
  if (!watch(socket.get(), EPOLLIN)) { return disconnect(); }
  tell();
}

void Lifecycle::Impl::disconnect() {
  socket.reset();
  arm_reconnect();
}

void Lifecycle::Impl::tell() {
  if (!socket) { return; }
  unsent += encode(status);
  flush();
}

void Lifecycle::Impl::flush() {
  while (!unsent.empty()) {
    const auto sent = ::send(socket.get(), unsent.data(), unsent.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) { continue; }
    if (sent < 0 && errno != EAGAIN) { return disconnect(); }
    if (sent < 0) { break; }
    unsent.erase(0, static_cast<std::size_t>(sent));
  }
  if (unsent.size() > max_unsent_bytes) { return disconnect(); }
  const auto events = unsent.empty() ? std::uint32_t{EPOLLIN} : std::uint32_t{EPOLLIN | EPOLLOUT};
  if (!watch(socket.get(), events, EPOLL_CTL_MOD)) { disconnect(); }
}

void Lifecycle::Impl::receive() {
  std::array<char, max_line_bytes> bytes{};
  const auto size = ::recv(socket.get(), bytes.data(), bytes.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) { return; }
  if (size <= 0 || !received.append({bytes.data(), static_cast<std::size_t>(size)})) { return disconnect(); }
  while (const auto line = socket ? received.next() : std::nullopt) {
    const auto given = decode_order(*line);
    if (!given) { return disconnect(); }
    obey(given.value());
  }
}

void Lifecycle::Impl::become(Duty duty) {
  status.duty = duty;
  status.quiesced = false;
}

void Lifecycle::Impl::refuse(std::string reason) {
  status.refused = true;
  status.reason = std::move(reason);
  tell();
}

void Lifecycle::Impl::activate(const Order& given) {
  if (given.term < status.term) {
    return refuse("term " + std::to_string(given.term.value) + " is below " + std::to_string(status.term.value));
  }
  if (status.duty == Duty::Stopping) { return refuse("it is stopping"); }
  if (status.duty == Duty::Active && given.term == status.term) { return tell(); }
  if (!callbacks.on_activate) { return refuse("it has no way to become active"); }
  callbacks.on_activate(given.term);
}

void Lifecycle::Impl::obey(const Order& given) {
  status.order = given.number;
  status.refused = false;
  status.reason.clear();
  switch (given.kind) {
    case OrderKind::Activate:
      return activate(given);
    case OrderKind::StandBy:
      if (status.duty != Duty::StandingBy) {
        become(Duty::StandingBy);
        if (callbacks.on_stand_by) { callbacks.on_stand_by(); }
      }
      return tell();
    case OrderKind::Quiesce:
      if (status.duty == Duty::StandingBy || status.duty == Duty::Stopping) { return refuse("it is not active"); }
      if (status.duty == Duty::Quiescing) { return tell(); }
      become(Duty::Quiescing);
      if (callbacks.on_quiesce) { return callbacks.on_quiesce(); }
      status.quiesced = true;
      return tell();
    case OrderKind::Stop:
      if (status.duty == Duty::Stopping) { return tell(); }
      become(Duty::Stopping);
      tell();
      if (callbacks.on_stop) { callbacks.on_stop(); }
      return;
  }
}

Lifecycle::Lifecycle(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Lifecycle::Lifecycle(Lifecycle&&) noexcept = default;
Lifecycle& Lifecycle::operator=(Lifecycle&&) noexcept = default;
Lifecycle::~Lifecycle() = default;

namespace {

/// Several copies may be started together: one makes the region, the others open what it made.
Status make_embedded(const std::string& path, const shm::RegionSchema& schema, std::uint64_t size) {
  if (size == 0) {
    const auto needed = shm::Region::size_needed(schema);
    if (!needed) { return needed.error(); }
    size = needed.value();
  }
  const auto created = shm::Region::create_new(path, size, schema);
  if (!created && created.error().code != Errc::Refused) { return created.error(); }
  return {};
}

/// The region of an application that runs alone: the one that is there, or a new one.
Status prepare_embedded(const std::string& path, const Embedded& embedded) {
  const shm::RegionSchema schema{{embedded.store}};
  if (shm::Region::inspect(path) == shm::RegionState::Absent) {
    if (auto made = make_embedded(path, schema, embedded.size_bytes); !made) { return made; }
  }
  const auto region = shm::Region::open(path, shm::Access::ReadOnly);
  if (!region) { return region.error(); }
  const auto found = region.value().schema();
  if (std::none_of(found.stores.begin(), found.stores.end(), [&](const auto& s) { return s == embedded.store; })) {
    return failure(
        "the region " + path + " has no store \"" + embedded.store.name +
            "\" with the tables of this version; give another path, or remove the file and with it what it holds",
        Errc::BadInput);
  }
  return {};
}

}  // namespace

Result<Lifecycle> Lifecycle::from_environment(const Embedded& embedded) {
  auto impl = std::make_unique<Impl>();
  impl->agent_path = variable("UNDERSTUDY_AGENT").value_or("");
  impl->store = variable("UNDERSTUDY_STORE").value_or(embedded.store.name);
  impl->built_for = embedded.store;
  impl->region_path = variable("UNDERSTUDY_REGION").value_or("");
  if (impl->agent_path.empty()) {
    if (impl->region_path.empty()) { impl->region_path = embedded.region_path; }
    if (impl->region_path.empty()) { return failure("without an agent the region needs a path", Errc::BadInput); }
    auto own = embedded;
    own.store.name = impl->store;
    if (auto prepared = prepare_embedded(impl->region_path, own); !prepared) { return prepared.error(); }
  } else {
    if (impl->agent_path.size() >= sizeof(sockaddr_un::sun_path)) {
      return failure("UNDERSTUDY_AGENT is longer than a Unix socket's path may be", Errc::BadInput);
    }
    if (impl->region_path.empty()) { return failure("UNDERSTUDY_REGION is not set", Errc::BadInput); }
    const auto bytes = bytes_variable("UNDERSTUDY_REGION_BYTES");
    if (!bytes) { return bytes.error(); }
    impl->region_bytes = bytes.value();
    if (variable("UNDERSTUDY_REGION_OFFSET")) {
      const auto offset = bytes_variable("UNDERSTUDY_REGION_OFFSET");
      if (!offset) { return offset.error(); }
      impl->region_offset = offset.value();
    }
  }
  if (auto opened = impl->open_descriptors(); !opened) { return opened.error(); }
  if (!impl->agent_path.empty()) { impl->connect(); }
  return Lifecycle(std::move(impl));
}

void Lifecycle::set_callbacks(Callbacks callbacks) {
  impl_->callbacks = std::move(callbacks);
  if (impl_->wakeup && impl_->callbacks.on_activate) { ::eventfd_write(impl_->wakeup.get(), 1); }
}

int Lifecycle::fd() const { return impl_->epoll.get(); }

void Lifecycle::dispatch() {
  std::array<epoll_event, 4> events{};
  const int count = ::epoll_wait(impl_->epoll.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    const int ready_fd = event.data.fd;
    if (impl_->wakeup && ready_fd == impl_->wakeup.get()) {
      if (!impl_->callbacks.on_activate) {  // kept for the callback that may come yet
        eventfd_t quiet = 0;
        ::eventfd_read(impl_->wakeup.get(), &quiet);
        continue;
      }
      impl_->wakeup.reset();
      const auto store = open_store(shm::Access::ReadOnly);
      const Term own = store ? std::max(Term{1}, store.value().term()) : Term{1};
      impl_->activate({OrderKind::Activate, own, 0});
    } else if (impl_->reconnect && ready_fd == impl_->reconnect.get()) {
      std::uint64_t expirations = 0;
      if (::read(impl_->reconnect.get(), &expirations, sizeof(expirations)) > 0 && !impl_->socket) { impl_->connect(); }
    } else if (impl_->socket && ready_fd == impl_->socket.get()) {
      if ((event.events & EPOLLOUT) != 0) { impl_->flush(); }
      if (impl_->socket && (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) { impl_->receive(); }
    }
  }
}

Duty Lifecycle::duty() const { return impl_->status.duty; }
Term Lifecycle::term() const { return impl_->status.term; }
bool Lifecycle::has_agent() const { return !impl_->agent_path.empty(); }
bool Lifecycle::connected() const { return static_cast<bool>(impl_->socket); }

void Lifecycle::needs_quiescing() {
  impl_->status.needs_quiescing = true;
  impl_->tell();
}

void Lifecycle::ready() {
  impl_->status.ready = true;
  impl_->tell();
}

void Lifecycle::active(Term term) {
  impl_->become(Duty::Active);
  impl_->status.term = std::max(term, impl_->status.term);
  impl_->status.ready = true;
  impl_->tell();
}

void Lifecycle::quiesced() {
  if (impl_->status.duty != Duty::Quiescing) { return; }
  impl_->status.quiesced = true;
  impl_->tell();
}

void Lifecycle::lost_writer(const std::string& reason) {
  impl_->become(Duty::StandingBy);
  impl_->status.reason = reason;
  impl_->tell();
}

void Lifecycle::failed(const std::string& reason) { impl_->refuse(reason); }

void Lifecycle::unfit(const std::string& reason) {
  impl_->status.unfit = reason.empty() ? "no reason given" : reason;
  impl_->tell();
}

void Lifecycle::fit() {
  impl_->status.unfit.clear();
  impl_->tell();
}

const std::string& Lifecycle::region_path() const { return impl_->region_path; }
const std::string& Lifecycle::store_name() const { return impl_->store; }

Result<shm::Store> Lifecycle::open_store(shm::Access access) const {
  const auto bytes = impl_->region_bytes == 0 ? std::nullopt : std::optional(impl_->region_bytes);
  const auto region = shm::Region::open(impl_->region_path, access, bytes, impl_->region_offset);
  if (!region) { return region.error(); }
  auto store = region.value().store(impl_->store);
  if (!store || impl_->built_for.tables.empty()) { return store; }
  auto fits = check_store_fits(impl_->built_for, store.value().schema(), impl_->region_path);
  if (!fits) { return fits.error(); }
  return store;
}

}  // namespace understudy::app
