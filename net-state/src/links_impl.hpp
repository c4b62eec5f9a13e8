// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the two halves of Links share: links themselves (interfaces.cpp), addresses and routes (addresses.cpp).

#include <linux/rtnetlink.h>

#include <string>

#include "netlink.hpp"
#include "understudy/net/interfaces.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy::net {

inline constexpr std::size_t link_message_bytes = 2048;

struct LinkRequest {
  alignas(nlmsghdr) char memory[link_message_bytes] = {};
  nlmsghdr* message = mnl_nlmsg_put_header(memory);

  template <class Header>
  Header* header(std::uint16_t type, std::uint16_t flags = 0) {
    message->nlmsg_type = type;
    message->nlmsg_flags = flags;
    return static_cast<Header*>(mnl_nlmsg_put_extra_header(message, sizeof(Header)));
  }
};

struct Links::Impl {
  NamespaceHandle home;
  NetlinkSocket socket;

  Status talk(LinkRequest& request, const std::string& what) {
    const auto answer = socket.talk(request.message);
    if (!answer) { return answer.error(); }
    if (answer.value() != 0) { return netlink_failure(what, answer.value()); }
    return {};
  }
  /// A message that changes one existing link; the caller adds its attributes.
  static ifinfomsg* change(LinkRequest& request, const std::string& name) {
    auto* info = request.header<ifinfomsg>(RTM_NEWLINK);
    info->ifi_family = AF_UNSPEC;
    mnl_attr_put_strz(request.message, IFLA_IFNAME, name.c_str());
    return info;
  }
  Status sysctl(const std::string& name, const std::string& value) {
    const auto scope = home.enter();
    return scope ? set_sysctl(name, value) : Status(scope.error());
  }
};

}  // namespace understudy::net
