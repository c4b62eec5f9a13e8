// SPDX-License-Identifier: Apache-2.0
#include "owners.hpp"

#include <algorithm>

namespace lab {
namespace {

const char* kind_text(FrameKind kind) {
  switch (kind) {
    case FrameKind::Arp:
      return "ARP";
    case FrameKind::Neighbour:
      return "neighbour discovery";
    case FrameKind::Udp:
      return "UDP";
    case FrameKind::Tcp:
      return "TCP";
    case FrameKind::Other:
      return "other";
  }
  return "other";
}

}  // namespace

std::vector<std::string> OwnerWatch::addresses_of(const Frame& frame) {
  std::vector<std::string> addresses = frame.claims;
  if (is_service_mac(frame.source_mac)) addresses.push_back(frame.source_mac);
  return addresses;
}

void OwnerWatch::arrived(std::int64_t time_ns, const std::string& segment, const std::string& port, std::uint64_t hash,
                         const Frame& frame) {
  forget_before(time_ns - window_ns);
  if (addresses_of(frame).empty()) return;
  ++arrived_;
  arrivals_.push_back({time_ns, segment, port, hash, frame, {}});
  by_hash_[hash].push_back(&arrivals_.back());
}

void OwnerWatch::left(std::int64_t time_ns, const std::string& segment, const std::string& port, std::uint64_t hash) {
  Arrival* arrival = match(segment, port, hash);
  if (arrival == nullptr) return;
  const bool first = arrival->left_at.empty();
  arrival->left_at.insert(port);
  if (!first) return;  // flooded to several ports: forwarded once
  ++forwarded_;
  for (const auto& address : addresses_of(arrival->frame)) speaks(time_ns, *arrival, address);
}

void OwnerWatch::forget_before(std::int64_t time_ns) {
  while (!arrivals_.empty() && arrivals_.front().time_ns < time_ns) {
    const auto found = by_hash_.find(arrivals_.front().hash);
    found->second.pop_front();  // the same order as arrivals_
    if (found->second.empty()) by_hash_.erase(found);
    arrivals_.pop_front();
  }
}

/// The arrival that leaves now: one of these bytes that has not left at this port yet, the owner's before others',
/// the latest first.
OwnerWatch::Arrival* OwnerWatch::match(const std::string& segment, const std::string& port, std::uint64_t hash) {
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end()) return nullptr;
  Arrival* best = nullptr;
  for (auto at = found->second.rbegin(); at != found->second.rend(); ++at) {
    Arrival& candidate = **at;
    if (candidate.segment != segment || candidate.port == port || candidate.left_at.contains(port)) continue;
    if (is_from_owner(candidate)) return &candidate;
    if (best == nullptr) best = &candidate;
  }
  return best;
}

bool OwnerWatch::is_from_owner(const Arrival& arrival) const {
  for (const auto& address : addresses_of(arrival.frame)) {
    const auto owner = owners_.find({arrival.segment, address});
    if (owner != owners_.end() && owner->second.port == arrival.port) return true;
  }
  return false;
}

void OwnerWatch::speaks(std::int64_t time_ns, const Arrival& arrival, const std::string& address) {
  Owner& owner = owners_[{arrival.segment, address}];
  if (owner.port == arrival.port) return;
  if (owner.former.contains(arrival.port)) {
    if (violations_.size() < most_recorded)
      violations_.push_back(
          {time_ns, arrival.segment, address, arrival.port, owner.port, kind_text(arrival.frame.kind)});
    return;
  }
  if (!owner.port.empty()) owner.former.insert(owner.port);
  if (changes_.size() < most_recorded)
    changes_.push_back({time_ns, arrival.segment, address, arrival.port, owner.port});
  owner.port = arrival.port;
}

}  // namespace lab
