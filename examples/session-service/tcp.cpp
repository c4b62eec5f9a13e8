// SPDX-License-Identifier: Apache-2.0
#include "tcp.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "request.hpp"

namespace session_service {

namespace {
constexpr int accepts_at_once = 64;
constexpr std::size_t max_unsent_bytes = 1024 * 1024;  ///< a client that asks and never reads is closed
}  // namespace

Descriptor TcpConnections::open_spare() { return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

void TcpConnections::accept(int listener) {
  for (int i = 0; i < accepts_at_once; ++i) {
    Descriptor fd(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd && (errno == EMFILE || errno == ENFILE)) {
      spare_.reset();  // else the waiting connection would wake us again and again
      Descriptor(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)).reset();
      spare_ = open_spare();
      return;
    }
    if (!fd) { return; }
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = next_id_;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd.get(), &event) != 0) { continue; }
    connections_[next_id_++].fd = std::move(fd);
  }
}

void TcpConnections::handle(Id id, std::uint32_t events, const std::function<void(Id, std::string_view)>& on_line) {
  if ((events & EPOLLOUT) != 0) { flush(id); }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) { read(id, on_line); }
}

void TcpConnections::read(Id id, const std::function<void(Id, std::string_view)>& on_line) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) { return; }
  std::array<char, max_line_bytes> bytes;
  const auto size = ::recv(found->second.fd.get(), bytes.data(), bytes.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) { return; }
  if (size <= 0) {
    connections_.erase(found);
    return;
  }
  if (found->second.ending) { return; }  // read and dropped, so that our last reply is not lost to a reset
  found->second.received.append(bytes.data(), static_cast<std::size_t>(size));
  std::string lines = std::move(found->second.received);
  std::size_t begin = 0;
  for (auto end = lines.find('\n'); end != std::string::npos; end = lines.find('\n', begin)) {
    if (end - begin > max_line_bytes) { return too_long(id); }
    on_line(id, std::string_view(lines).substr(begin, end - begin));
    begin = end + 1;
    if (!connections_.contains(id)) { return; }  // a reply found it broken, or the service went back to standing by
  }
  lines.erase(0, begin);
  if (lines.size() > max_line_bytes) { return too_long(id); }  // its end is not even in sight
  connections_[id].received = std::move(lines);
}

void TcpConnections::too_long(Id id) {
  connections_[id].ending = true;
  reply(id, "- 0 ERR bad-request a line has at most " + std::to_string(max_line_bytes) + " bytes");
}

void TcpConnections::reply(Id id, std::string_view line) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) { return; }
  found->second.unsent.append(line).push_back('\n');
  flush(id);
}

void TcpConnections::flush(Id id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) { return; }
  auto& connection = found->second;
  const auto sent = ::send(connection.fd.get(), connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
  const bool broken = sent < 0 && errno != EAGAIN && errno != EINTR;
  if (sent > 0) { connection.unsent.erase(0, static_cast<std::size_t>(sent)); }
  if (broken || connection.unsent.size() > max_unsent_bytes) {
    connections_.erase(found);
    return;
  }
  if (connection.ending && connection.unsent.empty()) { ::shutdown(connection.fd.get(), SHUT_WR); }
  epoll_event event{};
  event.events = connection.unsent.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT;
  event.data.u64 = id;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd.get(), &event);
}

void TcpConnections::close_all() { connections_.clear(); }

}  // namespace session_service
