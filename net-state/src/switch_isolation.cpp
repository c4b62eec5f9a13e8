// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "nft_set.hpp"
#include "understudy/net/gate.hpp"
#include "understudy/net/interfaces.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy::net {
namespace {

constexpr const char* chain_names[] = {"prerouting", "forward", "output"};

/// A rule about a name that no port of a bridge has stops nothing, so the kernel's list of names alone proves nothing.
Status check_bridge_port(const std::vector<LinkState>& links, const std::string& name) {
  const auto port = std::find_if(links.begin(), links.end(), [&](const LinkState& link) { return link.name == name; });
  if (port == links.end()) {
    return failure("the switch has no port \"" + name + "\": nothing is isolated by that name; see switch_ports",
                   Errc::NotFound);
  }
  const auto master =
      std::find_if(links.begin(), links.end(), [&](const LinkState& link) { return link.index == port->master_index; });
  if (master == links.end() || master->kind != "bridge") {
    return failure(
        "\"" + name + "\" is no port of a bridge of the switch: isolating it stops nothing; see switch_ports",
        Errc::BadInput);
  }
  return {};
}

}  // namespace

SwitchIsolation::SwitchIsolation(std::unique_ptr<NftSet> set, std::unique_ptr<Links> links)
    : set_(std::move(set)), links_(std::move(links)) {}
SwitchIsolation::SwitchIsolation(SwitchIsolation&&) noexcept = default;
SwitchIsolation& SwitchIsolation::operator=(SwitchIsolation&&) noexcept = default;
SwitchIsolation::~SwitchIsolation() = default;

Result<SwitchIsolation> SwitchIsolation::attach(const std::string& namespace_path) {
  std::unique_ptr<Links> links;
  {
    const auto scope = NamespaceScope::enter(namespace_path);
    if (!scope) { return scope.error(); }
    if (const auto kept = keep_bridged_frames_out_of_ip_filters(); !kept) { return kept.error(); }
    auto opened = Links::open();
    if (!opened) { return opened.error(); }
    links = std::make_unique<Links>(std::move(opened).value());
  }
  auto nft = Nft::open(namespace_path);
  if (!nft) { return nft.error(); }
  std::string text =
      "add table bridge understudy_switch\n"
      "add set bridge understudy_switch isolated { type ifname; }\n";
  for (const std::string chain : chain_names) {
    const std::string name = "bridge understudy_switch " + chain;
    text += "add chain " + name + " { type filter hook " + chain + " priority -450; policy accept; }\n";
    text += "flush chain " + name + "\n";
    text += "add rule " + name + (chain == "prerouting" ? " iifname" : " oifname") + " @isolated drop\n";
  }
  if (const auto made = nft.value().run(text); !made) { return made.error(); }
  return SwitchIsolation(std::make_unique<NftSet>(std::move(nft).value(), "bridge", "understudy_switch", "isolated",
                                                  std::vector<std::string>{}),
                         std::move(links));
}

Status SwitchIsolation::isolate(const std::vector<std::string>& ports) {
  if (const auto added = set_->add(ports); !added) { return added; }
  const auto confirmed = are_isolated(ports);
  if (!confirmed) { return confirmed.error(); }
  if (!confirmed.value()) {
    return failure("the switch does not show every one of " + quoted_list(ports) + " isolated");
  }
  return {};
}

Status SwitchIsolation::readmit(const std::vector<std::string>& ports) { return set_->remove(ports); }

Result<std::vector<std::string>> SwitchIsolation::isolated() {
  auto table = set_->read_back();
  if (!table) { return table.error(); }
  for (const char* name : chain_names) {
    const ChainReadBack* const chain = table.value().chain(name);
    const bool drops = chain != nullptr && std::find(chain->sets_dropped.begin(), chain->sets_dropped.end(),
                                                     "isolated") != chain->sets_dropped.end();
    if (!drops) {
      return failure("table bridge understudy_switch has no rule in chain " + std::string(name) +
                         " that drops isolated ports: it isolates nothing",
                     Errc::Damaged);
    }
  }
  return std::move(table).value().elements;
}

Result<bool> SwitchIsolation::are_isolated(const std::vector<std::string>& ports) {
  const auto links = links_->list();
  if (!links) { return links.error(); }
  for (const std::string& port : ports) {
    if (const auto good = check_bridge_port(links.value(), port); !good) { return good.error(); }
  }
  const auto members = isolated();
  if (!members) { return members.error(); }
  return std::all_of(ports.begin(), ports.end(), [&](const std::string& port) {
    return std::find(members.value().begin(), members.value().end(), port) != members.value().end();
  });
}

}  // namespace understudy::net
