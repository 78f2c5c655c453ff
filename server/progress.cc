#include "server/progress.h"

#include "common/names.h"

namespace retort {
namespace {

bool IsOver(core::SweepState state) {
  return state == core::SweepState::kDone || state == core::SweepState::kCancelled;
}

}  // namespace

double ExpectedSeconds(const core::SweepRow& row, int64_t slots) {
  if (row.cost_open <= 0) return 0;
  if (row.cost_done <= 0 || row.done_s <= 0 || slots <= 0) return -1;
  const double cost_per_slot_second = row.cost_done / row.done_s;
  return row.cost_open / cost_per_slot_second / static_cast<double>(slots);
}

Progress ProgressOf(const core::State& state, const Now& now) {
  Progress progress;
  int64_t slots = 0;
  for (int64_t key = 1; key <= state.workers(); ++key) {
    const core::Worker& worker = state.worker(core::WorkerKey{key});
    Progress::Worker& seen = progress.workers[WorkerName(worker.row.name)];
    const bool present = worker.deadline != absl::InfiniteDuration();
    seen.seen = absl::InfinitePast();
    if (present) {
      seen.seen = now.wall - (now.monotonic - (worker.deadline - state.options().lease));
    }
    if (present && worker.row.state == core::WorkerState::kActive && !worker.draining) {
      slots += static_cast<int64_t>(worker.row.slots.size());
    }
    for (const core::JobKey job : worker.leases) {
      const std::string name = JobName(state.job(job).id);
      seen.jobs.push_back(name);
      progress.epochs_done[name] = state.lease(job).epochs_done;
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
