// SPDX-License-Identifier: Apache-2.0
#include "engine.hpp"

namespace understudy::sim {

namespace {
std::uint64_t rotate(std::uint64_t value, int by) { return (value << by) | (value >> (64 - by)); }
}  // namespace

Random::Random(std::uint64_t seed) : state_{} {
  for (auto& word : state_) {
    seed += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    word = mixed ^ (mixed >> 31);
  }
}

std::uint64_t Random::next() {
  const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = rotate(state_[3], 45);
  return result;
}

void Scheduler::after(Duration wait, Process& process, bool on_its_loop, Action action) {
  add(now_ + wait, {std::move(action), &process, process.life(), on_its_loop});
}

void Scheduler::add(Instant when, Work work) {
  std::size_t place = works_.size();
  if (vacant_.empty()) {
    works_.push_back(std::move(work));
  } else {
    place = vacant_.back();
    vacant_.pop_back();
    works_[place] = std::move(work);
  }
  items_.push_back({std::max(when, now_), ++number_, place});
  std::push_heap(items_.begin(), items_.end(), Later{});
}

bool Scheduler::run_one(Instant end) {
  if (items_.empty() || items_.front().when > end) {
    now_ = std::max(now_, end);
    return false;
  }
  std::pop_heap(items_.begin(), items_.end(), Later{});
  const Item item = items_.back();
  items_.pop_back();
  Work work = std::move(works_[item.place]);
  vacant_.push_back(item.place);
  now_ = item.when;
  ++steps_;
  if (work.process != nullptr) {
    work.process->run(work.life, work.on_its_loop, std::move(work.action));
  } else {
    work.action();
  }
  return true;
}

Machine::Machine(Scheduler& scheduler, std::string machine_name, Machine* host)
    : name(std::move(machine_name)), scheduler_(scheduler), host_(host), base_real_(scheduler.now()) {
  base_local_ = base_real_;
  if (host_ != nullptr) { host_->guests_.push_back(this); }
}

void Machine::power_on() {
  up = true;
  ++boot;
  frozen_ = false;
  waiting_.clear();
}

void Machine::power_off() {
  up = false;
  frozen_ = false;
  waiting_.clear();
  for (auto* guest : guests_) { guest->power_off(); }
}

void Machine::thaw() {
  frozen_ = false;
  flush();
}

void Machine::flush() {
  if (frozen()) { return; }
  for (auto& action : std::exchange(waiting_, {})) { scheduler_.after(0ns, std::move(action)); }
  for (auto* guest : guests_) { guest->flush(); }
}

Instant Machine::clock() const {
  if (host_ != nullptr) { return host_->clock(); }
  const auto passed = static_cast<double>((scheduler_.now() - base_real_).count()) * rate_;
  return base_local_ + Duration(static_cast<Duration::rep>(passed));
}

Duration Machine::real(Duration local) const {
  if (host_ != nullptr) { return host_->real(local); }
  // A moment longer than exact: who wakes before its own deadline would wait for nothing, for ever.
  return Duration(static_cast<Duration::rep>(static_cast<double>(local.count()) / rate_)) + 1ns;
}

void Machine::set_rate(double rate) {
  base_local_ = clock();
  base_real_ = scheduler_.now();
  rate_ = rate;
}

void Machine::jump(Duration forward) {
  base_local_ = clock() + forward;
  base_real_ = scheduler_.now();
}

void Process::run(std::uint64_t life, bool on_its_loop, Action action) {
  if (life != this->life()) { return; }
  machine_.run([this, life, on_its_loop, action = std::move(action)]() mutable {
    if (life != this->life()) { return; }
    if (on_its_loop) {
      on_loop(std::move(action));
    } else {
      action();
    }
  });
}

void Process::go_on() {
  hangs_ = false;
  for (auto& action : std::exchange(waiting_, {})) { deliver(std::move(action)); }
}

}  // namespace understudy::sim
