// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/interfaces.hpp"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "attributes.hpp"
#include "links_impl.hpp"

namespace understudy::net {
namespace {

bool is_name(const std::string& name) { return !name.empty() && name.size() < IFNAMSIZ; }
Error bad_name(const std::string& name) {
  return failure("\"" + name + "\" is not the name of an interface", Errc::BadInput);
}
std::optional<LinkState> decode_link(const nlmsghdr* message) {
  if (message->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(message) < sizeof(ifinfomsg)) { return {}; }
  const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  const auto attributes = Attributes::of_message(message, sizeof(ifinfomsg));
  LinkState link;
  link.index = info->ifi_index;
  if (const char* name = attributes.text(IFLA_IFNAME)) { link.name = name; }
  if (const char* kind = attributes.nested(IFLA_LINKINFO).text(IFLA_INFO_KIND)) { link.kind = kind; }
  link.mac.bytes = attributes.get<std::array<std::uint8_t, 6>>(IFLA_ADDRESS).value_or(link.mac.bytes);
  link.up = (info->ifi_flags & IFF_UP) != 0;
  link.running = (info->ifi_flags & IFF_RUNNING) != 0;
  link.carrier = attributes.get<std::uint8_t>(IFLA_CARRIER).value_or(0) != 0;
  link.master_index = attributes.get<std::int32_t>(IFLA_MASTER).value_or(0);
  return link;
}

Status make_persistent_tap(const std::string& name, std::optional<unsigned> owner_uid) {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) { return netlink_failure("cannot open /dev/net/tun", errno); }
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
  Status made;
  if (::ioctl(fd, TUNSETIFF, &request) != 0) {
    made = netlink_failure("cannot make tap " + name, errno == EBUSY ? EEXIST : errno);
  } else if (owner_uid && ::ioctl(fd, TUNSETOWNER, *owner_uid) != 0) {
    made = netlink_failure("cannot give tap " + name + " to its owner", errno);
  } else if (::ioctl(fd, TUNSETPERSIST, 1) != 0) {
    made = netlink_failure("cannot make tap " + name + " persistent", errno);
  }
  ::close(fd);
  return made;
}

}  // namespace

