// SPDX-License-Identifier: Apache-2.0
/// Replication over loopback beside raw TCP, in Google Benchmark; bench/understudy-bench starts it. A benchmark's name
/// is replicate/PEER/RECORDS. Both ends share this machine, so what the ends cost is in the figure too.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>

#include "loopback.hpp"

namespace {

namespace bench = understudy::bench;

struct Options {
  std::vector<std::size_t> sizes = {10'000, 1'000'000};
  std::size_t changes = 2'000'000;
  int repetitions = 5;
  std::string directory = "/dev/shm";
};

template <class Measure>
void repetition(benchmark::State& state, std::size_t changes, const Measure& measure) {
  for (auto _ : state) {
    try {
      const bench::Carried carried = measure();
      state.SetIterationTime(carried.seconds);
      state.SetItemsProcessed(static_cast<std::int64_t>(carried.bytes));
      state.counters["bounded"] = 0;
      if (changes != 0) { state.counters["changes_per_second"] = static_cast<double>(changes) / carried.seconds; }
    } catch (const std::exception& error) { state.SkipWithError(error.what()); }
  }
}

void add(const std::string& name, int repetitions, const std::function<void(benchmark::State&)>& run) {
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->Iterations(1)
      ->Repetitions(repetitions)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  Options options;
  CLI::App app{"Replication over loopback beside raw TCP; ./dev bench replication starts it."};
  app.add_option("--sizes", options.sizes, "records of the mirrored table")->delimiter(',');
  app.add_option("--changes", options.changes, "of one measurement")->check(CLI::Range(1000, 4'000'000));
  app.add_option("--repetitions", options.repetitions)->check(CLI::Range(1, 100));
  app.add_option("--directory", options.directory, "for the regions, in memory");
  CLI11_PARSE(app, argc, argv);

  std::unique_ptr<bench::Replication> pair;
  std::size_t records_of_pair = 0;
  std::size_t bytes = 0;
  for (const std::size_t records : options.sizes) {
    const auto replicate = [&, records](benchmark::State& state) {
      repetition(state, options.changes, [&] {
        if (records_of_pair != records) {
          pair.reset();
          pair = std::make_unique<bench::Replication>(options.directory, records);
          records_of_pair = records;
          pair->carry(options.changes);  // pages and buffers are there from here on
        }
        const auto carried = pair->carry(options.changes);
        bytes = carried.bytes;
        return carried;
      });
    };
    const auto raw = [&](benchmark::State& state) { repetition(state, 0, [&] { return bench::carry_raw(bytes); }); };
    add("replicate/replication/" + std::to_string(records), options.repetitions, replicate);
    add("replicate/raw_tcp/" + std::to_string(records), options.repetitions, raw);
  }
  benchmark::AddCustomContext("changes", std::to_string(options.changes));
  return benchmark::RunSpecifiedBenchmarks() > 0 ? 0 : 1;
}
