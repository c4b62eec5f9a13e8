// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A table whose keys and values are plain structs, described once: the description makes the schema, and every access
/// goes through it, so that sizes and types cannot come apart.
///
///   const TypedTable<FlowKey, Flow> flows("flows", 100'000);          // any key
///   const auto ports = TypedTable<std::uint64_t, Port>::dense("ports", 4096);   // the key is a number below 4096
///   const TypedBlobTable<SessionKey> tls("tls", 10'000, 16'384);      // values of 0 to 16,384 bytes
///   schema.tables = {flows.schema(), ports.schema(), tls.schema()};
///   ...
///   auto bound = flows.in(store);            // looked up and compared once
///   bound->put(writer, key, flow);
///
/// A struct with floating members: compared_bytewise (region.hpp). Errors of each call: those of the Store's or
/// StoreWriter's function of that name.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "understudy/shm/region.hpp"

namespace understudy::shm {

/// What typed tables of one store have in common. As cheap to copy as a Store; the same threads.
template <class Key>
class BoundKeys {
 public:
  [[nodiscard]] TableIndex index() const { return index_; }
  /// As Store::count: 0 also when no look found it at rest.
  [[nodiscard]] std::uint64_t count() const { return store_.count(index_); }
  [[nodiscard]] std::uint64_t capacity() const { return store_.capacity(index_); }  ///< as it is now
  /// NotFound when there is none; nothing is committed then. `writer`: of the same store, here and below.
  Result<Sequence> erase(StoreWriter& writer, const Key& key) const { return writer.erase(index_, as_bytes_of(key)); }
  /// Gives the table its capacity_max, once, while readers go on. BadInput: none was reserved.
  Status rebuild(StoreWriter& writer) const { return writer.rebuild(index_); }

 protected:
  BoundKeys(Store store, TableIndex index) : store_(std::move(store)), index_(index) {}

  template <class T>
  static std::span<std::byte> bytes_of(T& object) {
    return std::as_writable_bytes(std::span<T, 1>(&object, 1));
  }
  [[nodiscard]] std::string name() const {
    return "table \"" + store_.schema().tables[index_].name + "\" of store \"" + store_.schema().name + "\"";
  }
  /// Calls `visit(key, record)` by `scan(visitor)`. Sizes are looked at here too, where the bytes go into structs,
  /// whoever handed them out.
  template <class Scan, class Visit>
  auto visited(const Scan& scan, std::size_t value_bytes_min, std::size_t value_bytes_max, const Visit& visit) const
      -> decltype(scan(std::function<bool(const Store::Record&)>{})) {
    bool fits = true;
    auto done = scan([&](const Store::Record& record) {
      fits = record.key.size() == sizeof(Key) && record.value.size() >= value_bytes_min &&
             record.value.size() <= value_bytes_max;
      if (!fits) { return false; }
      Key key;
      std::ranges::copy(record.key, bytes_of(key).begin());
      return static_cast<bool>(visit(std::as_const(key), record));
    });
    if (!fits) { return failure("a record of " + name() + " has other sizes than its table", Errc::Damaged); }
    return done;
  }

  Store store_;
  TableIndex index_;
};

/// A typed table of one store.
template <class Key, class Value>
class BoundTable : public BoundKeys<Key> {
 public:
  BoundTable(Store store, TableIndex index) : BoundKeys<Key>(std::move(store), index) {}

  /// NotFound when there is none.
  [[nodiscard]] Result<Value> get(const Key& key) const {
    Value value;
    const auto got = this->store_.get(this->index_, as_bytes_of(key), this->bytes_of(value));
    if (!got) { return got.error(); }
    return value;
  }
  /// Many at once, as many of each: found[i] is 1 or 0. Returns how many were found. As Store::get_many.
  Result<std::size_t> get_many(std::span<const Key> keys, std::span<Value> values,
                               std::span<std::uint8_t> found) const {
    return this->store_.get_many(this->index_, std::as_bytes(keys), std::as_writable_bytes(values), found);
  }
  /// `visit(const Key&, const Value&, Sequence)`; false stops. As Store::scan.
  template <class Visit>
  Status scan(Sequence after, const Visit& visit) const {
    return told(visit, [&](const auto& each) { return this->store_.scan(this->index_, after, each); });
  }
  /// As Store::scan_ordered.
  template <class Visit>
  Result<Sequence> scan_ordered(const Visit& visit) const {
    return told(visit, [&](const auto& each) { return this->store_.scan_ordered(this->index_, each); });
  }
  /// Makes the record, or gives it another value. Full: at capacity; nothing was changed.
  Result<Sequence> put(StoreWriter& writer, const Key& key, const Value& value) const {
    return writer.put(this->index_, as_bytes_of(key), as_bytes_of(value));
  }
  /// Many, as many of each, each a transaction by itself. Ends at the first that is refused. As StoreWriter::put_many.
  Result<Sequence> put_many(StoreWriter& writer, std::span<const Key> keys, std::span<const Value> values) const {
    return writer.put_many(this->index_, std::as_bytes(keys), std::as_bytes(values));
  }

 private:
  template <class Visit, class Scan>
  auto told(const Visit& visit, const Scan& scan) const {
    return this->visited(scan, sizeof(Value), sizeof(Value), [&](const Key& key, const Store::Record& record) {
      Value value;
      std::ranges::copy(record.value, this->bytes_of(value).begin());
      return visit(key, std::as_const(value), record.sequence);
    });
  }
};

/// A table of blobs with typed keys.
template <class Key>
class BoundBlobTable : public BoundKeys<Key> {
 public:
  BoundBlobTable(Store store, TableIndex index) : BoundKeys<Key>(std::move(store), index) {}

