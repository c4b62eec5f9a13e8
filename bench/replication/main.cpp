// SPDX-License-Identifier: Apache-2.0
/// Replication over loopback beside raw TCP, and both by TLS, in Google Benchmark; bench/understudy-bench starts it. A
/// benchmark's name is replicate/PEER/RECORDS, or replicate_sized/PEER/BYTES for values of that size,
/// replicate_tls/PEER/BYTES with TLS. Both ends share this machine, so
/// what the ends cost is in the figure too; replicate_sized tells it for each end.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>

#include "loopback.hpp"

namespace {

namespace bench = understudy::bench;

struct Options {
  std::vector<std::size_t> sizes = {10'000, 1'000'000};
  std::vector<std::size_t> value_sizes = {24, 256, 4 << 10, 64 << 10};
  std::size_t changes = 2'000'000;
  int repetitions = 5;
  std::string directory = "/dev/shm";
};

constexpr std::size_t records_of_sized = 10'000;
constexpr std::size_t values_of_sized = 64 << 20;  // fewer records where they are large

bench::Mirrored table_of(std::size_t value_bytes, bool tls) {
  return {std::min(records_of_sized, values_of_sized / value_bytes), value_bytes, tls};
}

template <class Measure>
void repetition(benchmark::State& state, const Measure& measure) {
  for (auto _ : state) {
    try {
      const bench::Carried carried = measure();
      state.SetIterationTime(carried.seconds);
      state.SetItemsProcessed(static_cast<std::int64_t>(carried.bytes));
      state.counters["bounded"] = 0;
    } catch (const std::exception& error) { state.SkipWithError(error.what()); }
  }
}

/// Keeps the pair of the last table: its backlogs follow each other.
class Pair {
 public:
  explicit Pair(const Options& options) : options_(options) {}
  bench::Carried carry(const bench::Mirrored& table, std::size_t changes) {
    if (!pair_ || table != table_) {
      pair_.reset();
      pair_ = std::make_unique<bench::Replication>(options_.directory, table);
      table_ = table;
      pair_->carry(changes);  // pages and buffers are there from here on
    }
    const auto carried = pair_->carry(changes);
    bytes_ = carried.bytes;
    return carried;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  const Options& options_;
  std::unique_ptr<bench::Replication> pair_;
  bench::Mirrored table_;
  std::size_t bytes_ = 0;
};

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
  app.add_option("--value-sizes", options.value_sizes, "bytes of a value")->delimiter(',')->check(CLI::Range(8, 65536));
  app.add_option("--changes", options.changes, "of one measurement")->check(CLI::Range(1000, 4'000'000));
  app.add_option("--repetitions", options.repetitions)->check(CLI::Range(1, 100));
  app.add_option("--directory", options.directory, "for the regions, in memory");
  CLI11_PARSE(app, argc, argv);

  Pair pair(options);
  const auto add_both = [&](const std::string& operation, const bench::Mirrored& table, std::size_t column,
                            bool sized) {
    const std::size_t changes = bench::changes_for(table.value_bytes, options.changes);
    const auto tell = [=](benchmark::State& state, const bench::Carried& carried) {
      const auto each = [&](double seconds) { return seconds * 1e9 / static_cast<double>(changes); };
      if (!sized) { return; }
      state.counters["sender_ns"] = each(carried.sender_cpu);
      state.counters["receiver_ns"] = each(carried.receiver_cpu);
    };
    const auto replicate = [&pair, table, changes, tell](benchmark::State& state) {
      repetition(state, [&] {
        const auto carried = pair.carry(table, changes);
        state.counters["changes_per_second"] = static_cast<double>(changes) / carried.seconds;
        tell(state, carried);
        return carried;
      });
    };
    const auto raw = [&pair, table, tell](benchmark::State& state) {
      repetition(state, [&] {
        const auto carried = table.tls ? bench::carry_raw_tls(pair.bytes()) : bench::carry_raw(pair.bytes());
        tell(state, carried);
        return carried;
      });
    };
    add(operation + "/replication/" + std::to_string(column), options.repetitions, replicate);
    add(operation + (table.tls ? "/raw_tls/" : "/raw_tcp/") + std::to_string(column), options.repetitions, raw);
  };
  for (const std::size_t records : options.sizes) { add_both("replicate", {records}, records, false); }
  for (const std::size_t bytes : options.value_sizes) {
    add_both("replicate_sized", table_of(bytes, false), bytes, true);
  }
  for (const std::size_t bytes : options.value_sizes) {
    add_both("replicate_tls", table_of(bytes, true), bytes, false);
  }
  benchmark::AddCustomContext("changes", std::to_string(options.changes));
  return benchmark::RunSpecifiedBenchmarks() > 0 ? 0 : 1;
}
