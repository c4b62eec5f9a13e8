// SPDX-License-Identifier: Apache-2.0
/// What a coverage-guided fuzzer gives to the codecs of network state: records that a guest may have written into its
/// region, on their way into the host's kernel, and netlink messages on their way into records (D6).
///
///   input   first byte, modulo 6: 0 route, 1 neighbour, 2 flow: a record, key and value as they lie in a slot
///                                 3, 4, 5 the same as a netlink message: type u8, then what follows its header
///
/// Whatever is told to a kernel is a whole message within its memory, and what that message means is told on unchanged.
#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "attributes.hpp"
#include "understudy/net/codec.hpp"

namespace understudy::net {
namespace {

using Bytes = std::span<const std::byte>;
constexpr std::size_t memory_bytes = 1024;  // that an encoder may take

/// Loopback stands for the port: it is there in every namespace.
const PortMap& ports() {
  static const PortMap map = PortMap::resolve({{"ext", "lo"}}).value();
  return map;
}

template <class Record>
Record take(Bytes& rest) {
  Record record{};
  const auto bytes = rest.first(std::min(rest.size(), sizeof record));
  std::memcpy(static_cast<void*>(&record), bytes.data(), bytes.size());
  rest = rest.subspan(bytes.size());
  return record;
}

/// A guest that names a port names one that it knows: a fuzzer hardly guesses the name.
void name_port(PortName& port) {
  if (port[0] % 2 == 0) { port = make_port_name("ext").value(); }
}

/// As long as an encoder may write, so that a sanitizer sees each byte beyond.
class Message {
 public:
  [[nodiscard]] char* memory() const { return memory_.get(); }
  /// What was encoded; false: nothing.
  bool holds(const nlmsghdr* message) {
    if (message == nullptr) { return false; }
    if (static_cast<const void*>(message) != memory() || message->nlmsg_len > memory_bytes ||
        !mnl_nlmsg_ok(message, memory_bytes)) {
      std::abort();
    }
    bytes_ = message->nlmsg_len;
    return true;
  }
  [[nodiscard]] const nlmsghdr* header() const { return reinterpret_cast<const nlmsghdr*>(memory()); }
  bool operator==(const Message& other) const {
    return bytes_ == other.bytes_ && std::memcmp(memory(), other.memory(), bytes_) == 0;
  }

 private:
  std::unique_ptr<char[]> memory_ = std::make_unique<char[]>(memory_bytes);
  std::size_t bytes_ = 0;
};

void must_mean_the_same(bool encoded, const Message& first, const Message& again) {
  if (!encoded || !(first == again)) { std::abort(); }
}

void tell_route(const RouteKey& key, const RouteValue& value) {
  Message gone;
  (void)gone.holds(encode_route(gone.memory(), key, nullptr, ports()));
  Message first;
  if (!first.holds(encode_route(first.memory(), key, &value, ports()))) { return; }
  const auto change = decode_route(first.header(), ports());
  if (!change) { return; }  // of another's making, or multicast
  Message again;
  const bool encoded = again.holds(encode_route(again.memory(), change->key, &change->value, ports()));
  must_mean_the_same(encoded, first, again);
}

void tell_neighbor(const NeighborKey& key, const NeighborValue& value) {
  Message gone;
  (void)gone.holds(encode_neighbor(gone.memory(), key, nullptr, ports()));
  Message first;
  if (!first.holds(encode_neighbor(first.memory(), key, &value, ports()))) { return; }
  const auto change = decode_neighbor(first.header(), ports());
  if (!change || change->gone) { return; }
  Message again;
  const bool encoded = again.holds(encode_neighbor(again.memory(), change->key, &change->value, ports()));
  must_mean_the_same(encoded, first, again);
}

/// Of a NAT flow the kernel is told another reply than it shows afterwards: what stays the same is its key.
void tell_flow(const FlowKey& key, const FlowValue& value) {
  for (const auto what : {FlowMessage::Update, FlowMessage::Timeout, FlowMessage::Delete}) {
    Message message;
    (void)message.holds(encode_flow(message.memory(), what, key, value, value.timeout_seconds));
  }
  Message first;
  if (!first.holds(encode_flow(first.memory(), FlowMessage::Create, key, value, value.timeout_seconds))) { return; }
  const auto change = decode_flow(first.header(), {});
  if (!change) { return; }  // loopback, half open
  Message asked;
  const bool was = asked.holds(encode_flow(asked.memory(), FlowMessage::Get, key, value, 0));
  Message again;
  const bool is = again.holds(encode_flow(again.memory(), FlowMessage::Get, change->key, change->value, 0));
  must_mean_the_same(was && is, asked, again);
}

/// A message as whoever reads the socket hands it over: whole, and as long as it says.
class Arrived {
 public:
  Arrived(std::uint16_t type, Bytes payload) : bytes_(sizeof(nlmsghdr) + payload.size()) {
    const nlmsghdr header{static_cast<std::uint32_t>(bytes_.size()), type, 0, 0, 0};
    std::memcpy(bytes_.data(), &header, sizeof header);
    if (!payload.empty()) { std::memcpy(bytes_.data() + sizeof header, payload.data(), payload.size()); }
  }
  [[nodiscard]] const nlmsghdr* header() const { return reinterpret_cast<const nlmsghdr*>(bytes_.data()); }

 private:
  std::vector<std::byte> bytes_;
};

std::uint16_t of_conntrack(int type) { return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type); }

void hear(std::uint8_t kind, Bytes rest) {
  const bool gone = take<std::uint8_t>(rest) % 2 != 0;
  if (kind == 3) {
    const Arrived message(gone ? RTM_DELROUTE : RTM_NEWROUTE, rest);
    if (const auto change = decode_route(message.header(), ports())) { tell_route(change->key, change->value); }
  } else if (kind == 4) {
    const Arrived message(gone ? RTM_DELNEIGH : RTM_NEWNEIGH, rest);
    if (const auto change = decode_neighbor(message.header(), ports())) { tell_neighbor(change->key, change->value); }
  } else {
    const Arrived message(of_conntrack(gone ? IPCTNL_MSG_CT_DELETE : IPCTNL_MSG_CT_NEW), rest);
    const FlowFilter filter{{{IpAddress::parse("10.24.0.0").value(), 17}, {IpAddress::parse("fd24::").value(), 33}}};
    if (const auto change = decode_flow(message.header(), filter)) { tell_flow(change->key, change->value); }
  }
}

}  // namespace
}  // namespace understudy::net

// NOLINTNEXTLINE(readability-identifier-naming): the fuzzer calls it so
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::net;
  Bytes rest{reinterpret_cast<const std::byte*>(data), size};
  const auto kind = static_cast<std::uint8_t>(take<std::uint8_t>(rest) % 6);
  if (kind == 0) {
    const auto key = take<RouteKey>(rest);
    auto value = take<RouteValue>(rest);
    name_port(value.port);
    tell_route(key, value);
  } else if (kind == 1) {
    auto key = take<NeighborKey>(rest);
    name_port(key.port);
    tell_neighbor(key, take<NeighborValue>(rest));
  } else if (kind == 2) {
    const auto key = take<FlowKey>(rest);
    tell_flow(key, take<FlowValue>(rest));
  } else {
    hear(kind, rest);
  }
  return 0;
}
