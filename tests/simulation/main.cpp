// SPDX-License-Identifier: Apache-2.0
/// understudy-simulate: runs seeds and says which broke what. See docs/SIMULATION.md.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "sum.hpp"

namespace understudy::sim {
namespace {

struct Options {
  std::uint64_t first = 1;
  bool every_kind = true;  ///< seeds of every kind of history, from `first` on in each
  std::uint64_t seeds = 1;
  bool one = false;
  bool trace = false;
  bool planted = false;
  bool matrix = false;
  bool ends = false;
  std::string seed_file;
  unsigned jobs = 0;
  std::string bug;
};

void tell(std::uint64_t seed, const Report& report) {
  if (!report.violation) { return; }
  std::printf("seed %llu breaks %s at %s s: %s\n", static_cast<unsigned long long>(seed),
              to_string(report.violation->invariant), show(report.violation->at).c_str(),
              report.violation->text.c_str());
  std::printf("  replay: ./dev simulate --seed %llu --trace\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
}

/// Every job takes each n-th seed in a process of its own: a bug that aborts ends one of them and is seen.
bool run_all(const std::vector<std::uint64_t>& seeds, unsigned jobs, Sum& sum) {
  std::vector<std::pair<pid_t, int>> workers;
  for (unsigned job = 0; job < jobs; ++job) {
    int ends[2];
    if (pipe(ends) != 0) { return false; }
    const pid_t pid = fork();
    if (pid < 0) { return false; }
    if (pid == 0) {
      close(ends[0]);
      Sum mine;
      for (std::size_t i = job; i < seeds.size(); i += jobs) {
        const auto report = run_seed(seeds[i], false, Bug::None);
        tell(seeds[i], report);
        mine.add(report);
      }
      const bool written = write(ends[1], &mine, sizeof mine) == static_cast<ssize_t>(sizeof mine);
      _exit(written ? 0 : 1);
    }
    close(ends[1]);
    workers.emplace_back(pid, ends[0]);
  }
  bool well = true;
  for (const auto& [pid, fd] : workers) {
    Sum part;
    const bool complete = read(fd, &part, sizeof part) == static_cast<ssize_t>(sizeof part);
    close(fd);
    int status = 0;
    waitpid(pid, &status, 0);
    well = well && complete && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (complete) { sum.add(part); }
  }
  return well;
}

int simulate(const Options& options) {
  std::vector<std::uint64_t> seeds;
  if (!options.seed_file.empty()) {
    std::ifstream file(options.seed_file);
    for (std::string word; file >> word;) {
      if (word[0] == '#') {
        std::getline(file, word);
        continue;
      }
      seeds.push_back(std::strtoull(word.c_str(), nullptr, 10));
    }
  }
  const std::uint64_t kinds = options.every_kind ? kKindsOfHistories : 1;
  for (std::uint64_t i = 0; i < options.seeds; ++i) {
    seeds.push_back(i % kinds * kSeedsOfAKind + options.first + i / kinds);
  }
  const auto began = std::chrono::steady_clock::now();
  Sum sum;
  const bool well = run_all(seeds, options.jobs, sum);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%llu of %zu seeds, %.0f s simulated in %.1f s (%.1f ms each on %u), %llu steps, %llu takeovers, ",
              static_cast<unsigned long long>(sum.runs), seeds.size(), sum.simulated_s, took,
              took * 1000 * options.jobs / static_cast<double>(std::max<std::uint64_t>(sum.runs, 1)), options.jobs,
              static_cast<unsigned long long>(sum.steps), static_cast<unsigned long long>(sum.takeovers));
  std::printf("worst way back %.0f s, %llu roles asked for a person, %llu roles stayed on the standby's host, ",
              sum.way_back_worst_s, static_cast<unsigned long long>(sum.asked),
              static_cast<unsigned long long>(sum.stayed_on_host));
  std::printf("%llu copies left behind on a standby out of reach, %llu seeds failed\n",
              static_cast<unsigned long long>(sum.left_behind), static_cast<unsigned long long>(sum.failed));
  show_ends(sum);
  show_replication(sum);
  if (options.matrix) { show_matrix(sum); }
  if (!well) { std::printf("a worker has died: run its seeds one by one\n"); }
  // The histories with blinks are too few for all of it.
  const bool lapped = seeds.back() >= kFirstWordsSeed && seeds.back() < kFirstBlinkSeed;
  const bool replicated = !lapped || !options.matrix || check_replication(sum);
  const bool met = (!options.matrix || check_matrix(sum, seeds.back(), options.every_kind)) && replicated;
  const bool ended = !options.ends || check_ends(sum, seeds.back(), options.every_kind);
  return well && sum.failed == 0 && met && ended ? 0 : 1;
}

/// Each planted bug must be found, under the name of the invariant that it breaks.
int planted(const Options& options) {
  bool all = true;
  for (std::size_t i = 1; i < kBugs; ++i) {
    const auto bug = static_cast<Bug>(i);
    if (!options.bug.empty() && options.bug != to_string(bug)) { continue; }
    const Invariant wanted = found_as(bug);
    std::uint64_t found = 0;
    std::string others;
    const std::uint64_t first = first_seed_of(bug);
    for (std::uint64_t seed = first; seed < first + options.seeds && found == 0; ++seed) {
      const auto report = run_seed(seed, false, bug);
      if (!report.violation) { continue; }
      if (report.violation->invariant == wanted) { found = seed; }
      const std::string name = to_string(report.violation->invariant);
      if (report.violation->invariant != wanted && others.find(name) == std::string::npos) { others += " " + name; }
    }
    std::printf("%-26s %-18s %s%llu%s%s\n", to_string(bug), to_string(wanted),
                found != 0 ? "found by seed " : "NOT FOUND ", static_cast<unsigned long long>(found),
                others.empty() ? "" : ", before as", others.c_str());
    std::fflush(stdout);
    all = all && found != 0;
  }
  return all ? 0 : 1;
}

int usage() {
  std::printf(
      "Usage: ./dev simulate [--seed S] [--seeds K] [--from F] [--seed-file FILE] [--fresh] [--trace] [--matrix] "
      "[--ends] "
      "[--planted]\n"
      "  --seed S       this one run, exactly as it was; with --trace every event on a line of its own\n"
      "  --seeds K      K histories, of every kind as many, on --jobs J processes (as many as there are processors)\n"
      "  --from F       the seeds F, F+1, ... F+K-1 instead; --fresh: of every kind, where nobody was before\n"
      "  --seed-file    and those of a file, one a line, # begins a remark\n"
      "  --matrix       shows how often each fault was injected, has bitten, and was met in each state of a role; "
      "fails where never\n"
      "  --ends         fails where a kind of evidence ended no term, or a kind of last act was never struck\n"
      "  --planted      shows that it can fail: finds each planted bug (with --bug NAME: that one; also with "
      "--seed)\n");
  return 2;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto number = [&](std::uint64_t& into) {
      if (i + 1 >= argc) { return false; }
      char* end = nullptr;
      into = std::strtoull(argv[++i], &end, 10);
      return *end == '\0';
    };
    std::uint64_t jobs = 0;
    if (word == "--trace") {
      options.trace = true;
    } else if (word == "--planted") {
      options.planted = true;
    } else if (word == "--fresh") {
      options.first = std::random_device{}();
      std::printf("fresh seeds from %llu\n", static_cast<unsigned long long>(options.first));
    } else if (word == "--matrix") {
      options.matrix = true;
    } else if (word == "--ends") {
      options.ends = true;
    } else if (word == "--seed") {
      options.one = true;
      if (!number(options.first)) { return false; }
    } else if (word == "--seeds") {
      if (!number(options.seeds)) { return false; }
    } else if (word == "--from") {
      options.every_kind = false;
      if (!number(options.first)) { return false; }
    } else if (word == "--jobs") {
      if (!number(jobs)) { return false; }
      options.jobs = static_cast<unsigned>(jobs);
    } else if (word == "--seed-file" && i + 1 < argc) {
      options.seed_file = argv[++i];
    } else if (word == "--bug" && i + 1 < argc) {
      options.bug = argv[++i];
    } else {
      return false;
    }
  }
  if (options.jobs == 0) { options.jobs = std::max(1U, std::thread::hardware_concurrency()); }
  return true;
}

int run(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) { return usage(); }
  if (options.planted) { return planted(options); }
  if (!options.one) { return simulate(options); }
  auto bug = Bug::None;
  for (std::size_t i = 0; i < kBugs; ++i) {
    if (options.bug == to_string(static_cast<Bug>(i))) { bug = static_cast<Bug>(i); }
  }
  const auto report = run_seed(options.first, options.trace, bug);
  tell(options.first, report);
  std::printf("seed %llu: %llu steps, %.1f s simulated, way back %.0f s, %s\n",
              static_cast<unsigned long long>(options.first), static_cast<unsigned long long>(report.steps),
              static_cast<double>(report.simulated.count()) / 1e9, static_cast<double>(report.way_back.count()) / 1e9,
              report.violation ? "FAILED" : "everything held");
  return report.violation ? 1 : 0;
}

}  // namespace
}  // namespace understudy::sim

int main(int argc, char** argv) { return understudy::sim::run(argc, argv); }
