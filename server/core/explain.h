// Why is this job not running, and what became of it? Answered by the rules of placement.
#ifndef RETORT_SERVER_CORE_EXPLAIN_H_
#define RETORT_SERVER_CORE_EXPLAIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "server/core/state.h"
#include "server/core/types.h"

namespace retort::core {

// Same numbers as v1::ReasonCode, which says what each means.
enum class ReasonCode : uint8_t {
  kSucceeded = 1,
  kRunning = 2,
  kLeased = 3,
  kTeacherNotDone = 4,
  kTeacherEnded = 5,
  kPermanentFailure = 6,
  kBudgetSpent = 7,
  kCancelled = 8,
  kSweepPaused = 9,
  kSweepExpanding = 10,
  kNoWorkers = 11,
  kNoFreeSlot = 12,
  kNotEnoughMemory = 13,
  kWorkerQuarantined = 14,
  kWorkerDraining = 15,
  kWorkerAway = 16,
  kBehindOthers = 17,
  kAvoidsWorker = 18,
  kReady = 19,
  kTorchscriptNotAllowed = 30,
  kFasterWorker = 20,
};

struct Reason {
  ReasonCode code = ReasonCode::kReady;
  std::string message;               // a sentence for people
  std::vector<std::string> related;  // resource names, at most 16
};

// How much of a job's patience with one cause is spent.
struct SpentBudget {
  FailureCause cause = FailureCause::kNone;  // LOST stands for PREEMPTED too
  int spent = 0;
  int limit = 0;  // the job fails beyond it
};

struct Explanation {
  JobId job;
  JobState state = JobState::kBlocked;
  int32_t attempt = 0;               // the latest
  std::vector<Reason> reasons;       // the decisive one first; at least one
  std::vector<SpentBudget> budgets;  // of causes that may be tried again
};

// Most queued jobs that are looked at in order to say how many come before one.
inline constexpr int64_t kMostAhead = 10'000;

// Explains a job of the state, as of now. Bounded work: no more than kMostAhead jobs, and all
// workers once.
Explanation Explain(const State& state, JobKey job, const Now& now);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_EXPLAIN_H_
