// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A table whose keys and values are plain structs, described once: the description makes the schema, and every access
/// goes through it, so that sizes and types cannot come apart.
///
///   const TypedTable<FlowKey, Flow> flows("flows", 100'000);
///   schema.tables.push_back(flows.schema());
///   ...
///   auto bound = flows.in(store);            // looked up and compared once
///   bound->put(writer, key, flow);

#include <algorithm>
#include <string>
#include <utility>

#include "understudy/shm/region.hpp"

namespace understudy::shm {

/// A typed table of one store. As cheap to copy as a Store; the same threads.
template <class Key, class Value>
class BoundTable {
 public:
  BoundTable(Store store, TableIndex index) : store_(std::move(store)), index_(index) {}
  [[nodiscard]] TableIndex index() const { return index_; }
  [[nodiscard]] std::uint64_t count() const { return store_.count(index_); }

  /// NotFound when there is none.
  [[nodiscard]] Result<Value> get(const Key& key) const {
    Value value;
    if (auto got = store_.get(index_, as_bytes_of(key), bytes_of(value)); !got) { return got.error(); }
    return value;
  }
  /// `visit(const Key&, const Value&, Sequence)`; false stops. As Store::scan.
  template <class Visit>
  Status scan(Sequence after, const Visit& visit) const {
    bool fits = true;
    const Status done =
        store_.scan(index_, after, [&](const Store::Record& record) { return told(record, visit, fits); });
    return fits ? done : other_sizes();
  }
  /// As Store::scan_ordered.
  template <class Visit>
  Result<Sequence> scan_ordered(const Visit& visit) const {
    bool fits = true;
    const auto at = store_.scan_ordered(index_, [&](const Store::Record& record) { return told(record, visit, fits); });
    if (!fits) { return other_sizes(); }
    return at;
  }
  Result<Sequence> put(StoreWriter& writer, const Key& key, const Value& value) const {
    return writer.put(index_, as_bytes_of(key), as_bytes_of(value));
  }
  Result<Sequence> erase(StoreWriter& writer, const Key& key) const { return writer.erase(index_, as_bytes_of(key)); }

 private:
  template <class T>
  static std::span<std::byte> bytes_of(T& object) {
    return std::as_writable_bytes(std::span<T, 1>(&object, 1));
  }
  [[nodiscard]] Error other_sizes() const {
    return failure("a record of table \"" + store_.schema().tables[index_].name + "\" of store \"" +
                       store_.schema().name + "\" has not " + std::to_string(sizeof(Key)) + " bytes of key and " +
                       std::to_string(sizeof(Value)) + " of value",
                   Errc::Damaged);
  }
  /// Looked at here too, where the bytes go into structs, whoever handed them out.
  template <class Visit>
  static bool told(const Store::Record& record, const Visit& visit, bool& fits) {
    fits = record.key.size() == sizeof(Key) && record.value.size() == sizeof(Value);
    if (!fits) { return false; }
    Key key;
    Value value;
    std::ranges::copy(record.key, bytes_of(key).begin());
    std::ranges::copy(record.value, bytes_of(value).begin());
    return visit(std::as_const(key), std::as_const(value), record.sequence);
  }

  Store store_;
  TableIndex index_;
};

template <class Key, class Value>
class TypedTable {
  static_assert(std::is_trivially_copyable_v<Key> && std::has_unique_object_representations_v<Key> &&
                    std::is_trivially_copyable_v<Value> && std::has_unique_object_representations_v<Value>,
                "records are plain structs without padding");

 public:
  /// `capacity_max`: room for a rebuild, above the capacity; 0: none.
  TypedTable(std::string name, std::uint64_t capacity, std::uint64_t capacity_max = 0)
      : schema_{std::move(name), sizeof(Key), sizeof(Value), capacity, TableKind::Hashed, capacity_max} {}

  [[nodiscard]] const TableSchema& schema() const { return schema_; }

  /// NotFound: the store has no such table. BadInput: the one it has holds other keys or values.
  [[nodiscard]] Result<BoundTable<Key, Value>> in(const Store& store) const {
    const auto index = store.table(schema_.name);
    if (!index) { return index.error(); }
    const TableSchema& found = store.schema().tables[index.value()];
    if (found.kind != schema_.kind || found.key_bytes != sizeof(Key) || found.value_bytes != sizeof(Value)) {
      return failure("table \"" + schema_.name + "\" of store \"" + store.schema().name + "\" has keys of " +
                         std::to_string(found.key_bytes) + " and values of " + std::to_string(found.value_bytes) +
                         " bytes, not " + std::to_string(sizeof(Key)) + " and " + std::to_string(sizeof(Value)),
                     Errc::BadInput);
    }
    return BoundTable<Key, Value>(store, index.value());
  }

 private:
  TableSchema schema_;
};

}  // namespace understudy::shm
