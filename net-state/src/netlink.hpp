// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One netlink socket and the three ways it is used: a request with its acknowledgement, a dump, and a batch of many
/// messages in one send. The kernel works a send off before sendto() returns, and queues one error message for every
/// message it refuses; the last message of a batch asks for an acknowledgement, which ends the reading.

#include <libmnl/libmnl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "understudy/common/result.hpp"

namespace understudy::net {

/// Errno of a refused request as an Errc that callers react to.
Error netlink_failure(const std::string& what, int error_number);

class NetlinkSocket {
 public:
  /// `bus` is NETLINK_ROUTE or NETLINK_NETFILTER, in the calling thread's namespace.
  static Result<NetlinkSocket> open(int bus);

  /// Joins multicast groups; `buffer_bytes` may be beyond the system's limit (root).
  Status listen(const std::vector<int>& groups, int buffer_bytes);
  Status set_receive_buffer(int bytes);

  /// Sends `message` with NLM_F_ACK and waits for the kernel's answer. Returns 0 or an errno.
  Result<int> talk(nlmsghdr* message);
  /// Like talk, and hands every answer that is not the acknowledgement to `visit`.
  Result<int> talk(nlmsghdr* message, const std::function<void(const nlmsghdr*)>& visit);

  /// Has the kernel put an empty answer behind everything that this socket has been sent already; its number. Lost, as
  /// events are, when the socket's buffer is full: the next read tells ENOBUFS.
  Result<std::uint32_t> put_marker();

  /// NLM_F_DUMP. An interrupted dump (NLM_F_DUMP_INTR) is begun again, a bounded number of times.
  Status dump(nlmsghdr* message, const std::function<void(const nlmsghdr*)>& visit);

  [[nodiscard]] int fd() const { return mnl_socket_get_fd(socket_.get()); }

 private:
  friend class NetlinkBatch;
  struct Close {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };
  explicit NetlinkSocket(mnl_socket* socket);
  std::unique_ptr<mnl_socket, Close> socket_;
  std::vector<char> buffer_;
  std::uint32_t sequence_ = 0;
};

/// Collects messages and sends them together.
class NetlinkBatch {
 public:
  static constexpr std::size_t messages_max = 128;
  explicit NetlinkBatch(NetlinkSocket& socket);

  [[nodiscard]] bool full() const { return count_ == messages_max; }
  [[nodiscard]] std::size_t count() const { return count_; }
  /// Memory for the next message (`message_bytes_max` of it); add() takes what was built there.
  [[nodiscard]] char* next();
  void add(nlmsghdr* message);

  /// `refused(index, errno)` for each refused message, `answer(index, message)` for each other answer. Empties the
  /// batch. Fails only when the socket itself does.
  Status send(const std::function<void(std::size_t, int)>& refused,
              const std::function<void(std::size_t, const nlmsghdr*)>& answer = {});

  static constexpr std::size_t message_bytes_max = 1024;

 private:
  NetlinkSocket& socket_;
  std::vector<char> bytes_;
  std::size_t used_bytes_ = 0;
  std::size_t count_ = 0;
  nlmsghdr* last_ = nullptr;
};

}  // namespace understudy::net
