// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/store_sink.hpp"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>

#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

namespace understudy::net {
namespace {

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

template <class Key, class Value>
void StoreSink::change(shm::TableIndex table, const Key& key, const Value* value) {
  const shm::Bytes key_bytes = shm::as_bytes_of(key);
  if (value == nullptr) {
    erase(table, key_bytes);
    return;
  }
  if (dumping_) { told_[table].insert(hash_of(key_bytes)); }
  Value held{};
  const auto found = writer_.store().get(table, key_bytes, std::as_writable_bytes(std::span<Value, 1>(&held, 1)));
  if (found && same_in_kernel(held, *value)) {
    ++counters_.unchanged;
    return;
  }
  const auto written = writer_.put(table, key_bytes, shm::as_bytes_of(*value));
  if (!written) {
    note(written.error());
    return;
  }
  ++counters_.written;
}

void StoreSink::route(const RouteKey& key, const RouteValue* value) { change(RouteTable, key, value); }

void StoreSink::neighbor(const NeighborKey& key, const NeighborValue* value) { change(NeighborTable, key, value); }

void StoreSink::flow(const FlowChange& change_told) {
  if (change_told.gone) {
    erase(FlowTable, shm::as_bytes_of(change_told.key));
    return;
  }
  FlowValue value = change_told.value;
  const bool is_tcp = change_told.key.protocol == IPPROTO_TCP;
  if (!change_told.has_status || (is_tcp && !change_told.has_tcp)) {
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

void StoreSink::begin_dump(DumpScope scope) {
  dumping_ = true;
  scope_ = scope;
  full_before_dump_ = counters_.full;
  for (auto& told : told_) { told.clear(); }
}

void StoreSink::sweep(shm::TableIndex table) {
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
  for (const auto& key : dead) { erase(table, key); }
  told_[table] = {};
}

void StoreSink::end_dump() {
  dumping_ = false;
  if (scope_.routes_and_neighbors) {
    sweep(RouteTable);
    sweep(NeighborTable);
  }
  if (scope_.flows) { sweep(FlowTable); }
}

}  // namespace understudy::net
