// SPDX-License-Identifier: Apache-2.0
#include "netlink.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "attributes.hpp"

namespace understudy::net {
namespace {
constexpr std::size_t receive_bytes = 256 * 1024;
constexpr int dump_tries_max = 10;
constexpr int request_buffer_bytes = 2 * 1024 * 1024;

int error_of(const nlmsghdr* message) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(std::int32_t)) { return EBADMSG; }
  std::int32_t code = 0;
  std::memcpy(&code, mnl_nlmsg_get_payload(message), sizeof code);
  return -code;
}
}  // namespace

Error netlink_failure(const std::string& what, int error_number) {
  Errc code = Errc::Failed;
  if (error_number == ENOENT || error_number == ESRCH || error_number == ENODEV) { code = Errc::NotFound; }
  if (error_number == EEXIST) { code = Errc::Refused; }
  return failure(what + ": " + std::strerror(error_number), code);
}

NetlinkSocket::NetlinkSocket(mnl_socket* socket) : socket_(socket), buffer_(receive_bytes) {}

Result<NetlinkSocket> NetlinkSocket::open(int bus) {
  mnl_socket* const raw = mnl_socket_open2(bus, SOCK_CLOEXEC);
  if (raw == nullptr) { return netlink_failure("cannot open a netlink socket", errno); }
  NetlinkSocket socket(raw);
  if (mnl_socket_bind(raw, 0, MNL_SOCKET_AUTOPID) < 0) {
    return netlink_failure("cannot bind a netlink socket", errno);
  }
  int on = 1;
  // Refusals come back without the refused message: a whole batch of them then fits the receive buffer for sure.
  (void)mnl_socket_setsockopt(raw, NETLINK_CAP_ACK, &on, sizeof on);
  if (const auto set = socket.set_receive_buffer(request_buffer_bytes); !set) { return set.error(); }
  return socket;
}

Status NetlinkSocket::set_receive_buffer(int bytes) {
  if (::setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0) { return {}; }
  if (::setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0) { return {}; }
  return netlink_failure("cannot set a netlink receive buffer of " + std::to_string(bytes) + " bytes", errno);
}

Status NetlinkSocket::listen(const std::vector<int>& groups, int buffer_bytes) {
  if (const auto set = set_receive_buffer(buffer_bytes); !set) { return set.error(); }
  for (int group : groups) {
    if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0) {
      return netlink_failure("cannot join netlink group " + std::to_string(group), errno);
    }
  }
  return {};
}

Result<int> NetlinkSocket::talk(nlmsghdr* message) { return talk(message, {}); }

Result<int> NetlinkSocket::talk(nlmsghdr* message, const std::function<void(const nlmsghdr*)>& visit) {
  message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
  message->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), message, message->nlmsg_len) < 0) {
    return netlink_failure("cannot send a netlink request", errno);
  }
  for (;;) {  // bounded by the kernel: it answered before sendto returned
    const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
    if (got < 0 && errno == EINTR) { continue; }
    if (got < 0) { return netlink_failure("cannot read a netlink answer", errno); }
    int left = static_cast<int>(got);
    const auto* at = reinterpret_cast<const nlmsghdr*>(buffer_.data());
    for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left)) {
      if (at->nlmsg_seq != sequence_) { continue; }
      if (at->nlmsg_type == NLMSG_ERROR) { return error_of(at); }
      if (visit) { visit(at); }
    }
  }
}

Result<std::uint32_t> NetlinkSocket::put_marker() {
  alignas(nlmsghdr) char memory[NLMSG_HDRLEN] = {};
  nlmsghdr* const nothing = mnl_nlmsg_put_header(memory);
  nothing->nlmsg_type = NLMSG_NOOP;
  nothing->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  nothing->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), nothing, nothing->nlmsg_len) < 0) {
    return netlink_failure("cannot send a netlink marker", errno);
  }
  return sequence_;
}

Status NetlinkSocket::dump(nlmsghdr* message, const std::function<void(const nlmsghdr*)>& visit) {
  message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
  for (int tries = 0; tries < dump_tries_max; ++tries) {
    message->nlmsg_seq = ++sequence_;
    if (mnl_socket_sendto(socket_.get(), message, message->nlmsg_len) < 0) {
      return netlink_failure("cannot send a netlink dump request", errno);
    }
    bool interrupted = false;
    bool done = false;
    while (!done) {
      const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
      if (got < 0 && errno == EINTR) { continue; }
      if (got < 0) { return netlink_failure("cannot read a netlink dump", errno); }
      int left = static_cast<int>(got);
      const auto* at = reinterpret_cast<const nlmsghdr*>(buffer_.data());
      for (; mnl_nlmsg_ok(at, left) && !done; at = mnl_nlmsg_next(at, &left)) {
        if (at->nlmsg_seq != sequence_) { continue; }
        interrupted |= (at->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (at->nlmsg_type == NLMSG_DONE) {
          done = true;
        } else if (at->nlmsg_type == NLMSG_ERROR) {
          return netlink_failure("the kernel refused a netlink dump", error_of(at));
        } else {
          visit(at);
        }
      }
    }
    if (!interrupted) { return {}; }  // an interrupted dump may have missed entries: once more
  }
  return failure("a netlink dump was interrupted " + std::to_string(dump_tries_max) + " times");
}

NetlinkBatch::NetlinkBatch(NetlinkSocket& socket) : socket_(socket), bytes_(messages_max * message_bytes_max) {}

char* NetlinkBatch::next() {
  UNDERSTUDY_ASSERT(!full());
  return bytes_.data() + used_bytes_;
}

void NetlinkBatch::add(nlmsghdr* message) {
  UNDERSTUDY_ASSERT(reinterpret_cast<char*>(message) == next() && message->nlmsg_len <= message_bytes_max);
  message->nlmsg_flags |= NLM_F_REQUEST;
  message->nlmsg_seq = ++socket_.sequence_;
  used_bytes_ += netlink_aligned(message->nlmsg_len);
  last_ = message;
  ++count_;
}

Status NetlinkBatch::send(const std::function<void(std::size_t, int)>& refused,
                          const std::function<void(std::size_t, const nlmsghdr*)>& answer) {
  if (count_ == 0) { return {}; }
  last_->nlmsg_flags |= NLM_F_ACK;
  const std::uint32_t last = last_->nlmsg_seq;
  const std::size_t count = count_;
  const ssize_t sent = mnl_socket_sendto(socket_.socket_.get(), bytes_.data(), used_bytes_);
  const int send_errno = errno;
  used_bytes_ = 0;
  count_ = 0;
  if (sent < 0) { return netlink_failure("cannot send " + std::to_string(count) + " netlink messages", send_errno); }
  const std::uint32_t first = last - static_cast<std::uint32_t>(count) + 1;
  for (;;) {
    const ssize_t got = mnl_socket_recvfrom(socket_.socket_.get(), socket_.buffer_.data(), socket_.buffer_.size());
    if (got < 0 && errno == EINTR) { continue; }
    if (got < 0) { return netlink_failure("cannot read netlink answers", errno); }
    int left = static_cast<int>(got);
    const auto* at = reinterpret_cast<const nlmsghdr*>(socket_.buffer_.data());
    for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left)) {
      const std::uint32_t index = at->nlmsg_seq - first;
      if (index >= count) { continue; }
      if (at->nlmsg_type != NLMSG_ERROR) {
        if (answer) { answer(index, at); }
        continue;
      }
      if (const int error = error_of(at); error != 0) { refused(index, error); }
      if (at->nlmsg_seq == last) { return {}; }
    }
  }
}

}  // namespace understudy::net