  [[nodiscard]] std::size_t value_bytes() const { return this->store_.schema().tables[this->index_].value_bytes; }
  /// NotFound when there is none.
  [[nodiscard]] Result<std::vector<std::byte>> get(const Key& key) const {
    std::vector<std::byte> value(value_bytes());
    const auto got = get(key, value);
    if (!got) { return got.error(); }
    value.resize(got.value());
    return value;
  }
  /// Into memory that has room for the largest, value_bytes(); how long it is.
  Result<std::size_t> get(const Key& key, std::span<std::byte> value) const {
    return this->store_.get_blob(this->index_, as_bytes_of(key), value);
  }
  /// As Store::get_blobs: `values` has room for the largest for each key, lengths[i] may be Store::absent.
  Result<std::size_t> get_many(std::span<const Key> keys, std::span<std::byte> values,
                               std::span<std::uint32_t> lengths) const {
    return this->store_.get_blobs(this->index_, std::as_bytes(keys), values, lengths);
  }
  /// `visit(const Key&, Bytes, Sequence)`; false stops. As Store::scan.
  template <class Visit>
  Status scan(Sequence after, const Visit& visit) const {
    return told(visit, [&](const auto& each) { return this->store_.scan(this->index_, after, each); });
  }
  /// As Store::scan_ordered.
  template <class Visit>
  Result<Sequence> scan_ordered(const Visit& visit) const {
    return told(visit, [&](const auto& each) { return this->store_.scan_ordered(this->index_, each); });
  }
  /// 0 to value_bytes() bytes. Full: at capacity; nothing was changed.
  Result<Sequence> put(StoreWriter& writer, const Key& key, Bytes value) const {
    return writer.put(this->index_, as_bytes_of(key), value);
  }

 private:
  template <class Visit, class Scan>
  auto told(const Visit& visit, const Scan& scan) const {
    return this->visited(scan, 0, value_bytes(), [&](const Key& key, const Store::Record& record) {
      return visit(key, record.value, record.sequence);
    });
  }
};

/// The table of `store` that `schema` describes. NotFound: it has none. BadInput: the one it has holds other keys or
/// values, or keeps them otherwise.
[[nodiscard]] inline Result<TableIndex> table_like(const TableSchema& schema, const Store& store) {
  const auto index = store.table(schema.name);
  if (!index) { return index.error(); }
  const TableSchema& found = store.schema().tables[index.value()];
  const auto where = "table \"" + schema.name + "\" of store \"" + store.schema().name + "\" ";
  if (found.key_bytes != schema.key_bytes || found.value_bytes != schema.value_bytes) {
    return failure(where + "has keys of " + std::to_string(found.key_bytes) + " and values of " +
                       std::to_string(found.value_bytes) + " bytes, not " + std::to_string(schema.key_bytes) + " and " +
                       std::to_string(schema.value_bytes),
                   Errc::BadInput);
  }
  if (found.kind != schema.kind) {
    static constexpr const char* kinds[] = {"hashed", "of blobs", "dense"};
    return failure(where + "is " + kinds[static_cast<std::size_t>(found.kind)] + ", not " +
                       kinds[static_cast<std::size_t>(schema.kind)],
                   Errc::BadInput);
  }
  return index;
}

template <class Key, class Value>
class TypedTable {
 public:
  /// `capacity_max`: room for a rebuild, above the capacity; 0: none.
  TypedTable(std::string name, std::uint64_t capacity, std::uint64_t capacity_max = 0)
      : TypedTable({std::move(name), sizeof(Key), sizeof(Value), capacity, TableKind::Hashed, capacity_max}) {}
  /// Its keys are numbers below `capacity`, found without looking for them.
  static TypedTable dense(std::string name, std::uint64_t capacity)
    requires std::is_same_v<Key, std::uint64_t>
  {
    return TypedTable({std::move(name), sizeof(Key), sizeof(Value), capacity, TableKind::Dense});
  }

  /// For the StoreSchema that the region is made with.
  [[nodiscard]] const TableSchema& schema() const { return schema_; }
  /// NotFound, BadInput: table_like().
  [[nodiscard]] Result<BoundTable<Key, Value>> in(const Store& store) const {
    const auto index = table_like(schema_, store);
    if (!index) { return index.error(); }
    return BoundTable<Key, Value>(store, index.value());
  }

 private:
  explicit TypedTable(TableSchema schema) : schema_(std::move(schema)) {
    check_is_record<Key>();
    check_is_record<Value>();
  }
  TableSchema schema_;
};

template <class Key>
class TypedBlobTable {
 public:
  /// `value_bytes`: of the largest value, up to 65,536. `capacity_max` as TypedTable.
  TypedBlobTable(std::string name, std::uint64_t capacity, std::uint32_t value_bytes, std::uint64_t capacity_max = 0)
      : schema_{std::move(name), sizeof(Key), value_bytes, capacity, TableKind::Blob, capacity_max} {
    check_is_record<Key>();
  }

  [[nodiscard]] const TableSchema& schema() const { return schema_; }
  /// NotFound, BadInput: table_like().
  [[nodiscard]] Result<BoundBlobTable<Key>> in(const Store& store) const {
    const auto index = table_like(schema_, store);
    if (!index) { return index.error(); }
    return BoundBlobTable<Key>(store, index.value());
  }

 private:
  TableSchema schema_;
};

}  // namespace understudy::shm
