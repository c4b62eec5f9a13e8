// SPDX-License-Identifier: Apache-2.0
#include "network.hpp"

namespace understudy::sim {

namespace {
constexpr Duration retransmission = 200ms;
}

// --- streams ---

Stream::Stream(Network& network, End a, End b) : network_(network), ends_{std::move(a), std::move(b)} {}

bool Stream::healthy() const {
  for (const auto& end : ends_) {
    if (end.process->life() != end.life || !end.process->machine().runs()) { return false; }
  }
  return network_.passes(ends_[0].site, ends_[1].site) && network_.passes(ends_[1].site, ends_[0].site);
}

bool Stream::send(unsigned from, Action action) {
  auto& sender = ends_[from];
  const unsigned to = 1 - from;
  if (!sender.open) { return false; }
  auto wait = network_.latency(sender.site, ends_[to].site);
  const auto& path = network_.path(sender.site, ends_[to].site);
  if (sender.site != ends_[to].site && network_.random().chance(path.loss)) {
    wait += retransmission;
    network_.on_bite(Fault::Loss);
  }
  auto& scheduler = network_.scheduler();
  ends_[to].last_arrival = std::max(ends_[to].last_arrival, scheduler.now() + wait);
  scheduler.at(ends_[to].last_arrival, [self = shared_from_this(), to, action = std::move(action)]() mutable {
    self->arrive(to, std::move(action));
  });
  return true;
}

void Stream::arrive(unsigned to, Action action) {
  auto& end = ends_[to];
  if (!end.open) { return; }
  if (!end.held.empty() || !network_.passes(ends_[1 - to].site, end.site)) {
    if (end.held.empty()) { network_.cut_bites(ends_[1 - to].site, end.site); }
    end.held.push_back(std::move(action));
    return;
  }
  if (end.process->life() != end.life) { return; }
  end.process->machine().run([self = shared_from_this(), to, action = std::move(action)]() mutable {
    auto& receiver = self->ends_[to];
    if (!receiver.open || receiver.process->life() != receiver.life) { return; }
    receiver.process->on_loop([self, to, action = std::move(action)] {
      if (self->ends_[to].open) { action(); }
    });
  });
}

void Stream::lose(unsigned index) {
  auto& end = ends_[index];
  if (!end.open) { return; }
  end.open = false;
  end.held.clear();
  if (end.process->life() == end.life && end.on_lost) { end.process->deliver(end.on_lost); }
  tell_closed(1 - index);
}

/// The other side's kernel has closed: known here as soon as a packet comes through.
void Stream::tell_closed(unsigned index) {
  if (!ends_[index].open) { return; }
  const unsigned from = 1 - index;
  if (!ends_[from].process->machine().up || !network_.passes(ends_[from].site, ends_[index].site)) { return; }
  auto& scheduler = network_.scheduler();
  const Instant at =
      std::max(scheduler.now() + network_.latency(ends_[from].site, ends_[index].site), ends_[index].last_arrival);
  scheduler.at(at, [self = shared_from_this(), index] { self->lose(index); });
}

void Stream::close(unsigned index) {
  auto& end = ends_[index];
  if (!end.open) { return; }
  end.open = false;
  end.held.clear();
  tell_closed(1 - index);
}

void Stream::look() {
  for (unsigned to = 0; to < 2; ++to) {
    if (!network_.passes(ends_[1 - to].site, ends_[to].site)) { continue; }
    for (auto& action : std::exchange(ends_[to].held, {})) { arrive(to, std::move(action)); }
    // A packet to a machine that does not know the stream, or not any more, is answered with a reset.
    const auto& other = ends_[1 - to];
    const bool unknown = !other.open || (other.process->life() != other.life && other.process->machine().up);
    if (ends_[to].open && unknown && other.process->machine().runs()) { tell_closed(to); }
  }
  if (healthy()) {
    suspicious_ = false;
    ++doubt_;
    return;
  }
  if (std::exchange(suspicious_, true)) { return; }
  const auto doubt = ++doubt_;
  for (unsigned index = 0; index < 2; ++index) {
    const auto& end = ends_[index];
    if (!end.open || end.process->life() != end.life) { continue; }
    const auto wait = network_.random().between(end.timeout_min, end.timeout_max);
    end.process->post(wait, [self = shared_from_this(), index, doubt] {
      if (self->doubt_ == doubt && self->suspicious_) { self->lose(index); }
    });
  }
}

// --- the network ---

Duration Network::latency(unsigned from, unsigned to) {
  if (from == to) { return random_.between(20us, 100us); }
  const auto& path = paths_[from][to];
  if (path.delay != 0ns) { on_bite(Fault::Delay); }
  return path.delay + random_.between(100us, 400us) + random_.between(0ns, path.spread + 1ns);
}

void Network::before_change() {
  last_change_ = scheduler_.now();
  for (const auto& watcher : watchers_) { watcher(); }
}

void Network::after_change() {
  last_change_ = scheduler_.now();
  std::erase_if(streams_, [](const auto& stream) { return stream->closed(); });
  const auto streams = streams_;
  for (const auto& stream : streams) { stream->look(); }
}

void Network::datagram(unsigned from, unsigned to, Process& receiver, Action action) {
  auto& path = paths_[from][to];
  if (from != to && path.cuts != 0) { return cut_bites(from, to); }
  if (from != to && path.filters != 0) { return on_bite(Fault::BfdFiltered); }
  if (from != to && random_.chance(path.loss)) { return on_bite(Fault::Loss); }
  const unsigned copies = from != to && random_.chance(path.twice) ? 2 : 1;
  if (copies > 1) { on_bite(Fault::Duplicate); }
  for (unsigned i = 0; i < copies; ++i) {
    const Instant arrival = scheduler_.now() + latency(from, to);
    if (path.spread != 0ns && arrival < path.newest) { on_bite(Fault::Reorder); }
    path.newest = std::max(path.newest, arrival);
    Action mine = i + 1 < copies ? action : std::move(action);
    scheduler_.at(arrival, [this, from, to, &receiver, life = receiver.life(), mine = std::move(mine)]() mutable {
      if (life == 0 || !passes(from, to) || receiver.life() != life) { return; }
      receiver.machine().run([&receiver, life, mine = std::move(mine)] {
        if (receiver.life() == life) { mine(); }
      });
    });
  }
}

std::shared_ptr<Stream> Network::connect(Stream::End a, Stream::End b) {
  a.life = a.process->life();
  b.life = b.process->life();
  auto stream = std::make_shared<Stream>(*this, std::move(a), std::move(b));
  streams_.push_back(stream);
  return stream;
}

}  // namespace understudy::sim
