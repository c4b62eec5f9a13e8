// SPDX-License-Identifier: Apache-2.0
#include "edge/bfd_observer.hpp"

#include <boost/asio/post.hpp>

#include "understudy/link/bfd_vote.hpp"

namespace understudy::control {
namespace {

/// BFD says hello once a second while a session is not up; whoever is silent for this long after the start is silent.
constexpr std::chrono::seconds kStartOver{5};

}  // namespace

using link::Vote;

BfdObserver::BfdObserver(boost::asio::io_context& io, OnVote on_vote) : on_vote_(std::move(on_vote)), start_over_(io) {}

BfdObserver::~BfdObserver() {
  if (service_) { service_->stop(); }
}

Result<std::unique_ptr<BfdObserver>> BfdObserver::start(boost::asio::io_context& io, const IpAddress& local,
                                                        const GroupConfig& group, OnVote on_vote) {
  std::unique_ptr<BfdObserver> observer(new BfdObserver(io, std::move(on_vote)));
  auto* self = observer.get();
  link::bfd::BfdService::Options options;
  options.local_addresses = {local};
  auto service = link::bfd::BfdService::start(options, [self, &io](const link::bfd::PeerEvent& event) {
    boost::asio::post(io, [self, alive = std::weak_ptr(self->alive_), event] {
      if (!alive.expired()) { self->on_change(event.peer, event.change); }
    });
  });
  if (!service) { return service.error(); }
  observer->service_ = std::move(service).value();
  for (const auto& blade : group.blades) {
    observer->blades_[blade.address] = blade.id;
    link::bfd::PeerOptions peer;
    peer.interval = std::chrono::milliseconds(group.bfd.interval_ms);
    peer.multiplier = static_cast<std::uint8_t>(group.bfd.multiplier);
    if (auto added = observer->service_->add_peer(blade.address, peer); !added) {
      return failure("BFD with " + blade.id.value + ": " + added.error().message, added.error().code);
    }
  }
  observer->start_over_.expires_after(kStartOver);
  observer->start_over_.async_wait([self, alive = std::weak_ptr(observer->alive_)](const auto& error) {
    if (error || alive.expired()) { return; }
    for (const auto& [address, blade] : self->blades_) {
      if (!self->votes_.contains(address)) { self->vote(address, Vote::Down); }
    }
  });
  return observer;
}

void BfdObserver::on_change(const IpAddress& peer, const link::bfd::StateChange& change) {
  if (const auto said = link::bfd::vote_of(change)) { vote(peer, *said); }
}

void BfdObserver::vote(const IpAddress& peer, Vote vote) {
  votes_[peer] = vote;
  on_vote_(blades_.at(peer), vote);
}

}  // namespace understudy::control
