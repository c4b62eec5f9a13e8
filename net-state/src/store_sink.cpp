// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/store_sink.hpp"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <span>
#include <string_view>
#include <utility>

namespace understudy::net {
namespace {

/// Of a table of foreign bytes, in which a search passes every slot, that many searches cost no more than their call
/// allows (Store::get_many); one by one each would cost as much as the table has slots.
constexpr std::size_t searched_together = 8192;

std::uint64_t hash_of(shm::Bytes key) {
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(key.data()), key.size()});
}

}  // namespace

void StoreSink::note(const Error& error) {
  if (error.code == Errc::Full) {
    ++counters_.full;
    return;
  }
  ++counters_.failed;
  if (health_.ok()) { health_ = error; }
}

void StoreSink::erase(shm::TableIndex table, shm::Bytes key) {
  const auto erased = writer_.erase(table, key);
  if (erased) {
    ++counters_.erased;
  } else if (erased.error().code != Errc::NotFound) {
    note(erased.error());
  }
}

template <class Value>
void StoreSink::put(shm::TableIndex table, shm::Bytes key, const Value* held, const Value& value) {
  if (held != nullptr && same_in_kernel(*held, value)) {
    ++counters_.unchanged;
    return;
  }
  const auto written = writer_.put(table, key, shm::as_bytes_of(value));
  if (!written) {
    note(written.error());
    return;
  }
  ++counters_.written;
}

template <class Key, class Value>
void StoreSink::change(shm::TableIndex table, const Key& key, const Value* value) {
  if (!health_.ok()) { return; }
  const shm::Bytes key_bytes = shm::as_bytes_of(key);
  const auto hash = hash_of(key_bytes);
  const bool dumped = dumping_ && value != nullptr;
  if (dumped) { told_[table].insert(hash); }
  if (value == nullptr || (dumped && gathered_[table].hashes.contains(hash))) {
    take_gathered(table);  // in the order of telling
  }
  if (value == nullptr) {
    erase(table, key_bytes);
    return;
  }
  if (dumping_) {
    auto& [keys, values, hashes] = gathered_[table];
    hashes.insert(hash);
    keys.insert(keys.end(), key_bytes.begin(), key_bytes.end());
    const auto value_bytes = shm::as_bytes_of(*value);
    values.insert(values.end(), value_bytes.begin(), value_bytes.end());
    if (keys.size() >= searched_together * sizeof(Key)) { take_gathered(table); }
    return;
  }
  Value held{};
  const auto found = writer_.store().get(table, key_bytes, std::as_writable_bytes(std::span<Value, 1>(&held, 1)));
  put(table, key_bytes, found ? &held : nullptr, *value);
}

template <class Key, class Value>
void StoreSink::take(shm::TableIndex table, Gathered gathered) {
  const std::size_t count = gathered.keys.size() / sizeof(Key);
  std::vector<std::byte> held(count * sizeof(Value));
  std::vector<std::uint8_t> found(count);
  auto got = writer_.store().get_many(table, gathered.keys, held, found);
  if (!got && count > 0) {  // a table that an earlier program has left so is mended by the first change in it
    const shm::Bytes first = shm::Bytes(gathered.keys).first(sizeof(Key));
    if (auto written = writer_.put(table, first, shm::Bytes(gathered.values).first(sizeof(Value))); !written) {
      note(written.error());
    }
    got = writer_.store().get_many(table, gathered.keys, held, found);
  }
  if (!got) {
    note(got.error());
    return;
  }
  for (std::size_t i = 0; i < count && health_.ok(); ++i) {
    Value before{};
    Value value{};
    std::memcpy(&before, held.data() + i * sizeof(Value), sizeof(Value));
    std::memcpy(&value, gathered.values.data() + i * sizeof(Value), sizeof(Value));
    const auto key = shm::Bytes(gathered.keys).subspan(i * sizeof(Key), sizeof(Key));
    put(table, key, found[i] != 0 ? &before : nullptr, value);
  }
}

void StoreSink::take_gathered(shm::TableIndex table) {
  if (gathered_[table].keys.empty() || !health_.ok()) { return; }
  auto gathered = std::exchange(gathered_[table], {});
  switch (table) {
    case RouteTable:
      return take<RouteKey, RouteValue>(table, std::move(gathered));
    case NeighborTable:
      return take<NeighborKey, NeighborValue>(table, std::move(gathered));
    default:
      return take<FlowKey, FlowValue>(table, std::move(gathered));
  }
}

