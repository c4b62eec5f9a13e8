// SPDX-License-Identifier: Apache-2.0
#include "tls_examine.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "tls_session.hpp"
#include "understudy/common/config_checks.hpp"
#include "understudy/link/pki.hpp"

namespace understudy::link {
namespace {

using Deadline = std::chrono::steady_clock::time_point;
constexpr const char* not_there = "is it running there?";

/// A connected socket with a deadline for all that is read.
class Probe {
 public:
  Probe() = default;
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe() {
    if (fd_ >= 0) { close(fd_); }
  }

  bool connect_to(const std::string& text, std::chrono::milliseconds limit) {
    deadline_ = std::chrono::steady_clock::now() + limit;
    const auto endpoint = parse_endpoint(text);
    if (!endpoint) { return false; }
    sockaddr_storage storage{};
    socklen_t size = 0;
    if (endpoint->address.is_v4()) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
      v4.sin_family = AF_INET;
      v4.sin_port = htons(endpoint->port);
      std::memcpy(&v4.sin_addr, endpoint->address.bytes.data(), sizeof v4.sin_addr);
      size = sizeof v4;
    } else {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(endpoint->port);
      std::memcpy(&v6.sin6_addr, endpoint->address.bytes.data(), sizeof v6.sin6_addr);
      size = sizeof v6;
    }
    fd_ = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) { return false; }
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&storage), size) == 0) { return true; }
    if (errno != EINPROGRESS || !wait(POLLOUT)) { return false; }
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
  }

  void send(const std::vector<std::byte>& bytes) const {
    if (!bytes.empty()) { (void)::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  }
  /// Empty: the end, or nothing in time.
  std::vector<std::byte> receive() {
    std::vector<std::byte> bytes(16 * 1024);
    const auto got = wait(POLLIN) ? recv(fd_, bytes.data(), bytes.size(), 0) : -1;
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }

 private:
  bool wait(short what) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now()).count();
    pollfd one{fd_, what, 0};
    return left > 0 && poll(&one, 1, static_cast<int>(left)) == 1;
  }
  int fd_ = -1;
  Deadline deadline_;
};

Result<std::unique_ptr<tls::Session>> open_client(const tls::Credentials& credentials) {
  auto session = tls::Session::open(tls::End::Client, credentials, {.protocol = "h2"});  // as gRPC wants it
  if (!session) { return session.error(); }
  if (const auto begun = session.value()->begin(); !begun) { return begun.error(); }
  return session;
}

/// A plain side looks whether the other one answers to TLS. For its first word it must be somebody: made up on the
/// spot.
std::string examine_plain(Probe& probe) {
  constexpr std::byte handshake{22};  // RFC 8446 section 5.1
  const auto validity = tls::valid_for(1, time(nullptr));
  const auto ca = tls::make_ca("nobody", validity);
  if (!ca) { return not_there; }
  const auto own = tls::issue(ca.value(), {tls::Kind::Viewer, "nobody", "nobody", ""}, validity);
  if (!own) { return not_there; }
  const auto session = open_client({ca->certificate, own->certificate, own->key});
  if (!session) { return not_there; }
  probe.send(session.value()->take_output());
  const auto answer = probe.receive();
  if (answer.empty() || answer.front() != handshake) { return not_there; }
  return "it speaks TLS and this side plain text: give ca, certificate and key instead of plain text";
}

std::string examine_tls(Probe& probe, const tls::CredentialFiles& files) {
  const auto credentials = tls::read_credentials(files);
  if (!credentials) { return credentials.error().message; }
  const auto session = open_client(credentials.value());
  if (!session) { return session.error().message; }
  auto& end = *session.value();
  std::array<std::byte, 1024> room{};
  while (true) {
    probe.send(end.take_output());
    const auto bytes = probe.receive();
    if (bytes.empty()) {
      // gRPC sends no alert: what it thinks of a certificate shows by its leaving (TLS 1.3 checks the client's last).
      if (!end.established()) { return "it ends the TLS handshake: is it set to plain_text, or does it stop?"; }
      return "it refuses our certificate: it trusts another CA, or takes it for expired; its log says which";
    }
    end.feed(bytes);
    const auto got = end.read(room);
    if (!got) { return got.error().message; }
    if (end.established() && end.peer().identity->kind != tls::Kind::ControlServer) {
      return "its certificate is that of " + describe(*end.peer().identity) + ", not of a control-server";
    }
    if (got.value() > 0 || end.ended()) { return "its TLS is in order, and it does not answer"; }
  }
}

}  // namespace

std::string examine_wire(const std::string& address, const tls::Wire& wire, std::chrono::milliseconds limit) {
  Probe probe;
  if (!probe.connect_to(address, limit)) { return not_there; }
  return wire.plain_text ? examine_plain(probe) : examine_tls(probe, wire.files);
}

}  // namespace understudy::link
