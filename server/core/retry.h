// Why was this job retried? What each cause of failure costs, and when a worker is suspected.
#ifndef RETORT_SERVER_CORE_RETRY_H_
#define RETORT_SERVER_CORE_RETRY_H_

#include <string>

#include "server/core/draft.h"

namespace retort::core {

// cause          what happens
// LOST           requeue, until three distinct workers have lost the job (it may be what kills
// them) or it was
//                lost ten times in all. A checkpoint that is farther than the one before makes the
//                budget new (sync.cc): a job that advances is lost as often as it takes.
// PREEMPTED      the same, in the same budget
// CRASHED        requeue twice
// ARTIFACT       requeue three times
// OUT_OF_MEMORY  requeue, for a slot with more memory than the one it had, if a known worker that
// is
//                not quarantined has one; the job's need is raised for good. Smaller micro-batches
//                are not tried.
// NUMERIC, TIMEOUT, INVALID  fail at once
inline constexpr int kMostLost = 10;
inline constexpr int kMostCrashed = 2;
inline constexpr int kMostArtifact = 3;

// Charges a failure to the job's budgets. True if it may be tried again.
bool SpendBudget(JobRow& row, FailureCause cause, WorkerKey worker);

// Fresh budgets.
void ResetBudgets(JobRow& row);

// Ends the latest attempt of a live job with a failure, and queues or fails the job. Failures that
// may be the worker's count against it: it is quarantined when Options::quarantine_streak distinct
// jobs failed on it in a row while another worker had a success, which shows that the jobs are not
// to blame. What these failures cost the jobs' budgets is given back then, and those that failed
// for good here are queued again: one bad machine must not burn a sweep.
void FailAttempt(Draft& draft, JobKey key, FailureCause cause, const std::string& message,
                 double device_s);

// True if a job that ran out of memory on that slot could try a larger one, which `need` asks for
// then.
struct MoreMemory {
  int64_t had = 0;      // of the slot; 0 if not known
  int64_t largest = 0;  // of a slot of a known worker that is not quarantined
  bool enough() const { return had > 0 && largest > had; }
};
MoreMemory LookForMemory(const Draft& draft, const JobRow& row);

// A success ends the row of failures.
void CountSuccess(Draft& draft, WorkerKey worker);

// `LOST`, `CRASHED`, ...
std::string_view WordFor(FailureCause cause);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_RETRY_H_
