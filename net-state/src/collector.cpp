// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/collector.hpp"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "attributes.hpp"
#include "netlink.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy::net {
namespace {
constexpr unsigned char address_families[] = {AF_INET, AF_INET6};
constexpr std::size_t event_bytes = 64 * 1024;
constexpr int markers_max = 8;  ///< overruns in a row, each with a buffer twice as large
enum class Read { Something, Nothing, Overrun };
}  // namespace

struct Collector::Impl {
  NamespaceHandle home;
  PortMap ports;
  CollectorOptions options;
  NetlinkSocket route_events;
  NetlinkSocket route_requests;
  std::optional<NetlinkSocket> flow_events;
  std::optional<NetlinkSocket> flow_requests;
  CollectorCounters counters;
  std::vector<char> buffer = std::vector<char>(event_bytes);
  std::uint32_t marker_seen = 0;  ///< number of the last marker that was read
  DumpScope dirty{false, false};  ///< what must be dumped again before the records can be believed

  void on_route(const nlmsghdr* message, ChangeSink& sink);
  void on_link(const nlmsghdr* message);
  void on_message(const nlmsghdr* message, ChangeSink& sink);
  Result<Read> read_events(NetlinkSocket& socket, ChangeSink& sink, std::size_t& budget);
  Status read_to_marker(NetlinkSocket& socket, ChangeSink& sink);
  Status dump_kind(NetlinkSocket& socket, std::uint16_t type, unsigned char family, ChangeSink& sink);
  Status dump(ChangeSink& sink, DumpScope scope);
  Status overrun(NetlinkSocket& socket);
};

void Collector::Impl::on_route(const nlmsghdr* message, ChangeSink& sink) {
  if (const auto change = decode_route(message, ports)) {
    ++counters.changes;
    sink.route(change->key, change->gone ? nullptr : &change->value);
  } else if (message->nlmsg_type == RTM_NEWROUTE && Attributes::of_message(message, sizeof(rtmsg)).has(RTA_MULTIPATH)) {
    ++counters.routes_not_representable;
  }
}

/// With a port the kernel takes its IPv4 routes down without a word, and a port made anew has another index.
void Collector::Impl::on_link(const nlmsghdr* message) {
  const auto attributes = Attributes::of_message(message, sizeof(ifinfomsg));
  const char* const name = attributes.text(IFLA_IFNAME);
  if (name != nullptr && ports.has_interface(name)) { dirty.routes_and_neighbors = true; }
}

void Collector::Impl::on_message(const nlmsghdr* message, ChangeSink& sink) {
  switch (message->nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      on_route(message, sink);
      return;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      if (const auto change = decode_neighbor(message, ports)) {
        ++counters.changes;
        sink.neighbor(change->key, change->gone ? nullptr : &change->value);
      }
      return;
    case NLMSG_ERROR:  // only markers are asked for on the sockets of events
      marker_seen = message->nlmsg_seq;
      return;
    case RTM_NEWLINK:
    case RTM_DELLINK:
      on_link(message);
      return;
    default:
      break;
  }
  if (const auto change = decode_flow(message, options.flows)) {
    ++counters.changes;
    sink.flow(*change);
  }
}

Result<Read> Collector::Impl::read_events(NetlinkSocket& socket, ChangeSink& sink, std::size_t& budget) {
  const ssize_t got = ::recv(socket.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) { return Read::Nothing; }
    if (errno == ENOBUFS) { return Read::Overrun; }
    return netlink_failure("cannot read kernel events", errno);
  }
  int left = static_cast<int>(got);
  const auto* at = reinterpret_cast<const nlmsghdr*>(buffer.data());
  for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left)) {
    on_message(at, sink);
    ++counters.events;
    budget -= budget > 0 ? 1 : 0;
  }
  return Read::Something;
}

/// The kernel has answered before put_marker() returns, so this waits for nobody.
Status Collector::Impl::read_to_marker(NetlinkSocket& socket, ChangeSink& sink) {
  for (int tries = 0; tries < markers_max; ++tries) {
    marker_seen = 0;  // each socket counts its own
    const auto marker = socket.put_marker();
    if (!marker) { return marker.error(); }
    for (;;) {
      auto unbounded = event_bytes;
      const auto read = read_events(socket, sink, unbounded);
      if (!read) { return read.error(); }
      if (marker_seen == *marker) { return {}; }
      if (*read == Read::Overrun) {
        if (const auto noted = overrun(socket); !noted) { return noted; }
      }
      if (*read == Read::Nothing) { break; }  // the marker was lost with what it stood behind
    }
  }
  return failure("the kernel tells events faster than they can be taken", Errc::Expired);
}

Status Collector::Impl::dump_kind(NetlinkSocket& socket, std::uint16_t type, unsigned char family, ChangeSink& sink) {
  alignas(nlmsghdr) char memory[256] = {};
  nlmsghdr* const request = mnl_nlmsg_put_header(memory);
  request->nlmsg_type = type;
  if (type == RTM_GETROUTE) {
    static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(rtmsg)))->rtm_family = family;
  } else if (type == RTM_GETNEIGH) {
    static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ndmsg)))->ndm_family = family;
  } else {
    static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(nfgenmsg)))->nfgen_family = family;
  }
  return socket.dump(request, [&](const nlmsghdr* message) { on_message(message, sink); });
}

