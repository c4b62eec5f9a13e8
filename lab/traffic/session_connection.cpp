// SPDX-License-Identifier: Apache-2.0
#include "session_connection.hpp"

#include <poll.h>

#include <algorithm>
#include <stdexcept>
#include <system_error>

#include "clocks.hpp"

namespace lab {
namespace {
constexpr int udp_retry_ms = 100;
constexpr int tcp_silence_ms = 1000;  // then the connection is given up: its place may be gone without a word
constexpr double tcp_connect_s = 0.3;
constexpr std::size_t most_line_bytes = 16384;
}  // namespace

void SessionConnection::open() {
  received_.clear();
  if (is_tcp_) {
    socket_ = connect_tcp(server_, tcp_connect_s, 5);
  } else {
    socket_ = Descriptor(checked(::socket(server_.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    checked(connect(socket_.get(), server_.get(), server_.length), "connect to " + to_text(server_));
  }
  ++connections_;
}

/// False: not sent, try again after a moment.
bool SessionConnection::try_once(const std::string& line) {
  try {
    if (!socket_.is_open()) open();
    send_all(socket_.get(), line);
    return true;
  } catch (const std::system_error&) {
    if (is_tcp_) socket_.close();
    return false;
  }
}

bool SessionConnection::read_reply_to(const std::string& client, std::uint64_t number, int wait_ms,
                                      SessionReply& reply) {
  const std::int64_t until = now_ns(CLOCK_MONOTONIC) + std::int64_t{wait_ms} * 1'000'000;
  char buffer[most_line_bytes];
  for (std::int64_t left_ns = 0; (left_ns = until - now_ns(CLOCK_MONOTONIC)) > 0;) {
    pollfd ready{socket_.get(), POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(left_ns / 1'000'000) + 1) <= 0) continue;
    const ssize_t got = recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got <= 0) {
      if (!is_tcp_) continue;  // an ICMP error while the role changes places
      socket_.close();
      return false;
    }
    received_.append(buffer, static_cast<std::size_t>(got));
    if (!is_tcp_ && received_.back() != '\n') received_ += '\n';
    for (auto end = received_.find('\n'); end != std::string::npos; end = received_.find('\n')) {
      reply = read_reply(received_.substr(0, end));
      received_.erase(0, end + 1);
      // A reply to an earlier try, or a late duplicate, is not for this request.
      if (reply.is_valid && reply.client == client && reply.number == number) return true;
    }
    if (received_.size() > most_line_bytes) socket_.close();
    if (!socket_.is_open()) return false;
  }
  return false;
}

SessionReply SessionConnection::ask(const std::string& client, std::uint64_t number, const std::string& line,
                                    double limit_s) {
  const std::int64_t started = now_ns(CLOCK_MONOTONIC);
  SessionReply reply;
  for (bool first = true; now_ns(CLOCK_MONOTONIC) - started < static_cast<std::int64_t>(limit_s * 1e9); first = false) {
    if (!first) ++retries_;
    if (!try_once(line)) {
      usleep(20'000);
      continue;
    }
    const bool answered = read_reply_to(client, number, is_tcp_ ? tcp_silence_ms : udp_retry_ms, reply);
    if (answered && (reply.is_ok || (reply.words[0] != "not-mirrored" && reply.words[0] != "failed"))) {
      longest_wait_ns_ = std::max(longest_wait_ns_, now_ns(CLOCK_MONOTONIC) - started);
      return reply;
    }
    if (answered) usleep(udp_retry_ms * 1000);
    if (!answered && is_tcp_) socket_.close();
  }
  throw std::runtime_error("no reply to '" + line.substr(0, line.find('\n')).substr(0, 80) + "'");
}

}  // namespace lab
