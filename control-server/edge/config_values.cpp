// SPDX-License-Identifier: Apache-2.0
#include "edge/config_values.hpp"

#include "understudy/common/config_checks.hpp"

namespace understudy::control {
namespace {

/// Whether all bits behind the prefix are `ones`.
bool host_bits_are(const IpPrefix& prefix, bool ones) {
  const unsigned end = prefix.address.is_v4() ? 32 : 128;
  for (unsigned bit = prefix.length; bit < end; ++bit) {
    const bool one = ((prefix.address.bytes[bit / 8] >> (7 - bit % 8)) & 1) != 0;
    if (one != ones) { return false; }
  }
  return true;
}

/// What it is instead of a host's address; empty: it is one.
std::string other_kind(const IpAddress& address) {
  const auto first = address.bytes[0];
  if (address.bytes == IpAddress{}.bytes) { return "the address of no host"; }
  if (address.is_v4() ? first >= 224 && first < 240 : first == 0xff) { return "a multicast address"; }
  if (address.is_v4() && first >= 240) { return "a reserved address"; }
  return "";
}

std::string other_kind(const IpPrefix& prefix) {
  const auto kind = other_kind(prefix.address);
  const unsigned bits = prefix.address.is_v4() ? 32 : 128;
  if (!kind.empty() || prefix.length + 2U > bits) { return kind; }  // of /31 and /127 both ends are hosts
  if (host_bits_are(prefix, false)) { return "the address of its whole network"; }
  return prefix.address.is_v4() && host_bits_are(prefix, true) ? "the broadcast address of its network" : "";
}

template <class Address>
void tell_other_kind(ConfigTable& table, const std::string& key, const Address& address, const std::string& kind) {
  if (!kind.empty()) { table.problem(key, address.to_string() + " is " + kind + "; write the address of one host"); }
}

}  // namespace

void Claims::claim(ConfigTable& table, const std::string& key, const std::string& kind, const std::string& value,
                   const std::string& owner) {
  if (value.empty()) { return; }
  const auto [at, fresh] = claims_.emplace(kind + " " + value, owner);
  if (fresh) { return; }
  table.problem(key, kind + " " + value + " is used twice: by " + at->second + " and by " + owner +
                         "; write another one for " + owner);
}

void refuse_others_keys(ConfigTable& table, const std::string& name, const std::string& driver,
                        const std::map<std::string, std::set<std::string>>& keys_of) {
  const auto own = keys_of.find(driver);
  for (const auto& [other, keys] : keys_of) {
    for (const auto& key : keys) {
      if (!table.has(key) || own == keys_of.end() || own->second.contains(key)) { continue; }
      table.problem(key, "\"" + key + "\" belongs to the driver \"" + other + "\", and [" + name + "] uses \"" +
                             driver + "\", which would not read it; remove it, or write driver = \"" + other + "\"");
    }
  }
}

std::string read_name(ConfigTable& table, const std::string& key, const std::string& expected) {
  const auto text = table.string(key, expected);
  if (!is_config_name(text)) {
    table.problem(key, "\"" + text + "\" is no name; use up to 64 letters, digits, '.', '_', '-'");
  }
  return text;
}

void check_host(ConfigTable& table, const std::string& key, const IpAddress& address) {
  if (address.family != 0) { tell_other_kind(table, key, address, other_kind(address)); }
}

void check_host(ConfigTable& table, const std::string& key, const IpPrefix& prefix) {
  if (prefix.address.family != 0) { tell_other_kind(table, key, prefix, other_kind(prefix)); }
}

void check_host(ConfigTable& table, const std::string& key, const MacAddress& mac) {
  const bool none = mac == MacAddress{};
  if (!none && (mac.bytes[0] & 1) == 0) { return; }
  table.problem(key, mac.to_string() + (none ? " is the MAC of no interface" : " is a multicast MAC") +
                         "; write one of a single interface, e.g. \"02:e0:00:00:00:01\"");
}

}  // namespace understudy::control
