// SPDX-License-Identifier: Apache-2.0
#include "bed.hpp"

#include <unistd.h>

#include <algorithm>

#include "stopwatch.hpp"

namespace understudy::bench {
namespace {

constexpr std::size_t step = 4096;                    // records between two looks at the clock
constexpr std::size_t insert_at_least = 300'000;      // small tables are filled anew until it is as many
constexpr std::size_t journal_read_bytes = 48 << 20;  // of a ring of 64 MiB

void must_be(std::size_t found, std::size_t expected, const std::string& what) {
  if (found != expected) {
    throw std::runtime_error(what + ": " + std::to_string(found) + " of " + std::to_string(expected) +
                             " records were as they should be");
  }
}

std::size_t call(Engine& engine, Operation operation, const Stretch& stretch) {
  switch (operation) {
    case Operation::Update:
      engine.update(stretch);
      return stretch.count;
    case Operation::UpdateMany:
    case Operation::InsertMany:
      engine.put_many(stretch);
      return stretch.count;
    case Operation::UpdateBatched:
      engine.update_batched(stretch);
      return stretch.count;
    case Operation::Get:
      return engine.get(stretch);
    case Operation::GetBatched:
      return engine.get_batched(stretch);
    default:
      engine.insert(stretch);
      return stretch.count;
  }
}

}  // namespace

Bed::Bed(BedSettings settings, std::vector<Peer> peers) : settings_(std::move(settings)), peers_(std::move(peers)) {}

void Bed::take_size(std::size_t records) {
  if (records == records_) { return; }
  filled_.clear();
  oldest_.clear();
  records_ = records;
  insertion_ = Work::insertion(settings_.key_bytes, records);
  updates_ = Work::picks(settings_.key_bytes, records, settings_.picks, 1);
  gets_ = Work::picks(settings_.key_bytes, records, settings_.picks, 2);
}

std::unique_ptr<Engine> Bed::make(const Peer& peer) const {
  const std::string path = peer.directory + "/" + peer.name + "." + std::to_string(::getpid());
  return peer.make({settings_.key_bytes, records_, path, settings_.redis_socket});
}

Measured Bed::insert(const Peer& peer, std::size_t records, Operation operation) {
  take_size(records);
  Measured all;
  for (std::size_t done = 0; done < std::max(records, insert_at_least); done += records) {
    auto& engine = filled_[peer.name];
    engine.reset();  // its files first: two at once may be more than there is memory
    oldest_[peer.name] = 0;
    engine = make(peer);
    const Stopwatch watch;
    call(*engine, operation, {*insertion_, 0, records});
    all.seconds += watch.seconds();
    all.items += records;
  }
  return all;
}

Engine& Bed::filled(const Peer& peer, std::size_t records) {
  take_size(records);
  auto& engine = filled_[peer.name];
  if (!engine) {
    engine = make(peer);
    engine->insert({*insertion_, 0, records});
  }
  return *engine;
}

Measured Bed::in_steps(Engine& engine, Operation operation, const Work& work) const {
  Measured all;
  std::size_t found = 0;
  const Stopwatch watch;
  while (all.items < work.count()) {
    const Stretch stretch{work, all.items, std::min(step, work.count() - all.items)};
    found += call(engine, operation, stretch);
    all.items += stretch.count;
    all.seconds = watch.seconds();
    if (all.seconds >= settings_.budget_s) { break; }
  }
  must_be(found, all.items, "what was got");
  all.bounded = all.items < work.count();
  return all;
}

/// The keys that came are there afterwards; no time is taken of that.
Measured Bed::churn(Engine& engine, std::size_t& oldest) const {
  const auto old = Work::numbers(settings_.key_bytes, oldest, settings_.picks);
  const auto fresh = Work::numbers(settings_.key_bytes, oldest + records_, settings_.picks);
  Measured all;
  const Stopwatch watch;
  while (all.items < fresh.count() && all.seconds < settings_.budget_s) {
    const std::size_t count = std::min(step, fresh.count() - all.items);
    engine.churn({old, all.items, count}, {fresh, all.items, count});
    all.items += count;
    all.seconds = watch.seconds();
  }
  all.bounded = all.items < fresh.count();
  oldest += all.items;
  const std::size_t looked_at = std::min({step, all.items, records_});
  must_be(engine.get({fresh, all.items - looked_at, looked_at}), looked_at, "the newest");
  return all;
}

Measured Bed::run(const Peer& peer, std::size_t records, Operation operation) {
  Engine& engine = filled(peer, records);
  if (operation == Operation::Churn) {
    const Measured all = churn(engine, oldest_[peer.name]);
    const bool scans = std::ranges::count(peer.cannot, Operation::Scan) == 0;
    if (scans) { must_be(engine.scan(), records, "the scan"); }
    return all;
  }
  Measured all;
  switch (operation) {
    case Operation::Scan: {
      const Stopwatch watch;
      all.items = engine.scan();
      all.seconds = watch.seconds();
      must_be(all.items, records, "the scan");
      return all;
    }
    case Operation::Attach: {
      all.items = 1;
      attached_ += 1;
      must_be(engine.attach(insertion_->key(attached_ * 7919 % records), all.seconds) ? 1 : 0, 1, "the first get");
      return all;
    }
    case Operation::JournalRead: {
      all.items = engine.journal_read(journal_read_bytes, all.seconds);
      if (all.items == 0) { throw std::runtime_error("the journal is empty"); }
      return all;
    }
    default:
      return in_steps(engine, operation,
                      operation == Operation::Get || operation == Operation::GetBatched ? *gets_ : *updates_);
  }
}

}  // namespace understudy::bench
