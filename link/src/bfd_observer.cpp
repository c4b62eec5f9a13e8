// SPDX-License-Identifier: Apache-2.0
#include "understudy/link/bfd_observer.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <vector>

#include "understudy/common/boot_clock.hpp"
#include "understudy/common/log.hpp"

namespace understudy::link::bfd {

Observer::Observer(boost::asio::io_context& io, Duration unknown_max, OnVote on_vote)
    : io_(io), unknown_max_(unknown_max), on_vote_(std::move(on_vote)), timer_(io) {}

Observer::~Observer() {
  if (service_) { service_->stop(); }
}

Result<std::unique_ptr<Observer>> Observer::start(boost::asio::io_context& io, const Options& options, OnVote on_vote) {
  std::unique_ptr<Observer> observer(new Observer(io, options.unknown_max, std::move(on_vote)));
  auto* self = observer.get();
  const auto on_change = [self, &io](const PeerEvent& event) {
    boost::asio::post(io, [self, alive = std::weak_ptr(self->alive_), event] {
      if (!alive.expired()) { self->on_event(event); }
    });
  };
  auto service = BfdService::start(options.service, on_change, self->tell_refusals());
  if (!service) { return service.error(); }
  observer->service_ = std::move(service).value();
  return observer;
}

/// Posted: the log may block, and BFD's thread must not.
BfdService::Refused Observer::tell_refusals() {
  return [this](const IpAddress& peer, Discard why) {
    boost::asio::post(io_, [this, alive = std::weak_ptr(alive_), peer, why] {
      if (!alive.expired()) { log::warn("{}", service_->describe_refusal(peer, why)); }
    });
  };
}

Status Observer::add_peer(const IpAddress& peer, const PeerOptions& options) {
  if (auto added = service_->add_peer(peer, options); !added) { return added; }
  votes_.emplace(peer, PeerVote(boot_now(), unknown_max_));
  arm();
  return {};
}

Status Observer::remove_peer(const IpAddress& peer) {
  votes_.erase(peer);
  return service_->remove_peer(peer);
}

void Observer::on_event(const PeerEvent& event) {
  const auto found = votes_.find(event.peer);
  if (found == votes_.end()) { return; }
  const auto& change = event.change;
  if (change.to == SessionState::Up) {
    const auto status = service_->status(event.peer);
    log::info("BFD with {}: Up, authentication {}", event.peer.to_string(), status ? status->authentication : "");
  } else if (change.from == SessionState::Up) {
    log::info("BFD with {}: {} ({}); it had said {} ({})", event.peer.to_string(), to_string(change.to),
              to_string(change.diagnostic), to_string(change.remote_state), diagnostic_name(change.remote_diagnostic));
  }
  const bool changed = found->second.on_change(event.at, event.change);
  const Vote vote = found->second.vote();
  arm();
  if (changed) { on_vote_(event.peer, vote); }
}

void Observer::arm() {
  std::optional<Instant> next;
  for (const auto& [peer, vote] : votes_) {
    if (const auto deadline = vote.deadline()) { next = next ? std::min(*next, *deadline) : *deadline; }
  }
  timer_.cancel();
  if (!next) { return; }
  timer_.expires_after(std::max(*next - boot_now(), Duration{0}));
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (error || alive.expired()) { return; }
    std::vector<std::pair<IpAddress, Vote>> told;
    for (auto& [peer, vote] : votes_) {
      if (vote.on_time(boot_now())) { told.emplace_back(peer, vote.vote()); }
    }
    arm();
    for (const auto& [peer, vote] : told) {
      if (votes_.contains(peer)) { on_vote_(peer, vote); }
    }
  });
}

}  // namespace understudy::link::bfd
