// SPDX-License-Identifier: Apache-2.0
#include "nft_set.hpp"
#include "understudy/net/gate.hpp"
#include "understudy/net/interfaces.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy::net {
namespace {

/// NotFound names the missing interface, before nftables says something less clear.
Status check_interfaces(const std::vector<std::string>& interfaces, const std::string& namespace_path) {
  const auto scope = NamespaceScope::enter(namespace_path);
  if (!scope) { return scope.error(); }
  auto links = Links::open();
  if (!links) { return links.error(); }
  for (const std::string& name : interfaces) {
    if (const auto good = check_interface_name(name); !good) { return good; }
    if (const auto index = links.value().index_of(name); !index) { return index.error(); }
  }
  return {};
}

std::string chain_text(const std::string& chain, const std::string& hook, const std::string& side,
                       const std::string& device) {
  const std::string name = "netdev understudy_gate " + chain;
  return "add chain " + name + " { type filter hook " + hook + " device \"" + device +
         "\" priority -400; policy drop; }\nflush chain " + name + "\nadd rule " + name + " " + side +
         " @open accept\n";
}

}  // namespace

Result<HostGate> HostGate::attach(const std::vector<std::string>& interfaces, const std::string& namespace_path) {
  if (const auto present = check_interfaces(interfaces, namespace_path); !present) { return present.error(); }
  auto nft = Nft::open(namespace_path);
  if (!nft) { return nft.error(); }
  const std::string head =
      "add table netdev understudy_gate\n"
      "add set netdev understudy_gate open { type ifname; flags timeout; }\n";
  std::string text = head;
  std::vector<std::string> chains;
  for (const std::string& name : interfaces) {
    chains.push_back("in_" + name);
    chains.push_back("out_" + name);
    text += chain_text("in_" + name, "ingress", "iifname", name) + chain_text("out_" + name, "egress", "oifname", name);
  }
  if (const auto made = nft.value().run(text); !made) {
    std::string ingress_only = head;
    for (const std::string& name : interfaces) { ingress_only += chain_text("in_" + name, "ingress", "iifname", name); }
    if (!nft.value().run(ingress_only)) { return made.error(); }
    (void)nft.value().run("delete table netdev understudy_gate");
    return failure(
        "this kernel has no netdev egress hook (Linux 5.16 with CONFIG_NETFILTER_EGRESS): the service "
        "interfaces cannot be gated on the host itself: " +
        made.error().message);
  }
  return HostGate(
      std::make_unique<NftSet>(std::move(nft).value(), "netdev", "understudy_gate", "open", std::move(chains)));
}

Status HostGate::remove() { return set_->nft().run("delete table " + set_->table()); }

}  // namespace understudy::net
