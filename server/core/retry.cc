#include "server/core/retry.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/placement.h"

namespace retort::core {
namespace {

bool MayBeTheWorkers(FailureCause cause) {
  return cause == FailureCause::kCrashed || cause == FailureCause::kOutOfMemory ||
         cause == FailureCause::kArtifact;
}

bool SpendLost(JobRow& row, WorkerKey worker) {
  ++row.lost;
  auto& seen = row.lost_on;
  if (std::find(seen.begin(), seen.end(), worker) == seen.end()) {
    const auto free = std::find(seen.begin(), seen.end(), WorkerKey{});
    if (free != seen.end()) *free = worker;
  }
  const bool everywhere = std::find(seen.begin(), seen.end(), WorkerKey{}) == seen.end();
  return !everywhere && row.lost < kMostLost;
}

// True if some other worker had a success since `since_ms`.
bool OthersSucceeded(const Draft& draft, WorkerKey worker, int64_t since_ms) {
  for (int64_t i = 1; i <= draft.state().workers(); ++i) {
    if (i != worker.value && draft.worker({i}).last_success_ms >= since_ms) return true;
  }
  return false;
}

size_t DistinctJobs(const std::vector<Mishap>& streak) {
  std::vector<JobKey> jobs;
  for (const Mishap& mishap : streak) jobs.push_back(mishap.job);
  std::sort(jobs.begin(), jobs.end());
  return static_cast<size_t>(std::unique(jobs.begin(), jobs.end()) - jobs.begin());
}

// Takes back what a failure that was the worker's fault cost the job.
void GiveBack(Draft& draft, WorkerKey worker, const Mishap& mishap) {
  JobRow& row = draft.EditJob(mishap.job);
  if (mishap.cause == FailureCause::kCrashed && row.crashed > 0) --row.crashed;
  if (mishap.cause == FailureCause::kArtifact && row.artifact > 0) --row.artifact;
  const bool failed_here =
      row.state == JobState::kFailed && row.worker == worker && row.last_cause == mishap.cause;
  if (failed_here && draft.Wanted(mishap.job)) draft.Requeue(mishap.job);
}

void CountFailure(Draft& draft, WorkerKey worker, JobKey job, FailureCause cause) {
  if (cause == FailureCause::kLost || cause == FailureCause::kPreempted) return;
  WorkerRow& row = draft.EditWorker(worker);
  ++row.failed;
  if (!MayBeTheWorkers(cause)) return;
  const auto limit = static_cast<size_t>(draft.state().options().quarantine_streak);
  if (row.streak.empty()) row.streak_ms = draft.now_ms();
  if (row.streak.size() < kMostMishaps) row.streak.push_back({job, cause});
  const size_t jobs = DistinctJobs(row.streak);
  if (jobs >= limit && row.state == WorkerState::kActive &&
      OthersSucceeded(draft, worker, row.streak_ms)) {
    row.state = WorkerState::kQuarantined;
    row.reason = absl::StrCat(jobs, " jobs in a row failed here while jobs succeeded elsewhere");
    for (const Mishap& mishap : row.streak) GiveBack(draft, worker, mishap);
  }
}

// What to say of a job that needs more memory than there is.
std::string MemoryAdvice(const MoreMemory& memory) {
  if (memory.had == 0)
    return "; the memory of its slot is not known, so no larger one can be chosen";
  return absl::StrCat(
      "; its slot had ", MemoryText(memory.had),
      ", and no known worker has a slot with more: a worker with larger slots "
      "(fewer on the machine), a smaller train.batch, train.microbatch: auto or a smaller network "
      "would help");
}

}  // namespace

bool SpendBudget(JobRow& row, FailureCause cause, WorkerKey worker) {
  switch (cause) {
    case FailureCause::kLost:
    case FailureCause::kPreempted:
      return SpendLost(row, worker);
    case FailureCause::kCrashed:
      return ++row.crashed <= kMostCrashed;
    case FailureCause::kArtifact:
      return ++row.artifact <= kMostArtifact;
    case FailureCause::kOutOfMemory:
    case FailureCause::kNumeric:
    case FailureCause::kTimeout:
    case FailureCause::kInvalid:
    case FailureCause::kNone:
      return false;
  }
  return false;
}

MoreMemory LookForMemory(const Draft& draft, const JobRow& row) {
  MoreMemory memory;
  const std::vector<Slot>& slots = draft.worker(row.worker).slots;
  if (row.slot >= 0 && static_cast<size_t>(row.slot) < slots.size()) {
    memory.had = slots[static_cast<size_t>(row.slot)].memory_bytes;
  }
  for (int64_t i = 1; i <= draft.state().workers(); ++i) {
    const WorkerRow& worker = draft.worker({i});
    if (worker.state == WorkerState::kQuarantined) continue;
    memory.largest = std::max(memory.largest, LargestRoom(worker.slots));
  }
  return memory;
}

void ResetBudgets(JobRow& row) {
  row.lost = row.crashed = row.artifact = 0;
  row.lost_on = {};
  row.last_cause = FailureCause::kNone;
}

void FailAttempt(Draft& draft, JobKey key, FailureCause cause, const std::string& message,
                 double device_s) {
  JobRow& row = draft.EditJob(key);
  const WorkerKey worker = row.worker;
  // What it lacked may be the state to go on from: the next one does without.
  if (cause == FailureCause::kArtifact && row.start_ms == 0) draft.SetCheckpoint(key, std::nullopt);
  bool again = SpendBudget(row, cause, worker);
  std::string advice;
  if (cause == FailureCause::kOutOfMemory) {
    const MoreMemory memory = LookForMemory(draft, row);
    again = memory.enough();
    if (again) {
      row.memory_bytes = std::max(row.memory_bytes, memory.had + 1);
    } else {
      advice = MemoryAdvice(memory);
    }
  }
  draft.EndAttempt(key, cause, absl::StrCat(message, advice), device_s);
  row.last_cause = cause;
  if (again) {
    draft.Requeue(key);
  } else {
    draft.Move(key, JobState::kFailed);
  }
  CountFailure(draft, worker, key, cause);
}

void CountSuccess(Draft& draft, WorkerKey worker) {
  WorkerRow& row = draft.EditWorker(worker);
  ++row.succeeded;
  row.streak.clear();
  row.streak_ms = 0;
  row.last_success_ms = draft.now_ms();
}

std::string_view WordFor(FailureCause cause) {
  switch (cause) {
    case FailureCause::kLost:
      return "LOST";
    case FailureCause::kPreempted:
      return "PREEMPTED";
    case FailureCause::kCrashed:
      return "CRASHED";
    case FailureCause::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case FailureCause::kArtifact:
      return "ARTIFACT";
    case FailureCause::kNumeric:
      return "NUMERIC";
    case FailureCause::kTimeout:
      return "TIMEOUT";
    case FailureCause::kInvalid:
      return "INVALID";
    case FailureCause::kNone:
      return "";
  }
  return "";
}

}  // namespace retort::core
