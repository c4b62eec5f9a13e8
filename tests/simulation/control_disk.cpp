// SPDX-License-Identifier: Apache-2.0
/// The disk of the only control-server. Its store is written on the loop's own thread (control-server/edge/store.cpp),
/// so that a write that does not come back holds the loop, in the middle of a step; BFD's thread and the witnesses' go
/// on, what they see waits, and so does whatever host-agents say.
///
///     step ── Persist ──► write ┄┄┄┄ the disk hangs ┄┄┄┄► done, or failed ──► the other effects of the step, what
///     waited
///                                                    └──► later than WatchdogSec=: the daemon is ended with it
///
/// A write that has failed may be found by whoever reads the store after a crash: its commit lies in SQLite's log, and
/// only its flush was refused. Nothing that was written since takes it back but another write.
#include "control_edge.hpp"

namespace understudy::sim {

using namespace control;

namespace {
constexpr Duration probe_every = 5s;
constexpr Duration again = 500ms;
}  // namespace

void ControlServer::write_to_disk(Action change, std::function<void(bool)> ended) {
  const auto write = [this](const Action& what) {
    what();
    all_.disk.ghost = nullptr;
  };
  if (!world.troubles.store_hangs || !world.random.chance(0.5)) {
    write(change);
    return ended(true);
  }
  UNDERSTUDY_ASSERT(!write_ && "whoever writes runs on the loop");
  world.bite(Fault::StoreHangs);
  const Duration lasts = world.random.between(1s, world.random.chance(0.7) ? 5s : 15s);
  const Duration watchdog = world.random.between(9s, 10s);
  const bool fails = world.random.chance(0.4);
  const bool there = world.random.chance(0.5);
  if (world.has(Bug::AnswerBeforeTheDisk)) {
    if (!fails) { world.scheduler.after(lasts, change); }
    return ended(true);
  }
  world.trace(name_, fails ? "its disk hangs, and fails" : "its disk hangs");
  write_ = Write{std::move(change), std::move(ended), fails, there};
  waits_for_disk_ = true;
  process.hang();
  world.scheduler.after(lasts, [this, life = process.life(), in_time = lasts < watchdog] {
    process.machine().run([this, life, in_time] {
      if (life != 0 && process.life() == life) { disk_answers(in_time); }
    });
  });
}

void ControlServer::disk_answers(bool in_time) {
  if (!in_time) {  // the signal came long ago: nothing of the daemon runs after its call to the kernel
    world.trace(name_, "its disk answers, and its watchdog has ended it");
    crash();
    return all_.on_watchdog(index_);
  }
  world.trace(name_, "its disk answers");
  const auto write = *std::exchange(write_, std::nullopt);
  waits_for_disk_ = false;
  all_.disk.ghost = write.fails && write.there ? write.change : nullptr;
  if (!write.fails) { write.change(); }
  const auto life = process.life();
  write.ended(!write.fails);
  if (process.life() != life) { return; }
  if (stepping) { go_on_stepping(); }
  if (process.life() == life && !waits_for_disk_) { process.go_on(); }
}

/// It may have come to the disk, or not.
void ControlServer::give_up_write() {
  const auto write = std::exchange(write_, std::nullopt);
  waits_for_disk_ = false;
  if (write && world.random.chance(0.5)) { write->change(); }
}

void ControlServer::find_ghost() {
  const auto ghost = std::exchange(all_.disk.ghost, nullptr);
  if (!ghost || !world.random.chance(0.5)) { return; }
  world.trace(name_, "finds a write that had failed");
  ghost();
}

void ControlServer::probe_store() {
  write_to_disk([] {}, [](bool) {});
  process.post(probe_every, [this] { probe_store(); });
}

/// The event log is written after the effects of a step.
void ControlServer::flush_events() {
  if (!world.settings.hangs || all_.several() || std::exchange(flush_posted_, true)) { return; }
  process.post(0ns, [this] {
    flush_posted_ = false;
    write_to_disk([] {}, [](bool) {});
  });
}

// --- words that are written again and again (control-server/edge/patient_writes.cpp) ---

void ControlServer::put(const std::string& what, Action change) {
  words_[what] = ++last_word_;
  put_again(what, change, last_word_);
}

void ControlServer::put_again(const std::string& what, const Action& change, std::uint64_t number) {
  write_to_disk(change, [this, what, change, number](bool done) {
    if (done) { return; }
    process.post(again, [this, what, change, number] {
      if (words_[what] == number) { put_again(what, change, number); }
    });
  });
}

// --- ownerships ---

void ControlServer::perform(const Persist& effect) {
  if (all_.several()) { return persist_in_etcd(effect); }
  const auto& next = effect.next;
  if (world.fails(world.troubles.store_refuses, Fault::StoreRefuses)) {
    queue.push_back(StoreFailed{next.role, next.highest(), false, "disk full"});
    return;
  }
  const auto& stored = all_.disk.store[next.role];
  if (stored.term != effect.expected || stored.reserved != effect.expected_reserved) {
    queue.push_back(StoreFailed{next.role, next.highest(), true, "another term"});
    return;
  }
  write_to_disk([this, effect] { persist_on_disk(effect); },
                [this, next](bool done) {
                  if (done) { return queue.push_back(StoreDone{next.role, next.highest()}); }
                  queue.push_back(StoreFailed{next.role, next.highest(), false, "disk I/O error"});
                });
}

void ControlServer::persist_on_disk(const Persist& effect) {
  const auto& next = effect.next;
  auto& disk = all_.disk;
  auto& stored = disk.store[next.role];
  written(stored, next);
  // As the product flushes: a host that let go of a role tells nobody later that somebody else has it, and a gate that
  // nothing closes by itself must not be taken for a timed one.
  const bool let_go = next.evidence == link::StopEvidence::StoodDown && next.place.kind == PlaceKind::Mirror;
  const bool exposes = stored.leased && !next.leased && next.term == stored.term;
  const bool flushed = let_go || exposes;
  if (!flushed) { disk.former.push_back(disk.store); }
  if (disk.former.size() > 4) { disk.former.erase(disk.former.begin()); }
  stored = next;
  if (flushed) { disk.former.clear(); }
  if (disk.former.size() % 4 == 1) { disk.on_disk = disk.store; }
}

}  // namespace understudy::sim
