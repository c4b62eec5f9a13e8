// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/installer.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "flow_writer.hpp"
#include "netlink.hpp"
#include "record_hash.hpp"
#include "understudy/net/collector.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy::net {
namespace {

/// The bytes of a record as its struct; nothing when the length is another one.
template <class Record>
std::optional<Record> record_of(shm::Bytes bytes) {
  if (bytes.size() != sizeof(Record)) { return {}; }
  Record record;
  std::memcpy(&record, bytes.data(), sizeof record);
  return record;
}

bool has_gateway(const RouteValue& value) {
  return std::any_of(value.gateway.begin(), value.gateway.end(), [](std::uint8_t byte) { return byte != 0; });
}

std::string describe(const RouteKey& key) {
  return "route " + IpPrefix{{key.family, key.destination}, key.prefix_length}.to_string();
}
std::string describe(const NeighborKey& key) {
  return "neighbor " + IpAddress{key.family, key.address}.to_string() + " on " + to_string(key.port);
}
std::string describe_flow(const FlowKey& key) { return "flow " + describe(key); }

/// All that a kernel has, by key.
struct KernelState final : ChangeSink {
  template <class Key, class Value>
  using Map = std::unordered_map<Key, Value, RecordHash<Key>, RecordEqual<Key>>;
  Map<RouteKey, RouteValue> routes;
  Map<NeighborKey, NeighborValue> neighbors;
  Map<FlowKey, FlowValue> flows;
  void route(const RouteKey& key, const RouteValue* value) override {
    if (value != nullptr) { routes[key] = *value; }
  }
  void neighbor(const NeighborKey& key, const NeighborValue* value) override {
    if (value != nullptr) { neighbors[key] = *value; }
  }
  void flow(const FlowChange& change) override {
    if (!change.gone) { flows[change.key] = change.value; }
  }
};

template <class Key, class Value, class Map, class Describe>
Status compare_table(const shm::Store& store, shm::TableIndex table, const Map& kernel, InstallDifference& difference,
                     const Describe& name) {
  std::uint64_t found = 0;
  const auto differs = [&](std::uint64_t& counter, const std::string& what) {
    ++counter;
    if (difference.first.empty()) { difference.first = what; }
  };
  const auto scanned = store.scan(table, Sequence{}, [&](const shm::Store::Record& record) {
    const auto key = record_of<Key>(record.key);
    const auto value = record_of<Value>(record.value);
    const auto held = key ? kernel.find(*key) : kernel.end();
    if (!key || !value || held == kernel.end()) {
      differs(difference.missing, (key ? name(*key) : "a damaged record") + " is missing");
      return true;
    }
    ++found;
    if (same_in_kernel(held->second, *value)) {
      ++difference.same;
    } else {
      differs(difference.different, name(*key) + " is different");
    }
    return true;
  });
  difference.surplus += kernel.size() - std::min<std::uint64_t>(found, kernel.size());
  return scanned;
}

}  // namespace

struct Installer::Impl {
  Impl(NamespaceHandle here, PortMap port_map, InstallerOptions chosen, NetlinkSocket routes, NetlinkSocket flow_socket)
      : home(std::move(here)),
        ports(std::move(port_map)),
        options(std::move(chosen)),
        route_socket(std::move(routes)),
        flows(std::move(flow_socket), report, std::max(options.timeout_floor_seconds, options.hold_seconds)) {}

  NamespaceHandle home;
  PortMap ports;
  InstallerOptions options;
  InstallReport report;
  NetlinkSocket route_socket;
  FlowWriter flows;

  /// Routes and neighbours are few: one request each.
  template <class Key>
  Status send(nlmsghdr* message, const Key& key, bool erase);
  Status put_route(const RouteKey& key, const RouteValue& value);
  Status install_routes(const shm::Store& store);
  Status install_neighbors(const shm::Store& store);
  Status install_flows(const shm::Store& store);
  void refuse(const std::string& what);
};

void Installer::Impl::refuse(const std::string& what) {
  ++report.refused;
  if (report.first_refusal.empty()) { report.first_refusal = what; }
}

template <class Key>
Status Installer::Impl::send(nlmsghdr* message, const Key& key, bool erase) {
  if (message == nullptr) {
    refuse(describe(key) + ": not a record that can be installed, or its port does not exist here");
    return {};
  }
  const auto answer = route_socket.talk(message);
  if (!answer) { return answer.error(); }
  const int error = answer.value();
  if (error != 0 && !(erase && (error == ESRCH || error == ENOENT))) {
    refuse(describe(key) + ": " + std::strerror(error));
  } else {
    ++(erase ? report.erased : report.installed);
  }
  return {};
}

Status Installer::Impl::install_routes(const shm::Store& store) {
  alignas(nlmsghdr) char memory[NetlinkBatch::message_bytes_max];
  Status failed;
  for (const bool with_gateway : {false, true}) {  // a gateway must be reachable when its route comes
    const auto scanned = store.scan(RouteTable, Sequence{}, [&](const shm::Store::Record& record) {
      const auto key = record_of<RouteKey>(record.key);
      const auto value = record_of<RouteValue>(record.value);
      if (!key || !value) {
        if (!with_gateway) { refuse("a route record of a wrong size"); }
        return true;
      }
      if (has_gateway(*value) != with_gateway) { return true; }
      failed = send(encode_route(memory, *key, &*value, ports), *key, false);
      return failed.ok();
    });
    if (!scanned || !failed) { return scanned ? failed : scanned; }
  }
  return {};
}

