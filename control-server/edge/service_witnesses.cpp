// SPDX-License-Identifier: Apache-2.0
// How the daemon listens to its independent witnesses: by ICMP on a thread of its own, by BFD with the blades'
// sessions.
#include "edge/service.hpp"
#include "understudy/common/boot_clock.hpp"

namespace understudy::control {

Status ControlService::watch_witnesses() {
  std::vector<WitnessConfig> by_icmp;
  for (const auto& witness : config_.group.witnesses) {
    if (witness.by == WitnessConfig::By::Icmp) {
      by_icmp.push_back(witness);
      continue;
    }
    link::bfd::PeerOptions peer;
    peer.interval = witness.interval;
    peer.multiplier = static_cast<std::uint8_t>(witness.count);
    peer.authentication = config_.witness_authentication.at(witness.name);
    if (auto added = observer_->add_peer(witness.address, peer); !added) {
      return failure("BFD with witness " + witness.name + ": " + added.error().message, added.error().code);
    }
  }
  if (by_icmp.empty()) { return {}; }
  icmp_ = std::make_unique<IcmpWatch>(io_, std::move(icmp_sockets_), std::move(by_icmp),
                                      [this](const WitnessSeen& seen) { witness_seen(seen); });
  return {};
}

void ControlService::witness_seen(const WitnessSeen& seen) {
  witnesses_[seen.name] = seen;
  if (group_) { step(seen); }
}

void ControlService::witness_voted(const std::string& name, link::Vote vote) {
  const auto since = vote == link::Vote::Up ? std::optional(boot_now()) : std::nullopt;
  witness_seen({name, vote, since});
}

}  // namespace understudy::control
