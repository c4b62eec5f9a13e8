// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A store "net" in a region of its own, and a collector's changes without one.

#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "lab.hpp"
#include "understudy/net/collector.hpp"
#include "understudy/net/store_sink.hpp"
#include "understudy/shm/region.hpp"

namespace understudy::net::test {

class NetStore {
 public:
  explicit NetStore(const std::string& name, std::uint64_t flow_capacity = 8192)
      : path_("/dev/shm/understudy-net-test-" + std::to_string(::getpid()) + "-" + name) {
    const shm::RegionSchema schema{{net_store_schema(flow_capacity)}};
    region_.emplace(shm::Region::create(path_, shm::Region::size_needed(schema).value(), schema).value());
    store_.emplace(region_->store(net_store_name).value());
    writer_.emplace(store_->become_writer(Term{1}).value());
  }
  NetStore(const NetStore&) = delete;
  NetStore& operator=(const NetStore&) = delete;
  ~NetStore() { std::remove(path_.c_str()); }

  shm::Store& store() { return *store_; }
  shm::StoreWriter& writer() { return *writer_; }

  template <class Key, class Value>
  std::optional<Value> find(shm::TableIndex table, const Key& key) {
    Value value{};
    const auto found =
        store_->get(table, shm::as_bytes_of(key), std::as_writable_bytes(std::span<Value, 1>(&value, 1)));
    return found ? std::optional<Value>(value) : std::nullopt;
  }
  template <class Key, class Value>
  void put(shm::TableIndex table, const Key& key, const Value& value) {
    const auto written = writer_->put(table, shm::as_bytes_of(key), shm::as_bytes_of(value));
    if (!written) { throw std::runtime_error(written.error().message); }
  }
  /// The first flow that fits.
  std::optional<std::pair<FlowKey, FlowValue>> flow(const std::function<bool(const FlowKey&, const FlowValue&)>& fits) {
    std::optional<std::pair<FlowKey, FlowValue>> found;
    (void)store_->scan(FlowTable, Sequence{}, [&](const shm::Store::Record& record) {
      FlowKey key;
      FlowValue value;
      std::memcpy(&key, record.key.data(), sizeof key);
      std::memcpy(&value, record.value.data(), sizeof value);
      if (fits(key, value)) { found.emplace(key, value); }
      return !found;
    });
    return found;
  }

 private:
  std::string path_;
  std::optional<shm::Region> region_;
  std::optional<shm::Store> store_;
  std::optional<shm::StoreWriter> writer_;
};

/// What a kernel has, as text keys.
struct KernelPicture final : ChangeSink {
  std::map<std::string, FlowValue> flows;  ///< by the bytes of the key
  std::size_t routes = 0;
  std::size_t neighbors = 0;
  static std::string text(const FlowKey& key) { return {reinterpret_cast<const char*>(&key), sizeof key}; }
  void route(const RouteKey&, const RouteValue* value) override { routes += value != nullptr ? 1 : 0; }
  void neighbor(const NeighborKey&, const NeighborValue* value) override { neighbors += value != nullptr ? 1 : 0; }
  void flow(const FlowChange& change) override {
    if (!change.gone) { flows[text(change.key)] = change.value; }
  }
};

inline KernelPicture picture_of(const TestNamespace& where, const PortMap& ports = {}) {
  return where.in([&] {
    auto collector = Collector::open(ports, {});
    KernelPicture picture;
    if (!collector) { throw std::runtime_error(collector.error().message); }
    if (const auto dumped = collector.value().dump(picture); !dumped) {
      throw std::runtime_error(dumped.error().message);
    }
    return picture;
  });
}

}  // namespace understudy::net::test