Links::Links(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Links::Links(Links&&) noexcept = default;
Links& Links::operator=(Links&&) noexcept = default;
Links::~Links() = default;

Result<Links> Links::open() {
  auto home = NamespaceHandle::current();
  if (!home) { return home.error(); }
  auto socket = NetlinkSocket::open(NETLINK_ROUTE);
  if (!socket) { return socket.error(); }
  return Links(std::make_unique<Impl>(Impl{std::move(home).value(), std::move(socket).value()}));
}

Result<LinkState> Links::state(const std::string& name) {
  if (!is_name(name)) { return bad_name(name); }
  LinkRequest request;
  request.header<ifinfomsg>(RTM_GETLINK);
  mnl_attr_put_strz(request.message, IFLA_IFNAME, name.c_str());
  std::optional<LinkState> link;
  const auto answer =
      impl_->socket.talk(request.message, [&](const nlmsghdr* message) { link = decode_link(message); });
  if (!answer) { return answer.error(); }
  if (answer.value() != 0) { return netlink_failure("interface " + name, answer.value()); }
  if (!link) { return failure("the kernel answered nothing about interface " + name, Errc::Damaged); }
  return *link;
}

Result<int> Links::index_of(const std::string& name) {
  const auto link = state(name);
  if (!link) { return link.error(); }
  return link.value().index;
}

Result<std::vector<LinkState>> Links::list() {
  LinkRequest request;
  request.header<ifinfomsg>(RTM_GETLINK);
  std::vector<LinkState> links;
  const auto dumped = impl_->socket.dump(request.message, [&](const nlmsghdr* message) {
    if (auto link = decode_link(message)) { links.push_back(std::move(*link)); }
  });
  if (!dumped) { return dumped.error(); }
  return links;
}

Status Links::create_bridge(const std::string& name) {
  if (!is_name(name)) { return bad_name(name); }
  LinkRequest request;
  request.header<ifinfomsg>(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  mnl_attr_put_strz(request.message, IFLA_IFNAME, name.c_str());
  nlattr* const info = mnl_attr_nest_start(request.message, IFLA_LINKINFO);
  mnl_attr_put_strz(request.message, IFLA_INFO_KIND, "bridge");
  nlattr* const data = mnl_attr_nest_start(request.message, IFLA_INFO_DATA);
  mnl_attr_put_u32(request.message, IFLA_BR_STP_STATE, 0);
  mnl_attr_put_u32(request.message, IFLA_BR_FORWARD_DELAY, 0);
  mnl_attr_put_u8(request.message, IFLA_BR_MCAST_SNOOPING, 0);
  mnl_attr_nest_end(request.message, data);
  mnl_attr_nest_end(request.message, info);
  if (const auto made = impl_->talk(request, "cannot make bridge " + name); !made) { return made; }
  const auto scope = impl_->home.enter();
  if (!scope) { return scope.error(); }
  return keep_bridged_frames_out_of_ip_filters();
}

Status Links::create_veth(const std::string& name, const std::string& peer) {
  if (!is_name(name) || !is_name(peer)) { return bad_name(is_name(name) ? peer : name); }
  LinkRequest request;
  request.header<ifinfomsg>(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  mnl_attr_put_strz(request.message, IFLA_IFNAME, name.c_str());
  nlattr* const info = mnl_attr_nest_start(request.message, IFLA_LINKINFO);
  mnl_attr_put_strz(request.message, IFLA_INFO_KIND, "veth");
  nlattr* const data = mnl_attr_nest_start(request.message, IFLA_INFO_DATA);
  nlattr* const other = mnl_attr_nest_start(request.message, VETH_INFO_PEER);
  mnl_nlmsg_put_extra_header(request.message, sizeof(ifinfomsg));
  mnl_attr_put_strz(request.message, IFLA_IFNAME, peer.c_str());
  mnl_attr_nest_end(request.message, other);
  mnl_attr_nest_end(request.message, data);
  mnl_attr_nest_end(request.message, info);
  return impl_->talk(request, "cannot make veth pair " + name + ", " + peer);
}

Status Links::create_tap(const std::string& name, std::optional<unsigned> owner_uid) {
  if (!is_name(name)) { return bad_name(name); }
  const auto scope = impl_->home.enter();  // a tap is made in the namespace of the thread
  if (!scope) { return scope.error(); }
  return make_persistent_tap(name, owner_uid);
}

Status Links::delete_link(const std::string& name) {
  if (!is_name(name)) { return bad_name(name); }
  LinkRequest request;
  request.header<ifinfomsg>(RTM_DELLINK);
  mnl_attr_put_strz(request.message, IFLA_IFNAME, name.c_str());
  return impl_->talk(request, "cannot delete interface " + name);
}

Status Links::set_master(const std::string& name, const std::string& bridge) {
  if (!is_name(name)) { return bad_name(name); }
  const auto master = index_of(bridge);
  if (!master) { return master.error(); }
  LinkRequest request;
  Impl::change(request, name);
  mnl_attr_put_u32(request.message, IFLA_MASTER, static_cast<std::uint32_t>(master.value()));
  return impl_->talk(request, "cannot put " + name + " into " + bridge);
}

Status Links::clear_master(const std::string& name) {
  if (!is_name(name)) { return bad_name(name); }
  LinkRequest request;
  Impl::change(request, name);
  mnl_attr_put_u32(request.message, IFLA_MASTER, 0);
  return impl_->talk(request, "cannot take " + name + " out of its bridge");
}

Status Links::set_mac(const std::string& name, const MacAddress& mac) {
  if (!is_name(name)) { return bad_name(name); }
  LinkRequest request;
  Impl::change(request, name);
  mnl_attr_put(request.message, IFLA_ADDRESS, mac.bytes.size(), mac.bytes.data());
  return impl_->talk(request, "cannot set the MAC of " + name + " to " + mac.to_string());
}

Status Links::set_up(const std::string& name, bool up) {
  if (!is_name(name)) { return bad_name(name); }
  LinkRequest request;
  auto* info = Impl::change(request, name);
  info->ifi_flags = up ? static_cast<unsigned>(IFF_UP) : 0U;
  info->ifi_change = IFF_UP;
  return impl_->talk(request, "cannot set " + name + (up ? " up" : " down"));
}

Status Links::rename(const std::string& name, const std::string& new_name) {
  if (!is_name(new_name)) { return bad_name(new_name); }
  const auto index = index_of(name);
  if (!index) { return index.error(); }
  LinkRequest request;
  request.header<ifinfomsg>(RTM_NEWLINK)->ifi_index = index.value();
  mnl_attr_put_strz(request.message, IFLA_IFNAME, new_name.c_str());
  return impl_->talk(request, "cannot rename " + name + " to " + new_name);
}

Status Links::move_to_namespace(const std::string& name, const std::string& namespace_path) {
  if (!is_name(name)) { return bad_name(name); }
  const int target = ::open(namespace_path.c_str(), O_RDONLY | O_CLOEXEC);
  if (target < 0) { return netlink_failure("cannot open network namespace " + namespace_path, errno); }
  LinkRequest request;
  Impl::change(request, name);
  mnl_attr_put_u32(request.message, IFLA_NET_NS_FD, static_cast<std::uint32_t>(target));
  const auto moved = impl_->talk(request, "cannot move " + name + " to " + namespace_path);
  ::close(target);
  return moved;
}

Status Links::set_quiet(const std::string& name) {
  if (!is_name(name)) { return bad_name(name); }
  LinkRequest request;
  Impl::change(request, name);
  nlattr* const families = mnl_attr_nest_start(request.message, IFLA_AF_SPEC);
  nlattr* const inet6 = mnl_attr_nest_start(request.message, AF_INET6);
  mnl_attr_put_u8(request.message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  mnl_attr_nest_end(request.message, inet6);
  mnl_attr_nest_end(request.message, families);
  if (const auto set = impl_->talk(request, "cannot set addrgenmode none on " + name); !set) { return set; }
  for (const char* knob : {"accept_ra", "accept_dad", "dad_transmits", "router_solicitations"}) {
    if (const auto set = impl_->sysctl("net/ipv6/conf/" + name + "/" + knob, "0"); !set) { return set; }
  }
  return {};
}

}  // namespace understudy::net
