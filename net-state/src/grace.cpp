// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/grace.hpp"

#include <boost/json.hpp>

namespace understudy::net {
namespace {

constexpr const char* loose_sysctl = "net.netfilter.nf_conntrack_tcp_loose";

std::string list_of(const std::vector<IpAddress>& addresses, std::uint8_t family) {
  std::string list;
  for (const IpAddress& address : addresses) {
    if (address.family == family) { list += (list.empty() ? "" : ", ") + address.to_string(); }
  }
  return list;
}

std::string ruleset(const GraceOptions& options) {
  // Whoever has a socket for it, bound to an address or to any, answers for itself.
  std::string input = "meta l4proto { tcp, udp } socket wildcard { 0, 1 } accept\n";
  std::string forward;
  for (const auto& [family, word] : {std::pair<std::uint8_t, std::string>{4, "ip"}, {6, "ip6"}}) {
    const std::string addresses = list_of(options.nat_addresses, family);
    if (addresses.empty()) { continue; }
    // Pings and neighbour discovery are answered: they reset nobody.
    input +=
        word + " daddr { " + addresses + " } meta l4proto != { icmp, icmpv6 } ct state { new, invalid } counter drop\n";
    forward += std::string("meta nfproto ") + (family == 4 ? "ipv4" : "ipv6") + " ct state invalid counter drop\n";
  }
  return "add table inet understudy_grace\ndelete table inet understudy_grace\ntable inet understudy_grace {\n"
         "chain input { type filter hook input priority -10; policy accept;\n" +
         input +
         "}\n"
         "chain forward { type filter hook forward priority -10; policy accept;\n" +
         forward + "}\n}\n";
}

}  // namespace

Result<GracePeriod> GracePeriod::begin(const GraceOptions& options, const std::string& namespace_path) {
  const auto scope = NamespaceScope::enter(namespace_path);
  if (!scope) { return scope.error(); }
  auto home = NamespaceHandle::current();
  if (!home) { return home.error(); }
  auto nft = Nft::open();
  if (!nft) { return nft.error(); }
  if (const auto loaded = nft.value().load(ruleset(options)); !loaded) { return loaded.error(); }
  if (const auto set = set_sysctl(loose_sysctl, "0"); !set) { return set.error(); }
  return GracePeriod(std::move(nft).value(), std::move(home).value(), options.tcp_loose_afterwards);
}

Result<std::uint64_t> GracePeriod::dropped() {
  const auto text = nft_.list_json("list table inet understudy_grace");
  if (!text) { return text.error(); }
  boost::system::error_code error;
  const boost::json::value listed = boost::json::parse(text.value(), error);
  std::uint64_t packets = 0;
  const auto add_rule = [&](const boost::json::value& item) {
    const auto* const rule = item.is_object() ? item.get_object().if_contains("rule") : nullptr;
    const auto* const expressions =
        rule != nullptr && rule->is_object() ? rule->get_object().if_contains("expr") : nullptr;
    if (expressions == nullptr || !expressions->is_array()) { return; }
    for (const auto& expression : expressions->get_array()) {
      const auto* const counter = expression.is_object() ? expression.get_object().if_contains("counter") : nullptr;
      const auto* const count =
          counter != nullptr && counter->is_object() ? counter->get_object().if_contains("packets") : nullptr;
      if (count != nullptr && count->is_int64()) { packets += static_cast<std::uint64_t>(count->get_int64()); }
    }
  };
  const auto* const items = !error && listed.is_object() ? listed.get_object().if_contains("nftables") : nullptr;
  if (items == nullptr || !items->is_array()) {
    return failure("nftables listed table inet understudy_grace in an unknown form", Errc::Damaged);
  }
  for (const auto& item : items->get_array()) { add_rule(item); }
  return packets;
}

Status GracePeriod::end() {
  const auto scope = home_.enter();
  if (!scope) { return scope.error(); }
  const auto removed = nft_.run("delete table inet understudy_grace");
  const auto set = set_sysctl(loose_sysctl, tcp_loose_afterwards_ ? "1" : "0");
  if (!removed && removed.error().code != Errc::NotFound) { return removed; }
  return set;
}

}  // namespace understudy::net
