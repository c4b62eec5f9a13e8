// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Plain blocking sockets for the lab's traffic tools. Failures are exceptions (std::system_error): a tool has one
/// catch, in main or at the end of a connection's thread.

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace lab {

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      close();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  ~Descriptor() { close(); }
  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] bool is_open() const { return number_ >= 0; }
  void close() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_;
};

/// Throws with errno when `result` is negative.
int checked(int result, const std::string& what);

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Address parse_address(const std::string& host, std::uint16_t port);
/// "10.23.4.1:80" or "[fd00::1]:80"; a mapped IPv4 address reads as IPv4.
std::string to_text(const Address& address);
Address local_address(int socket);
Address peer_address(int socket);

/// A connected TCP socket; nobody waits longer than `timeout_s` for one send or receive on it.
Descriptor connect_tcp(const Address& to, double connect_timeout_s, double timeout_s);
/// Bound to every address of both families.
Descriptor listen_tcp(std::uint16_t port);
Descriptor bind_udp(std::uint16_t port);
/// Room for seconds of a probe. The ordinary 277 small datagrams are gone when a busy machine lets the reader wait, and
/// what the measuring lost would look like a loss of what is measured. Needs root.
void hold_seconds(int socket);
void set_timeouts(int socket, double seconds);
void send_all(int socket, std::string_view bytes);
/// What a blocking receive brought; empty at the end of the stream.
std::string_view receive(int socket, char* buffer, std::size_t size);

/// Real-time priority, so that a probe measures the path and not its own turn on the processor; told when refused.
void prefer_real_time();

}  // namespace lab
