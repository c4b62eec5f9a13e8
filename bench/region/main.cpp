// SPDX-License-Identifier: Apache-2.0
/// The region and its peers in Google Benchmark. bench/understudy-bench starts it, with a Redis server and what huge
/// pages there are, and makes the report of its JSON.
///
/// A benchmark's name is OPERATION/PEER/RECORDS. Counters: items, bounded (1: ended by its budget), and of insert
/// bytes_per_record and mapping_bytes_per_record.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "bed.hpp"

namespace {

namespace bench = understudy::bench;
using bench::Operation;

struct Options {
  std::vector<std::size_t> sizes = {10'000, 100'000, 1'000'000, 10'000'000};
  bench::BedSettings bed = {8, 2'000'000, 1.0, ""};
  int repetitions = 5;
  std::string directory = "/dev/shm";
  std::string huge_directory;
  std::vector<std::string> peers;
};

constexpr std::pair<Operation, const char*> operations[] = {
    {Operation::Update, "update"},
    {Operation::UpdateMany, "update_many"},
    {Operation::UpdateBatched, "update_batched"},
    {Operation::Get, "get"},
    {Operation::GetBatched, "get_batched"},
    {Operation::Scan, "scan"},
    {Operation::Attach, "attach"},
    {Operation::JournalRead, "journal_read"},
    {Operation::Churn, "churn"},  // last: afterwards the keys are others
};
constexpr std::size_t many_records = 1'000'000;
constexpr int attach_repetitions = 25;  // of some microseconds each

std::vector<bench::Peer> peers_of(const Options& options) {
  const std::string& files = options.directory;
  std::vector<bench::Peer> all = {{"region", bench::make_region, files, {}}};
  if (!options.huge_directory.empty()) {
    all.push_back({"region_huge", bench::make_region, options.huge_directory, {}});
  }
  all.push_back({"flat_map",
                 bench::make_flat_map,
                 files,
                 {Operation::InsertMany, Operation::UpdateMany, Operation::Attach, Operation::JournalRead}});
  all.push_back({"interprocess",
                 bench::make_interprocess,
                 files,
                 {Operation::InsertMany, Operation::UpdateMany, Operation::JournalRead}});
  all.push_back(
      {"lmdb", bench::make_lmdb, files, {Operation::InsertMany, Operation::UpdateMany, Operation::JournalRead}, true});
  if (!options.bed.redis_socket.empty()) {
    all.push_back({"redis",
                   bench::make_redis,
                   files,
                   {Operation::InsertMany, Operation::UpdateMany, Operation::Scan, Operation::JournalRead},
                   true});
  }
  if (!options.peers.empty()) {
    std::erase_if(all, [&](const auto& peer) { return std::ranges::count(options.peers, peer.name) == 0; });
  }
  return all;
}

/// One repetition: `measure` says how long it took; what goes wrong is the benchmark's error.
template <class Measure>
void repetition(benchmark::State& state, const Measure& measure) {
  for (auto _ : state) {
    try {
      const bench::Measured measured = measure();
      state.SetIterationTime(measured.seconds);
      state.SetItemsProcessed(static_cast<std::int64_t>(measured.items));
      state.counters["items"] = static_cast<double>(measured.items);
      state.counters["bounded"] = measured.bounded ? 1 : 0;
    } catch (const std::exception& error) { state.SkipWithError(error.what()); }
  }
}

void settle(benchmark::internal::Benchmark* registered, int repetitions) {
  registered->Iterations(1)->Repetitions(repetitions)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

void register_insert(bench::Bed& bed, const bench::Peer& peer, std::size_t records, int repetitions,
                     Operation operation) {
  if (std::ranges::count(peer.cannot, operation) != 0) { return; }
  const std::string word = operation == Operation::InsertMany ? "insert_many/" : "insert/";
  const std::string name = word + peer.name + "/" + std::to_string(records);
  auto* registered = benchmark::RegisterBenchmark(name.c_str(), [&bed, &peer, records, operation](auto& state) {
    repetition(state, [&] {
      const bench::Measured measured = bed.insert(peer, records, operation);
      const bench::Memory memory = bed.memory(peer);
      state.counters["bytes_per_record"] = memory.bytes / static_cast<double>(records);
      state.counters["mapping_bytes_per_record"] = memory.mapping_bytes / static_cast<double>(records);
      return measured;
    });
  });
  settle(registered, peer.slow && records >= many_records ? 1 : repetitions);
}

void register_all(bench::Bed& bed, const Options& options) {
  for (const std::size_t records : options.sizes) {
    for (const auto operation : {Operation::Insert, Operation::InsertMany}) {
      for (const auto& peer : bed.peers()) { register_insert(bed, peer, records, options.repetitions, operation); }
    }
    for (const auto& [operation, word] : operations) {
      for (const auto& peer : bed.peers()) {
        if (std::ranges::count(peer.cannot, operation) != 0) { continue; }
        const std::string name = word + ("/" + peer.name + "/" + std::to_string(records));
        const auto run = [&bed, &peer, records, wanted = operation](benchmark::State& state) {
          repetition(state, [&] { return bed.run(peer, records, wanted); });
        };
        settle(benchmark::RegisterBenchmark(name.c_str(), run),
               operation == Operation::Attach ? attach_repetitions : options.repetitions);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  Options options;
  CLI::App app{"Benchmarks of the region and its peers; ./dev bench region starts it."};
  app.add_option("--sizes", options.sizes, "records")->delimiter(',')->check(CLI::Range(1000, 50'000'000));
  app.add_option("--key-bytes", options.bed.key_bytes)->check(CLI::IsMember({8, 16}));
  app.add_option("--picks", options.bed.picks, "records of one measurement")->check(CLI::Range(1000, 100'000'000));
  app.add_option("--budget-s", options.bed.budget_s, "the most that a measurement takes")
      ->check(CLI::Range(0.01, 600.0));
  app.add_option("--repetitions", options.repetitions)->check(CLI::Range(1, 100));
  app.add_option("--directory", options.directory, "for files, in memory");
  app.add_option("--huge-directory", options.huge_directory, "the same on huge pages");
  app.add_option("--redis-socket", options.bed.redis_socket);
  app.add_option("--peers", options.peers, "only these")->delimiter(',');
  CLI11_PARSE(app, argc, argv);

  bench::Bed bed(options.bed, peers_of(options));
  register_all(bed, options);
  benchmark::AddCustomContext("key_bytes", std::to_string(options.bed.key_bytes));
  benchmark::AddCustomContext("value_bytes", std::to_string(bench::value_bytes));
  benchmark::AddCustomContext("batch", std::to_string(bench::batch));
  benchmark::AddCustomContext("picks", std::to_string(options.bed.picks));
  benchmark::AddCustomContext("budget_s", std::to_string(options.bed.budget_s));
  return benchmark::RunSpecifiedBenchmarks() > 0 ? 0 : 1;
}