Status Installer::Impl::install_neighbors(const shm::Store& store) {
  alignas(nlmsghdr) char memory[NetlinkBatch::message_bytes_max];
  Status failed;
  const auto scanned = store.scan(NeighborTable, Sequence{}, [&](const shm::Store::Record& record) {
    const auto key = record_of<NeighborKey>(record.key);
    const auto value = record_of<NeighborValue>(record.value);
    if (key && value) {
      failed = send(encode_neighbor(memory, *key, &*value, ports), *key, false);
    } else {
      refuse("a neighbor record of a wrong size");
    }
    return failed.ok();
  });
  return scanned ? failed : scanned;
}

Status Installer::Impl::install_flows(const shm::Store& store) {
  Status failed;
  const auto scanned = store.scan(FlowTable, Sequence{}, [&](const shm::Store::Record& record) {
    const auto key = record_of<FlowKey>(record.key);
    const auto value = record_of<FlowValue>(record.value);
    if (key && value) {
      failed = flows.put(*key, *value);
    } else {
      refuse("a flow record of a wrong size");
    }
    return failed.ok();
  });
  if (!scanned || !failed) { return scanned ? failed : scanned; }
  return flows.flush();
}

Result<Installer> Installer::open(PortMap ports, InstallerOptions options) {
  auto home = NamespaceHandle::current();
  if (!home) { return home.error(); }
  auto routes = NetlinkSocket::open(NETLINK_ROUTE);
  if (!routes) { return routes.error(); }
  auto flows = NetlinkSocket::open(NETLINK_NETFILTER);
  if (!flows) { return flows.error(); }
  if (const auto set = set_sysctl("net.netfilter.nf_conntrack_events", "1"); !set) { return set.error(); }
  return Installer(std::make_unique<Impl>(std::move(home).value(), std::move(ports), std::move(options),
                                          std::move(routes).value(), std::move(flows).value()));
}

Installer::Installer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Installer::Installer(Installer&&) noexcept = default;
Installer& Installer::operator=(Installer&&) noexcept = default;
Installer::~Installer() = default;

const InstallReport& Installer::report() const { return impl_->report; }

Status Installer::install_all(const shm::Store& store) {
  {
    const auto scope = impl_->home.enter();  // interface names mean something only there
    if (!scope) { return scope.error(); }
    impl_->ports.refresh();
  }
  if (const auto done = impl_->install_routes(store); !done) { return done; }
  if (const auto done = impl_->install_neighbors(store); !done) { return done; }
  return impl_->install_flows(store);
}

Status Installer::apply(const shm::JournalEntry& entry) {
  alignas(nlmsghdr) char memory[NetlinkBatch::message_bytes_max];
  const bool erase = entry.op == shm::JournalEntry::Op::Erase;
  if (entry.table == RouteTable) {
    const auto key = record_of<RouteKey>(entry.key);
    const auto value = record_of<RouteValue>(entry.value);
    if (key && (erase || value)) {
      return impl_->send(encode_route(memory, *key, erase ? nullptr : &*value, impl_->ports), *key, erase);
    }
  } else if (entry.table == NeighborTable) {
    const auto key = record_of<NeighborKey>(entry.key);
    const auto value = record_of<NeighborValue>(entry.value);
    if (key && (erase || value)) {
      return impl_->send(encode_neighbor(memory, *key, erase ? nullptr : &*value, impl_->ports), *key, erase);
    }
  } else if (entry.table == FlowTable) {
    const auto key = record_of<FlowKey>(entry.key);
    const auto value = record_of<FlowValue>(entry.value);
    if (key && (erase || value)) { return erase ? impl_->flows.erase(*key) : impl_->flows.put(*key, *value); }
  }
  impl_->refuse("a journal entry of table " + std::to_string(entry.table) + " is not a record of the store net");
  return {};
}

Status Installer::flush() { return impl_->flows.flush(); }

Status Installer::settle(const shm::Store& store) {
  Status failed;
  const auto scanned = store.scan(FlowTable, Sequence{}, [&](const shm::Store::Record& record) {
    const auto key = record_of<FlowKey>(record.key);
    const auto value = record_of<FlowValue>(record.value);
    if (key && value) { failed = impl_->flows.set_timeout(*key, *value, impl_->options.timeout_floor_seconds); }
    return failed.ok();
  });
  if (!scanned || !failed) { return scanned ? failed : scanned; }
  return impl_->flows.flush();
}

Result<InstallDifference> Installer::compare(const shm::Store& store) {
  if (const auto sent = flush(); !sent) { return sent.error(); }
  CollectorOptions options;
  options.flows = impl_->options.flows;
  options.event_buffer_bytes = 1024 * 1024;
  const auto scope = impl_->home.enter();
  if (!scope) { return scope.error(); }
  auto collector = Collector::open(impl_->ports, options);
  if (!collector) { return collector.error(); }
  KernelState kernel;
  if (const auto dumped = collector->dump(kernel); !dumped) { return dumped.error(); }
  InstallDifference difference;
  const auto routes = compare_table<RouteKey, RouteValue>(store, RouteTable, kernel.routes, difference,
                                                          [](const RouteKey& key) { return describe(key); });
  if (!routes) { return routes.error(); }
  const auto neighbors = compare_table<NeighborKey, NeighborValue>(
      store, NeighborTable, kernel.neighbors, difference, [](const NeighborKey& key) { return describe(key); });
  if (!neighbors) { return neighbors.error(); }
  const auto flows = compare_table<FlowKey, FlowValue>(store, FlowTable, kernel.flows, difference, describe_flow);
  if (!flows) { return flows.error(); }
  return difference;
}

}  // namespace understudy::net