Status Collector::Impl::dump(ChangeSink& sink, DumpScope scope) {
  ++counters.dumps;
  {
    const auto scope_of_home = home.enter();  // interface names mean something only there
    if (!scope_of_home) { return scope_of_home.error(); }
    ports.refresh();
  }
  sink.begin_dump(scope);
  if (scope.routes_and_neighbors) {
    for (const unsigned char family : address_families) {
      if (const auto done = dump_kind(route_requests, RTM_GETROUTE, family, sink); !done) { return done; }
      if (const auto done = dump_kind(route_requests, RTM_GETNEIGH, family, sink); !done) { return done; }
    }
    dirty.routes_and_neighbors = false;
  }
  if (scope.flows && flow_requests) {
    constexpr auto get_flows = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET);
    if (const auto done = dump_kind(*flow_requests, get_flows, AF_UNSPEC, sink); !done) { return done; }
    dirty.flows = false;
  }
  sink.end_dump();
  return {};
}

/// Events were lost: note what must be dumped again, and make the next overrun less likely.
Status Collector::Impl::overrun(NetlinkSocket& socket) {
  ++counters.overruns;
  (&socket == &route_events ? dirty.routes_and_neighbors : dirty.flows) = true;
  options.event_buffer_bytes = std::min(options.event_buffer_bytes * 2, options.event_buffer_bytes_max);
  return socket.set_receive_buffer(options.event_buffer_bytes);
}

Result<Collector> Collector::open(PortMap ports, CollectorOptions options) {
  auto home = NamespaceHandle::current();
  if (!home) { return home.error(); }
  auto route_events = NetlinkSocket::open(NETLINK_ROUTE);
  if (!route_events) { return route_events.error(); }
  auto route_requests = NetlinkSocket::open(NETLINK_ROUTE);
  if (!route_requests) { return route_requests.error(); }
  const auto listening = route_events->listen({RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEIGH, RTNLGRP_LINK},
                                              options.event_buffer_bytes);
  if (!listening) { return listening.error(); }
  auto impl = std::make_unique<Impl>(Impl{std::move(home).value(),
                                          std::move(ports),
                                          options,
                                          std::move(route_events).value(),
                                          std::move(route_requests).value(),
                                          {},
                                          {},
                                          {}});
  if (options.collect_flows) {
    auto flow_events = NetlinkSocket::open(NETLINK_NETFILTER);
    if (!flow_events) { return flow_events.error(); }
    const auto joined = flow_events->listen(
        {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY}, options.event_buffer_bytes);
    if (!joined) { return joined.error(); }
    auto flow_requests = NetlinkSocket::open(NETLINK_NETFILTER);
    if (!flow_requests) { return flow_requests.error(); }
    if (const auto set = set_sysctl("net.netfilter.nf_conntrack_events", "1"); !set) { return set.error(); }
    impl->flow_events.emplace(std::move(flow_events).value());
    impl->flow_requests.emplace(std::move(flow_requests).value());
  }
  return Collector(std::move(impl));
}

Collector::Collector(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Collector::Collector(Collector&&) noexcept = default;
Collector& Collector::operator=(Collector&&) noexcept = default;
Collector::~Collector() = default;

std::array<int, 2> Collector::fds() const {
  return {impl_->route_events.fd(), impl_->flow_events ? impl_->flow_events->fd() : -1};
}

const CollectorCounters& Collector::counters() const { return impl_->counters; }

Status Collector::dump(ChangeSink& sink) { return impl_->dump(sink, {}); }

Result<bool> Collector::drain(ChangeSink& sink, std::size_t events_max) {
  std::size_t budget = events_max;
  NetlinkSocket* const sockets[] = {&impl_->route_events, impl_->flow_events ? &*impl_->flow_events : nullptr};
  for (bool something = true; something && budget > 0;) {
    something = false;
    for (NetlinkSocket* socket : sockets) {
      if (socket == nullptr) { continue; }
      const auto read = impl_->read_events(*socket, sink, budget);
      if (!read) { return read.error(); }
      something |= read.value() == Read::Something;
      if (read.value() == Read::Overrun) {
        if (const auto noted = impl_->overrun(*socket); !noted) { return noted.error(); }
      }
    }
  }
  const DumpScope dirty = impl_->dirty;
  if (dirty.routes_and_neighbors || dirty.flows) {
    if (const auto dumped = impl_->dump(sink, dirty); !dumped) { return dumped.error(); }
  }
  return budget == 0 || dirty.flows;
}

Status Collector::run_dry(ChangeSink& sink) {
  NetlinkSocket* const sockets[] = {&impl_->route_events, impl_->flow_events ? &*impl_->flow_events : nullptr};
  for (NetlinkSocket* socket : sockets) {
    if (socket == nullptr) { continue; }
    if (const auto done = impl_->read_to_marker(*socket, sink); !done) { return done; }
  }
  const DumpScope dirty = impl_->dirty;
  return dirty.routes_and_neighbors || dirty.flows ? impl_->dump(sink, dirty) : Status{};
}

}  // namespace understudy::net
