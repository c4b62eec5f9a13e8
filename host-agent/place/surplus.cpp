// SPDX-License-Identifier: Apache-2.0
#include "place/surplus.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "understudy/net/collector.hpp"

namespace understudy::place {

namespace {

/// Hears of all that the kernel has, and keeps the keys of what the store does not have. Many are looked for at once:
/// of a table of foreign bytes, in which each search passes every slot, all of them together cost no more than their
/// call allows (Store::get_many), where one by one they would keep the agent's loop for minutes.
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
  void end_dump() override {
    look_for<net::RouteValue>(net::RouteTable);
    look_for<net::NeighborValue>(net::NeighborTable);
    look_for<net::FlowValue>(net::FlowTable);
  }
  /// Could the store be asked?
  [[nodiscard]] const Status& asked() const { return asked_; }

 private:
  static constexpr std::size_t together = 8192;

  template <class Value>
  void check(shm::TableIndex table, shm::Bytes key) {
    auto& keys = keys_[table];
    keys.insert(keys.end(), key.begin(), key.end());
    if (keys.size() >= together * key.size()) { look_for<Value>(table); }
  }
  template <class Value>
  void look_for(shm::TableIndex table) {
    const auto keys = std::exchange(keys_[table], {});
    if (keys.empty() || !asked_.ok()) { return; }
    const std::size_t key_bytes = store_.schema().tables[table].key_bytes;
    const std::size_t count = keys.size() / key_bytes;
    std::vector<std::byte> values(count * sizeof(Value));
    std::vector<std::uint8_t> found(count);
    if (const auto got = store_.get_many(table, keys, values, found); !got) {
      asked_ = got.error();
      return;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (found[i] == 0) { take_(table, shm::Bytes(keys).subspan(i * key_bytes, key_bytes)); }
    }
  }

  const shm::Store& store_;
  const link::RoleSpec& spec_;
  Take take_;
  std::array<std::vector<std::byte>, 3> keys_;
  Status asked_;
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
  if (!absent.asked().ok()) { return absent.asked().error(); }
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
