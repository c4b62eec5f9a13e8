// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Counts what nftables carries out in a network namespace, by the kernel's own word: each transaction makes a new
/// generation, and whoever listens is told of it before the call that made it returns.

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

namespace understudy::test {

class NftTransactions {
 public:
  /// Of the namespace that the thread is in.
  NftTransactions() : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER)) {
    sockaddr_nl all{};
    all.nl_family = AF_NETLINK;
    all.nl_groups = 1U << (NFNLGRP_NFTABLES - 1);
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&all), sizeof all) != 0) {  // NOLINT: sockets API
      throw std::runtime_error("nobody tells of nftables' transactions here");
    }
  }
  NftTransactions(const NftTransactions&) = delete;
  NftTransactions& operator=(const NftTransactions&) = delete;
  ~NftTransactions() { ::close(fd_); }

  /// Since it was asked last.
  int count() {
    int found = 0;
    alignas(nlmsghdr) std::array<char, 65536> buffer{};
    for (;;) {
      const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (got <= 0) { return found; }
      auto left = static_cast<unsigned>(got);
      const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());  // NOLINT: netlink API
      for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
        found += message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) ? 1 : 0;
      }
    }
  }

 private:
  int fd_;
};

}  // namespace understudy::test
