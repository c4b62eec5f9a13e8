// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "nft_set.hpp"
#include "understudy/net/gate.hpp"
#include "understudy/net/namespace.hpp"

namespace understudy::net {

Gate::Gate(std::unique_ptr<NftSet> set) : set_(std::move(set)) {}
Gate::Gate(Gate&&) noexcept = default;
Gate& Gate::operator=(Gate&&) noexcept = default;
Gate::~Gate() = default;

Status Gate::open(const std::string& port) { return set_->put(port, {}); }

Status Gate::open_for(const std::string& port, std::chrono::milliseconds duration) { return set_->put(port, duration); }

Status Gate::refresh(const std::string& port, std::chrono::milliseconds duration) {
  return set_->refresh(port, duration);
}

Status Gate::close(const std::string& port) {
  if (const auto removed = set_->remove({port}); !removed) { return removed; }
  const auto open = is_open(port);
  if (!open) { return open.error(); }
  if (open.value()) { return failure("port " + port + " is still open after it was closed"); }
  return {};
}

Result<bool> Gate::is_open(const std::string& port) {
  const auto ports = open_ports();
  if (!ports) { return ports.error(); }
  return std::find(ports.value().begin(), ports.value().end(), port) != ports.value().end();
}

Result<std::vector<std::string>> Gate::open_ports() { return set_->members(); }

Status close_all(Gate& gate, const std::vector<std::string>& ports) {
  Status all;
  for (const auto& port : ports) {
    if (auto closed = gate.close(port); !closed && all.ok()) { all = closed; }
  }
  return all;
}

Result<BridgeGate> BridgeGate::attach(const std::vector<std::string>& ungated, const std::string& namespace_path) {
  for (const std::string& name : ungated) {
    if (const auto good = check_interface_name(name); !good) { return good.error(); }
  }
  {
    const auto scope = NamespaceScope::enter(namespace_path);
    if (!scope) { return scope.error(); }
    if (const auto kept = keep_bridged_frames_out_of_ip_filters(); !kept) { return kept.error(); }
  }
  auto nft = Nft::open(namespace_path);
  if (!nft) { return nft.error(); }
  // One transaction, and sets keep their elements: adopting opens and closes nothing.
  std::string text =
      "add table bridge understudy_gate\n"
      "add set bridge understudy_gate ungated { type ifname; }\n"
      "add set bridge understudy_gate open { type ifname; flags timeout; }\n";
  for (const std::string chain : {"prerouting", "forward", "output"}) {
    const std::string name = "bridge understudy_gate " + chain;
    const std::string side = chain == "prerouting" ? "iifname" : "oifname";
    text += "add chain " + name + " { type filter hook " + chain + " priority -400; policy drop; }\n";
    text += "flush chain " + name + "\n";
    text += "add rule " + name + " " + side + " @ungated accept\n";
    text += "add rule " + name + " " + side + " @open accept\n";
  }
  if (!ungated.empty()) { text += "add element bridge understudy_gate ungated { " + quoted_list(ungated) + " }\n"; }
  if (const auto made = nft.value().run(text); !made) { return made.error(); }
  return BridgeGate(std::make_unique<NftSet>(std::move(nft).value(), "bridge", "understudy_gate", "open",
                                             std::vector<std::string>{"prerouting", "forward", "output"}));
}

Status BridgeGate::add_ungated(const std::string& port) {
  if (const auto good = check_interface_name(port); !good) { return good; }
  return set_->nft().run("add element bridge understudy_gate ungated { \"" + port + "\" }");
}

Status BridgeGate::remove() { return set_->nft().run("delete table " + set_->table()); }

}  // namespace understudy::net
