// SPDX-License-Identifier: Apache-2.0
/// What it costs to collect conntrack events, in Google Benchmark; bench/understudy-bench starts it. A benchmark's name
/// is capture/collector/FLOWS: the time is the processor's outside the kernel for one event, with the kernel's part in
/// the counter total_us.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>

#include "kernel_flows.hpp"

namespace {

namespace bench = understudy::bench;

struct Options {
  std::size_t flows = 40'000;
  int repetitions = 5;
  std::string directory = "/dev/shm";
};

void repetition(benchmark::State& state, std::unique_ptr<bench::KernelFlows>& kernel, const Options& options) {
  for (auto _ : state) {
    try {
      if (!kernel) {
        const auto runs = static_cast<std::size_t>(options.repetitions) + 1;
        kernel = std::make_unique<bench::KernelFlows>(options.directory, options.flows * runs);
        kernel->capture(options.flows);  // pages and buffers are there from here on
      }
      const bench::Captured captured = kernel->capture(options.flows);
      const auto events = static_cast<double>(captured.events);
      state.SetIterationTime(captured.user_seconds / events);
      state.counters["items"] = events;
      state.counters["bounded"] = 0;
      state.counters["total_us"] = 1e6 * captured.total_seconds / events;
    } catch (const std::exception& error) { state.SkipWithError(error.what()); }
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  Options options;
  CLI::App app{"What it costs to collect conntrack events; ./dev bench capture starts it."};
  app.add_option("--flows", options.flows, "of one measurement")->check(CLI::Range(1000, 100'000));
  app.add_option("--repetitions", options.repetitions)->check(CLI::Range(1, 100));
  app.add_option("--directory", options.directory, "for the region, in memory");
  CLI11_PARSE(app, argc, argv);

  std::unique_ptr<bench::KernelFlows> kernel;
  const std::string name = "capture/collector/" + std::to_string(options.flows);
  benchmark::RegisterBenchmark(name.c_str(), [&](benchmark::State& state) { repetition(state, kernel, options); })
      ->Iterations(1)
      ->Repetitions(options.repetitions)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
  return benchmark::RunSpecifiedBenchmarks() > 0 ? 0 : 1;
}