void StoreSink::route(const RouteKey& key, const RouteValue* value) { change(RouteTable, key, value); }

void StoreSink::neighbor(const NeighborKey& key, const NeighborValue* value) { change(NeighborTable, key, value); }

void StoreSink::flow(const FlowChange& change_told) {
  if (change_told.gone) {
    change(FlowTable, change_told.key, static_cast<const FlowValue*>(nullptr));
    return;
  }
  if (!health_.ok()) { return; }
  FlowValue value = change_told.value;
  const bool is_tcp = change_told.key.protocol == IPPROTO_TCP;
  if (!change_told.has_status || (is_tcp && !change_told.has_tcp)) {
    take_gathered(FlowTable);
    FlowValue held{};
    const auto found = writer_.store().get(FlowTable, shm::as_bytes_of(change_told.key),
                                           std::as_writable_bytes(std::span<FlowValue, 1>(&held, 1)));
    if (!change_told.has_status) { value.status = held.status; }
    if (is_tcp && !change_told.has_tcp) {
      value.tcp_state = held.tcp_state;
      value.tcp_wscale_original = held.tcp_wscale_original;
      value.tcp_wscale_reply = held.tcp_wscale_reply;
      value.tcp_flags_original = held.tcp_flags_original;
      value.tcp_flags_reply = held.tcp_flags_reply;
      if (!found) {  // answered, yet its state was never told: only an assured connection is worth guessing
        if ((value.status & IPS_ASSURED) == 0) { return; }
        value.tcp_state = TCP_CONNTRACK_ESTABLISHED;
      }
    }
  }
  change(FlowTable, change_told.key, &value);
}

void StoreSink::take_all_gathered() {
  for (shm::TableIndex table = 0; table < gathered_.size(); ++table) { take_gathered(table); }
}

void StoreSink::begin_dump(DumpScope scope) {
  take_all_gathered();
  dumping_ = true;
  scope_ = scope;
  full_before_dump_ = counters_.full;
  for (auto& told : told_) { told.clear(); }
}

void StoreSink::sweep(shm::TableIndex table) {
  if (!health_.ok()) { return; }
  // Everything told is in the table, unless it was full: as many records as keys told leaves none to look for, and a
  // takeover is not kept waiting by a walk through the whole table.
  if (counters_.full == full_before_dump_ && writer_.store().count(table) == told_[table].size()) {
    told_[table] = {};
    return;
  }
  std::vector<std::vector<std::byte>> dead;
  const auto scanned = writer_.store().scan(table, Sequence{}, [&](const shm::Store::Record& record) {
    if (!told_[table].contains(hash_of(record.key))) { dead.emplace_back(record.key.begin(), record.key.end()); }
    return true;
  });
  if (!scanned) { note(scanned.error()); }
  erase_all(table, dead);
  told_[table] = {};
}

/// What can be searched for together can be erased one by one.
void StoreSink::erase_all(shm::TableIndex table, const std::vector<std::vector<std::byte>>& dead) {
  const std::size_t value_bytes = writer_.store().schema().tables[table].value_bytes;
  for (std::size_t first = 0; first < dead.size() && health_.ok(); first += searched_together) {
    const auto some = std::span(dead).subspan(first, std::min(searched_together, dead.size() - first));
    std::vector<std::byte> keys;
    for (const auto& key : some) { keys.insert(keys.end(), key.begin(), key.end()); }
    std::vector<std::byte> values(some.size() * value_bytes);
    std::vector<std::uint8_t> found(some.size());
    if (const auto got = writer_.store().get_many(table, keys, values, found); !got) {
      note(got.error());
      return;
    }
    for (const auto& key : some) { erase(table, key); }
  }
}

void StoreSink::end_dump() {
  take_all_gathered();
  dumping_ = false;
  if (scope_.routes_and_neighbors) {
    sweep(RouteTable);
    sweep(NeighborTable);
  }
  if (scope_.flows) { sweep(FlowTable); }
}

}  // namespace understudy::net
