// The states of a job and the moves between them.
#ifndef RETORT_SERVER_CORE_JOB_STATE_H_
#define RETORT_SERVER_CORE_JOB_STATE_H_

#include <cstdint>
#include <string_view>

namespace retort::core {

// (1)  new      --needs nothing, or its need has succeeded-----------> QUEUED
// (2)  new      --its need has not ended-----------------------------> BLOCKED
// (3)  BLOCKED  --its need succeeded---------------------------------> QUEUED
// (4)  BLOCKED  --its need failed or was cancelled-------------------> SKIPPED
// (5)  SKIPPED  --that need revived----------------------------------> BLOCKED
// (6)  QUEUED   --placed; a new attempt------------------------------> LEASED
// (7)  LEASED   --runner started-------------------------------------> RUNNING
// (8)  RUNNING  --result accepted------------------------------------> SUCCEEDED
// (9)  LEASED, RUNNING --lost, preempted, retryable failure, budget--> QUEUED
// (10) LEASED, RUNNING --the same, but its need was taken back-------> BLOCKED
// (11) LEASED, RUNNING --permanent failure, or budget spent----------> FAILED
// (12) FAILED   --retry asked----------------------------------------> BLOCKED or QUEUED
// (13) BLOCKED, QUEUED, LEASED, RUNNING --no sweep wants it----------> CANCELLED
// (14) CANCELLED --wanted again--------------------------------------> BLOCKED or QUEUED
// (15) SUCCEEDED --its artifact was lost or damaged------------------> QUEUED
// (16) QUEUED   --its need was taken back (15)-----------------------> BLOCKED
// (17) QUEUED, BLOCKED --late result of the latest attempt, which nobody has taken over-->
// SUCCEEDED
//
// A job that ends (SUCCEEDED, FAILED, SKIPPED, CANCELLED) holds no lease. Same numbers as
// v1::JobState.
enum class JobState : uint8_t {
  kBlocked = 1,
  kQueued = 2,
  kLeased = 3,
  kRunning = 4,
  kSucceeded = 5,
  kFailed = 6,
  kSkipped = 7,
  kCancelled = 8,
};
inline constexpr int kJobStates = 8;

// 0..7, for arrays with one place for each state.
constexpr int IndexOf(JobState state) { return static_cast<int>(state) - 1; }

// True for the moves of the diagram.
bool CanMove(JobState from, JobState to);

// SUCCEEDED, FAILED, SKIPPED or CANCELLED.
bool HasEnded(JobState state);

// LEASED or RUNNING.
bool IsLive(JobState state);

// `blocked`, `queued`, ...
std::string_view WordFor(JobState state);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_JOB_STATE_H_
