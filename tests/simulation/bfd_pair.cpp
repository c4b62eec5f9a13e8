// SPDX-License-Identifier: Apache-2.0
#include "bfd_pair.hpp"

namespace understudy::sim {

namespace {
using link::bfd::SessionState;
constexpr Duration observer_interval = 50ms;
constexpr Duration blade_interval = 10ms;
constexpr Duration unknown_max = 5s;
constexpr Duration calm_before_rest = 3s;
}  // namespace

BfdPair::BfdPair(Network& network, Random& random) : network_(network), random_(random) {
  network_.on_before_change([this] { wake(); });
}

void BfdPair::start(End& end, Process& process, unsigned site, Duration interval) {
  wake();
  link::bfd::SessionParameters parameters;
  parameters.local_discriminator = ++discriminators_;
  parameters.desired_min_tx = interval;
  parameters.required_min_rx = interval;
  end.process = &process;
  end.site = site;
  end.life = process.life();
  end.session.emplace(
      parameters, [this] { return random_.unit(); }, process.machine().clock());
  end.timer.reset();
}

void BfdPair::watch(Process& observer, unsigned site, std::function<void(link::Vote)> on_vote) {
  on_vote_ = std::move(on_vote);
  start(ends_[0], observer, site, observer_interval);
  ends_[0].vote.emplace(observer.machine().clock(), unknown_max);
  arm(0);
}

void BfdPair::answer(Process& blade, unsigned site) {
  if (there(ends_[1])) { return; }  // the daemon refuses a peer that it has already
  start(ends_[1], blade, site, blade_interval);
  arm(1);
}

void BfdPair::stop_watching() {
  wake();
  ends_[0].session.reset();
  ends_[0].vote.reset();
}

void BfdPair::stop_answering() {
  wake();
  ends_[1].session.reset();
}

void BfdPair::leave_in_order() {
  wake();
  if (!there(ends_[1])) { return; }
  take(1, ends_[1].session->set_admin_down(ends_[1].process->machine().clock(), true));
  ends_[1].session.reset();
}

bool BfdPair::may_rest() const {
  const Instant now = network_.scheduler().now();
  if (!network_.calm(ends_[0].site, ends_[1].site) || now - network_.last_change() < calm_before_rest) { return false; }
  for (const auto& end : ends_) {
    if (!there(end) || !end.process->runs() || end.session->state() != SessionState::Up || end.session->polling() ||
        now - end.up_since < calm_before_rest) {
      return false;
    }
  }
  return true;
}

void BfdPair::wake() {
  if (!std::exchange(resting_, false)) { return; }
  for (unsigned index = 0; index < 2; ++index) {
    auto& end = ends_[index];
    auto& other = ends_[1 - index];
    if (!there(end) || !there(other)) { continue; }
    const auto output = end.session->on_tick(end.process->machine().clock());
    if (output.packet) { (void)other.session->on_packet(other.process->machine().clock(), output.packet->bytes()); }
  }
  for (unsigned index = 0; index < 2; ++index) {
    if (there(ends_[index])) { arm(index); }
  }
}

void BfdPair::say(End& end, bool changed) {
  if (!changed || !on_vote_) { return; }
  // BFD has a thread of its own, and posts what it sees to the loop.
  end.process->on_loop([this, life = end.life, vote = end.vote->vote()] {
    if (there(ends_[0]) && ends_[0].life == life) { on_vote_(vote); }
  });
}

void BfdPair::take(unsigned index, const link::bfd::Session::Output& output) {
  auto& end = ends_[index];
  const auto now = end.process->machine().clock();
  if (output.packet) {
    auto& other = ends_[1 - index];
    if (other.session && other.process->machine().up) {
      network_.datagram(end.site, other.site, *other.process,
                        [this, to = 1 - index, life = other.life, packet = *output.packet] {
                          auto& receiver = ends_[to];
                          if (!there(receiver) || receiver.life != life) { return; }
                          take(to, receiver.session->on_packet(receiver.process->machine().clock(), packet.bytes()));
                        });
    }
  }
  if (output.change) {
    if (output.change->to == SessionState::Up) { end.up_since = network_.scheduler().now(); }
    if (end.vote) { say(end, end.vote->on_change(now, *output.change)); }
  }
  arm(index);
}

void BfdPair::tick(unsigned index) {
  auto& end = ends_[index];
  const auto now = end.process->machine().clock();
  if (end.vote) { say(end, end.vote->on_time(now)); }
  if (!there(end)) { return; }
  take(index, end.session->on_tick(now));
}

void BfdPair::arm(unsigned index) {
  auto& end = ends_[index];
  if (resting_ || !there(end)) { return; }
  if (may_rest()) {
    resting_ = true;
    return;
  }
  Instant next = end.session->next_deadline();
  if (end.vote && end.vote->deadline()) { next = std::min(next, *end.vote->deadline()); }
  if (end.timer && *end.timer <= next) { return; }  // it looks again then
  end.timer = next;
  const auto timers = ++end.timers;
  const auto now = end.process->machine().clock();
  if (next - now > 24h) {
    end.timer.reset();
    return;
  }
  const auto look = [this, index, timers] {
    auto& mine = ends_[index];
    if (mine.timers != timers) { return; }
    mine.timer.reset();
    if (!there(mine) || resting_) { return; }
    if (mine.session->next_deadline() > mine.process->machine().clock() &&
        !(mine.vote && mine.vote->deadline() && *mine.vote->deadline() <= mine.process->machine().clock())) {
      arm(index);
      return;
    }
    tick(index);
  };
  const Duration wait = std::max(next - now, Duration{0});
  if (network_.bfd_on_loops) { return end.process->post(wait, look); }
  end.process->post_beside(wait, look);
}

}  // namespace understudy::sim
