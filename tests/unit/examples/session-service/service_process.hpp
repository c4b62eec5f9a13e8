// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The session service as a process of its own, and plain clients for it, over loopback.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "socket.hpp"

namespace session_service {

inline sockaddr_storage address_of(const std::string& host, std::uint16_t port, socklen_t& size) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    size = sizeof(*v4);
  } else {
    EXPECT_EQ(::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr), 1);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    size = sizeof(*v6);
  }
  return storage;
}

/// A client socket that is connected: it takes replies from the address it asked only.
class Client {
 public:
  Client(Transport transport, const std::string& host, std::uint16_t port) : transport_(transport) {
    socklen_t size = 0;
    const auto address = address_of(host, port, size);
    fd_ = Descriptor(
        ::socket(address.ss_family, (transport == Transport::Udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
    connected_ = ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0;
  }
  [[nodiscard]] bool connected() const { return connected_; }
  bool send(const std::string& line) {
    const auto text = transport_ == Transport::Udp ? line : line + "\n";
    return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  /// The next reply without its newline; nothing within the deadline, or the connection has ended.
  std::optional<std::string> receive(std::chrono::milliseconds deadline = std::chrono::seconds(10)) {
    const auto give_up = std::chrono::steady_clock::now() + deadline;
    for (;;) {
      if (const auto end = received_.find('\n'); end != std::string::npos) {
        auto line = received_.substr(0, end);
        received_.erase(0, end + 1);
        return line;
      }
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(give_up - std::chrono::steady_clock::now());
      pollfd polled{fd_.get(), POLLIN, 0};
      if (left.count() <= 0 || ::poll(&polled, 1, static_cast<int>(left.count())) <= 0) { return std::nullopt; }
      std::vector<char> bytes(65536);
      const auto size = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
      if (size <= 0) {
        ended_ = true;
        return std::nullopt;
      }
      received_.append(bytes.data(), static_cast<std::size_t>(size));
    }
  }
  [[nodiscard]] bool ended() const { return ended_; }
  std::string ask(const std::string& line) {
    if (!send(line)) { return "(not sent)"; }
    return receive().value_or("(no reply)");
  }

 private:
  Transport transport_;
  Descriptor fd_;
  bool connected_ = false;
  bool ended_ = false;
  std::string received_;
};

/// A port that nobody uses, UDP and TCP, both families.
/// Below the range that the kernel gives out by itself, so that no other program's ephemeral port takes it between this
/// look and the service's start; spread by process, since tests run side by side.
inline std::uint16_t free_port() {
  constexpr int first = 12000;
  constexpr int count = 18000;
  static int next = static_cast<int>(::getpid()) * 37 % count;
  for (int i = 0; i < 50; ++i) {
    const auto port = static_cast<std::uint16_t>(first + (next = (next + 1) % count));
    const auto udp4 = open_bound(Family::V4, Transport::Udp, port);
    const auto udp6 = open_bound(Family::V6, Transport::Udp, port);
    const auto tcp4 = open_bound(Family::V4, Transport::Tcp, port);
    if (udp4 && udp6 && tcp4 && open_bound(Family::V6, Transport::Tcp, port)) { return port; }
  }
  ADD_FAILURE() << "no free port";
  return 0;
}

class ServiceProcess {
 public:
  ~ServiceProcess() { kill(); }

  void start(std::uint16_t port, const std::string& region, const std::vector<std::string>& more = {}) {
    std::vector<std::string> command{SESSION_SERVICE, "--port", std::to_string(port), "--region", region};
    command.insert(command.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (auto& word : command) { arguments.push_back(word.data()); }
    arguments.push_back(nullptr);
    pid_ = ::fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      for (const auto* name : {"UNDERSTUDY_AGENT", "UNDERSTUDY_REGION", "UNDERSTUDY_STORE"}) { ::unsetenv(name); }
      ::execv(SESSION_SERVICE, arguments.data());
      ::_exit(127);
    }
  }
  void kill(int signal = SIGKILL) {
    if (pid_ <= 0) { return; }
    ::kill(pid_, signal);
    wait();
  }
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
};

/// Asks STATUS over UDP until somebody answers.
inline std::string wait_until_serving(std::uint16_t port) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < give_up) {
    Client client(Transport::Udp, "127.0.0.1", port);
    if (!client.send("1 1 STATUS")) { continue; }
    if (auto reply = client.receive(std::chrono::milliseconds(50))) { return *reply; }
  }
  return "(nobody serves)";
}

}  // namespace session_service
