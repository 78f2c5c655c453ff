// retort_sim: runs simulations by seed.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/log.h"
#include "tests/sim/simulation.h"

namespace retort::sim {
namespace {

struct Totals {
  int64_t runs = 0;
  int64_t large = 0;
  int64_t events = 0;
  int64_t jobs = 0;
  int64_t most_jobs = 0;
  int64_t most_workers = 0;
  double simulated_s = 0;
  FaultCounts faults{};
  uint64_t failed_seed = 0;
  bool failed = false;
  uint64_t hash = 0;  // of all runs, in any order

  void Add(const Verdict& verdict) {
    ++runs;
    large += verdict.workers >= 50;
    events += verdict.events;
    jobs += verdict.jobs;
    most_jobs = std::max(most_jobs, verdict.jobs);
    most_workers = std::max(most_workers, verdict.workers);
    simulated_s += absl::ToDoubleSeconds(verdict.simulated);
    for (size_t i = 0; i < faults.size(); ++i) faults[i] += verdict.faults[i];
    hash ^= verdict.hash;
  }
  void Add(const Totals& other) {
    runs += other.runs;
    large += other.large;
    events += other.events;
    jobs += other.jobs;
    most_jobs = std::max(most_jobs, other.most_jobs);
    most_workers = std::max(most_workers, other.most_workers);
    simulated_s += other.simulated_s;
    for (size_t i = 0; i < faults.size(); ++i) faults[i] += other.faults[i];
    hash ^= other.hash;
    if (other.failed && (!failed || other.failed_seed < failed_seed))
      failed_seed = other.failed_seed;
    failed = failed || other.failed;
  }
};

// Seeds first + index, first + index + of, ... until one fails.
Totals RunShare(uint64_t first, uint64_t last, uint64_t index, uint64_t of, bool twice) {
  Totals totals;
  for (uint64_t seed = first + index; seed <= last; seed += of) {
    Verdict verdict = Simulate(seed, false);
    if (twice && verdict.violation.empty() && Simulate(seed, false).hash != verdict.hash) {
      verdict.violation = "replay: the same seed ran differently";
    }
    totals.Add(verdict);
    if (verdict.violation.empty()) continue;
    std::printf("seed %" PRIu64 ": %s\n  replay: retort_sim --seed %" PRIu64 " --trace\n", seed,
                verdict.violation.substr(0, 2000).c_str(), seed);
    std::fflush(stdout);
    totals.failed = true;
    totals.failed_seed = seed;
    break;
  }
  return totals;
}

// One process for each share, which sends its totals back.
Totals RunAll(uint64_t first, uint64_t last, int processes, bool twice) {
  if (processes <= 1) return RunShare(first, last, 0, 1, twice);
  std::vector<int> pipes;
  std::fflush(stdout);
  for (int i = 0; i < processes; ++i) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    if (fork() == 0) {
      const Totals totals =
          RunShare(first, last, static_cast<uint64_t>(i), static_cast<uint64_t>(processes), twice);
      const ssize_t written = write(ends[1], &totals, sizeof totals);
      _exit(written == sizeof totals ? 0 : 1);
    }
    close(ends[1]);
    pipes.push_back(ends[0]);
  }
  Totals totals;
  for (const int end : pipes) {
    Totals share;
    if (read(end, &share, sizeof share) != sizeof share) {
      std::printf("a process of the simulation died\n");
      share = {};
      share.failed = true;
    }
    totals.Add(share);
    close(end);
  }
  while (wait(nullptr) > 0) {
  }
  return totals;
}

void Print(const Totals& totals, absl::Duration time) {
  const double seconds = absl::ToDoubleSeconds(time);
  std::printf("runs %" PRId64 " (%" PRId64 " large), events %" PRId64 ", jobs %" PRId64
              ", at most %" PRId64 " jobs and %" PRId64 " workers in one run\n",
              totals.runs, totals.large, totals.events, totals.jobs, totals.most_jobs,
              totals.most_workers);
  std::printf("simulated %.1f hours in %.1f s: %.0f runs/s, %.0f events/s; hash %016" PRIx64 "\n",
              totals.simulated_s / 3600, seconds, static_cast<double>(totals.runs) / seconds,
              static_cast<double>(totals.events) / seconds, totals.hash);
  for (int i = 0; i < kFaultKinds; ++i) {
    const std::string_view word = WordFor(static_cast<Fault>(i));
    std::printf("  %-26.*s %10" PRId64 "\n", static_cast<int>(word.size()), word.data(),
                totals.faults[static_cast<size_t>(i)]);
  }
}

int Main(int argc, char** argv) {
  CLI::App app("Simulates coordinator, agents, network and disks in virtual time");
  uint64_t seed = 0;
  std::string seeds;
  int processes = 1;
  bool trace = false;
  bool twice = false;
  auto* one = app.add_option("--seed", seed, "run this seed");
  app.add_option("--seeds", seeds, "run seeds A..B; stops at the first that fails")->excludes(one);
  app.add_option("--jobs-parallel", processes, "processes")->check(CLI::Range(1, 64));
  app.add_flag("--trace", trace, "print every event, with --seed");
  app.add_flag("--twice", twice, "run every seed twice and compare");
  CLI11_PARSE(app, argc, argv);
  spdlog::set_level(trace ? spdlog::level::debug : spdlog::level::off);
  spdlog::set_pattern("              %v");
  uint64_t first = seed;
  uint64_t last = seed;
  if (!seeds.empty() && std::sscanf(seeds.c_str(), "%" SCNu64 "..%" SCNu64, &first, &last) != 2) {
    std::fprintf(stderr, "--seeds: '%s'; must be A..B, such as 1..1000\n", seeds.c_str());
    return 2;
  }
  if (trace) {
    const Verdict verdict = Simulate(seed, true);
    std::printf("%s\n", verdict.violation.empty() ? "all kept" : verdict.violation.c_str());
  }
  const absl::Time begin = absl::Now();
  const Totals totals = RunAll(first, last, processes, twice);
  Print(totals, absl::Now() - begin);
  if (totals.failed) std::printf("FAILED: seed %" PRIu64 "\n", totals.failed_seed);
  return totals.failed ? 1 : 0;
}

}  // namespace
}  // namespace retort::sim

int main(int argc, char** argv) { return retort::sim::Main(argc, argv); }
