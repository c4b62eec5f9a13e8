// SPDX-License-Identifier: Apache-2.0
#include "place/surplus.hpp"

#include <algorithm>

#include "understudy/net/collector.hpp"

namespace understudy::place {

namespace {

/// Hears of all that the kernel has, and keeps the keys of what the store does not have.
class Absent final : public net::ChangeSink {
 public:
  using Take = std::function<void(shm::TableIndex, shm::Bytes)>;
  Absent(const shm::Store& store, const link::RoleSpec& spec, Take take)
      : store_(store), spec_(spec), take_(std::move(take)) {}

  void route(const net::RouteKey& key, const net::RouteValue* value) override {
    const bool configured = std::any_of(spec_.routes.begin(), spec_.routes.end(), [&](const link::RouteSpec& route) {
      return route.destination.length == key.prefix_length && route.destination.address.family == key.family &&
             route.destination.address.bytes == key.destination;
    });
    if (value != nullptr && !configured) { check<net::RouteValue>(net::RouteTable, shm::as_bytes_of(key)); }
  }
  void neighbor(const net::NeighborKey& key, const net::NeighborValue* value) override {
    if (value != nullptr) { check<net::NeighborValue>(net::NeighborTable, shm::as_bytes_of(key)); }
  }
  void flow(const net::FlowChange& change) override {
    if (!change.gone) { check<net::FlowValue>(net::FlowTable, shm::as_bytes_of(change.key)); }
  }

 private:
  template <class Value>
  void check(shm::TableIndex table, shm::Bytes key) {
    Value value{};
    const auto known = store_.get(table, key, std::as_writable_bytes(std::span<Value, 1>(&value, 1)));
    if (!known && known.error().code == Errc::NotFound) { take_(table, key); }
  }
  const shm::Store& store_;
  const link::RoleSpec& spec_;
  Take take_;
};

}  // namespace

Result<Surplus> Surplus::find(const RolePlace& place, const shm::Store& net_store) {
  auto ports = net::PortMap::resolve(place.options().ports);
  if (!ports) { return ports.error(); }
  net::CollectorOptions options;
  options.flows = place.flow_filter();
  auto kernel = net::Collector::open(*std::move(ports), options);
  if (!kernel) { return kernel.error(); }
  Surplus surplus;
  Absent absent(net_store, place.spec(), [&](shm::TableIndex table, shm::Bytes key) {
    surplus.records_.push_back({table, {key.begin(), key.end()}});
  });
  if (auto dumped = kernel->dump(absent); !dumped) { return dumped.error(); }
  return surplus;
}

std::vector<shm::JournalEntry> Surplus::erasures() const {
  std::vector<shm::JournalEntry> entries;
  for (const auto& record : records_) {
    shm::JournalEntry entry;
    entry.table = record.table;
    entry.op = shm::JournalEntry::Op::Erase;
    entry.key = record.key;
    entries.push_back(entry);
  }
  return entries;
}

}  // namespace understudy::place
