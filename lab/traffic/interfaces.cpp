// SPDX-License-Identifier: Apache-2.0
#include "interfaces.hpp"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <memory>
#include <optional>
#include <system_error>

namespace lab {
namespace {

struct Seen {
  std::string name;
  int master = 0;
};

int read_attribute(const nlattr* attribute, void* into) {
  auto& seen = *static_cast<Seen*>(into);
  const int type = mnl_attr_get_type(attribute);
  if (type == IFLA_IFNAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
    seen.name = mnl_attr_get_str(attribute);
  if (type == IFLA_MASTER && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
    seen.master = static_cast<int>(mnl_attr_get_u32(attribute));
  return MNL_CB_OK;
}

int read_link(const nlmsghdr* message, void* into) {
  if (message->nlmsg_type != RTM_NEWLINK) return MNL_CB_OK;
  const auto* link = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  Seen seen;
  mnl_attr_parse(message, sizeof *link, read_attribute, &seen);
  (*static_cast<std::map<int, Seen>*>(into))[link->ifi_index] = seen;
  return MNL_CB_OK;
}

struct CloseSocket {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};

/// Nothing: the list changed while it was told (NLM_F_DUMP_INTR), so it is not a consistent one.
std::optional<std::map<int, Seen>> try_dump_links(mnl_socket* socket, unsigned sequence) {
  alignas(nlmsghdr) char buffer[32768];
  nlmsghdr* request = mnl_nlmsg_put_header(buffer);
  request->nlmsg_type = RTM_GETLINK;
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request->nlmsg_seq = sequence;
  mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg));
  checked(static_cast<int>(mnl_socket_sendto(socket, request, request->nlmsg_len)), "rtnetlink");
  std::map<int, Seen> links;
  for (int more = 1; more > 0;) {
    const ssize_t got = mnl_socket_recvfrom(socket, buffer, sizeof buffer);
    checked(static_cast<int>(got), "rtnetlink");
    more =
        mnl_cb_run(buffer, static_cast<std::size_t>(got), sequence, mnl_socket_get_portid(socket), read_link, &links);
    if (more < 0 && errno == EINTR) return std::nullopt;
    checked(more, "rtnetlink");
  }
  return links;
}

std::map<int, Seen> dump_links() {
  constexpr unsigned tries_max = 50;
  for (unsigned sequence = 1; sequence <= tries_max; ++sequence) {
    // A fresh socket each time: what is left of an interrupted dump goes with the old one.
    const std::unique_ptr<mnl_socket, CloseSocket> socket(mnl_socket_open(NETLINK_ROUTE));
    if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) checked(-1, "rtnetlink");
    if (auto links = try_dump_links(socket.get(), sequence)) return *std::move(links);
  }
  errno = EINTR;
  checked(-1, "rtnetlink: the interfaces change without end");
  return {};
}

}  // namespace

Interfaces::Interfaces()
    : changes_(checked(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), "rtnetlink")) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  checked(bind(changes_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "rtnetlink groups");
  load();
}

void Interfaces::load() {
  // Interfaces that are gone stay known: frames of theirs may still be in the queue. Indexes are not used again soon.
  const auto links = dump_links();
  for (const auto& [index, seen] : links) {
    const auto master = links.find(seen.master);
    known_[index] = {seen.name, master == links.end() ? std::string() : master->second.name};
  }
}

void Interfaces::read_changes() {
  char buffer[32768];
  bool changed = false;
  while (true) {
    const ssize_t got = recv(changes_.get(), buffer, sizeof buffer, 0);
    if (got > 0 || (got < 0 && errno == ENOBUFS)) {
      changed = true;
      continue;
    }
    break;
  }
  if (changed) load();
}

const Interface* Interfaces::find(int index) const {
  const auto found = known_.find(index);
  return found == known_.end() ? nullptr : &found->second;
}

}  // namespace lab
