#include "server/core/retry.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

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

void CountFailure(Draft& draft, WorkerKey worker, JobKey job, FailureCause cause) {
  if (cause == FailureCause::kLost || cause == FailureCause::kPreempted) return;
  WorkerRow& row = draft.EditWorker(worker);
  ++row.failed;
  if (!MayBeTheWorkers(cause)) return;
  const auto limit = static_cast<size_t>(draft.state().options().quarantine_streak);
  if (row.streak.empty()) row.streak_ms = draft.now_ms();
  if (row.streak.size() < limit &&
      std::find(row.streak.begin(), row.streak.end(), job) == row.streak.end()) {
    row.streak.push_back(job);
  }
  if (row.streak.size() >= limit && row.state == WorkerState::kActive &&
      OthersSucceeded(draft, worker, row.streak_ms)) {
    row.state = WorkerState::kQuarantined;
    row.reason = absl::StrCat(row.streak.size(),
                              " jobs in a row failed here while jobs succeeded elsewhere");
  }
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

void ResetBudgets(JobRow& row) {
  row.lost = row.crashed = row.artifact = 0;
  row.lost_on = {};
  row.last_cause = FailureCause::kNone;
}

void FailAttempt(Draft& draft, JobKey key, FailureCause cause, const std::string& message,
                 double device_s) {
  draft.EndAttempt(key, cause, message, device_s);
  JobRow& row = draft.EditJob(key);
  row.last_cause = cause;
  const WorkerKey worker = row.worker;
  if (SpendBudget(row, cause, worker)) {
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
