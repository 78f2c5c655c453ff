#include "server/progress.h"

#include <algorithm>

#include "common/names.h"

namespace retort {
namespace {

// What a job takes however small its network is: reading data, evaluation, sending weights. The
// largest jobs come first, and a rate from them alone promises too much for the many small ones.
constexpr double kFixedSeconds = 2;

bool IsOver(core::SweepState state) {
  return state == core::SweepState::kDone || state == core::SweepState::kCancelled;
}

// True of a worker that has been heard of within a lease.
bool IsPresent(const core::Worker& worker) { return worker.deadline != absl::InfiniteDuration(); }

int64_t SlotsOf(const core::Worker& worker) {
  const bool takes = worker.row.state == core::WorkerState::kActive && !worker.draining;
  return IsPresent(worker) && takes ? static_cast<int64_t>(worker.row.slots.size()) : 0;
}

}  // namespace

double ExpectedSeconds(const core::SweepRow& row, int64_t slots) {
  if (row.cost_open <= 0) return 0;
  const int64_t done = row.counts[core::IndexOf(core::JobState::kSucceeded)] - row.known;
  if (row.cost_done <= 0 || row.done_s <= 0 || slots <= 0 || done <= 0) return -1;
  int64_t open = 0;
  for (const auto state : {core::JobState::kBlocked, core::JobState::kQueued,
                           core::JobState::kLeased, core::JobState::kRunning}) {
    open += row.counts[core::IndexOf(state)];
  }
  const double mean_s = row.done_s / static_cast<double>(done);
  const double fixed_s = std::min(kFixedSeconds, mean_s / 2);
  const double seconds_per_cost =
      (row.done_s - fixed_s * static_cast<double>(done)) / row.cost_done;
  const double all_s = fixed_s * static_cast<double>(open) + row.cost_open * seconds_per_cost;
  return all_s / static_cast<double>(std::clamp<int64_t>(open, 1, slots));
}

double ExpectedSeconds(const core::State& state, int64_t jobs, double cost) {
  int64_t slots = 0;
  for (int64_t key = 1; key <= state.workers(); ++key) {
    slots += SlotsOf(state.worker(core::WorkerKey{key}));
  }
  core::SweepRow all;
  for (int64_t key = 1; key <= state.sweeps(); ++key) {
    const core::SweepRow& row = state.sweep(core::SweepKey{key}).row;
    all.counts[core::IndexOf(core::JobState::kSucceeded)] +=
        row.counts[core::IndexOf(core::JobState::kSucceeded)];
    all.known += row.known;
    all.cost_done += row.cost_done;
    all.done_s += row.done_s;
  }
  all.counts[core::IndexOf(core::JobState::kQueued)] = jobs;
  all.cost_open = cost;
  return ExpectedSeconds(all, slots);
}

Progress ProgressOf(const core::State& state, const Now& now) {
  Progress progress;
  int64_t slots = 0;
  progress.workers.reserve(static_cast<size_t>(state.workers()));
  for (int64_t key = 1; key <= state.workers(); ++key) {
    const core::Worker& worker = state.worker(core::WorkerKey{key});
    Progress::Worker& seen = progress.workers[WorkerName(worker.row.name)];
    seen.seen = absl::InfinitePast();
    if (IsPresent(worker)) {
      seen.seen = now.wall - (now.monotonic - (worker.deadline - state.options().lease));
    }
    slots += SlotsOf(worker);
    for (const core::JobKey job : worker.leases) {
      const JobId& id = state.job(job).id;
      seen.jobs.push_back(id);
      progress.epochs_done[id] = state.lease(job).epochs_done;
    }
  }
  for (int64_t key = 1; key <= state.sweeps(); ++key) {
    const core::Sweep& sweep = state.sweep(core::SweepKey{key});
    if (IsOver(sweep.row.state)) continue;
    progress.eta_s[SweepName(sweep.fixed.name)] = ExpectedSeconds(sweep.row, slots);
  }
  return progress;
}

}  // namespace retort
