// What the coordinator remembers of sweeps, jobs and workers: the durable rows, and small keys.
//
// Specs, labels, results and metrics are not here: they lie in the store and are read when needed,
// so that a million jobs fit in memory.
#ifndef RETORT_SERVER_CORE_TYPES_H_
#define RETORT_SERVER_CORE_TYPES_H_

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "retort/v1/result.pb.h"
#include "server/core/job_state.h"

namespace retort::core {

// A small integer that names a row; 0 names none. Keys are given in order, from 1, without gaps.
template <typename Tag>
struct Key {
  int64_t value = 0;

  explicit operator bool() const { return value != 0; }
  friend auto operator<=>(const Key&, const Key&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Key& key) {
    return H::combine(std::move(h), key.value);
  }
};
using JobKey = Key<struct JobKeyTag>;
using SweepKey = Key<struct SweepKeyTag>;
using WorkerKey = Key<struct WorkerKeyTag>;

// Same numbers as v1::FailureCause.
enum class FailureCause : uint8_t {
  kNone = 0,
  kLost = 1,
  kPreempted = 2,
  kCrashed = 3,
  kOutOfMemory = 4,
  kArtifact = 5,
  kNumeric = 6,
  kTimeout = 7,
  kInvalid = 8,
};

// Same numbers as v1::JobKind, but for kScripted: a student of a TorchScript module, which only
// some workers take.
enum class JobKind : uint8_t { kTeacher = 1, kStudent = 2, kScripted = 3 };

// Same numbers as v1::SweepState.
enum class SweepState : uint8_t {
  kExpanding = 1,
  kActive = 2,
  kPaused = 3,
  kDone = 4,
  kCancelled = 5,
};

// Same numbers as v1::WorkerState, without AWAY, which is a flag of its own.
enum class WorkerState : uint8_t { kActive = 1, kDraining = 2, kQuarantined = 3 };

// Most distinct workers that are remembered as having lost a job.
inline constexpr int kLostWorkers = 3;

// What changes of a job. Times are wall milliseconds since 1970, for display; 0 if not yet.
struct JobRow {
  JobState state = JobState::kBlocked;
  FailureCause last_cause = FailureCause::kNone;  // of the latest failure; kept until a retry
  // Failures so far that have a budget (retry.h).
  uint8_t lost = 0;  // and preempted
  uint8_t crashed = 0;
  uint8_t artifact = 0;
  int32_t attempt = 0;  // latest attempt: the fencing token; 0 before the first
  WorkerKey worker;     // that had or has the latest attempt
  std::array<WorkerKey, kLostWorkers> lost_on{};  // distinct workers that lost it
  int64_t points = 0;                             // durable metric points of the latest attempt
  int64_t lease_ms = 0;                           // when the latest attempt was leased
  int64_t start_ms = 0;                           // when it began to run
  int64_t end_ms = 0;                             // when the job ended
  // What it needs of a slot, bytes; 0 if not known. An estimate, what sweeps ask for, or more than
  // a slot that was too small.
  int64_t memory_bytes = 0;
  bool memory_hinted = false;  // a sweep says so
  int16_t slot = -1;           // of the latest attempt, an index into the worker's; -1 if not known

  friend bool operator==(const JobRow&, const JobRow&) = default;
};

// A job: what never changes, and its row.
struct Job {
  JobId id;
  JobKey teacher;  // the job whose weights it needs; none for jobs without a teacher
  JobKind kind = JobKind::kStudent;
  double expected_cost = 0;  // multiply-accumulates x training windows x epochs
  int64_t create_ms = 0;
  JobRow row;
  std::vector<SweepKey> sweeps;  // that contain it, cancelled ones included; ascending
};

// Number of jobs by state; index with IndexOf(JobState).
using JobCounts = std::array<int64_t, kJobStates>;

// What changes of a sweep.
struct SweepRow {
  SweepState state = SweepState::kExpanding;
  std::string reason;  // why it is paused or cancelled
  int64_t end_ms = 0;
  JobCounts counts{};
  int64_t known = 0;     // jobs that had succeeded before they were added
  double cost_open = 0;  // expected cost of the jobs that have not ended
  double cost_done = 0;  // expected cost of the attempts that succeeded since submission
  double done_s = 0;     // slot time of those attempts, seconds: cost_done / done_s is the rate
  double device_s = 0;   // slot time of all attempts that ended since submission, seconds
  bool budget_spent = false;  // its run-time budget was acted on; resuming goes on without

  friend bool operator==(const SweepRow&, const SweepRow&) = default;
};

// What a sweep may cost at run time; 0: no limit.
struct RunBudget {
  double device_s = 0;
  int64_t wall_ms = 0;  // from submission
  bool cancel = false;  // cancel when spent, else pause

  friend bool operator==(const RunBudget&, const RunBudget&) = default;
};

// What never changes of a sweep.
struct SweepFixed {
  std::string name;
  int32_t priority = 0;
  int64_t jobs = 0;  // that it has when it is expanded
  int64_t create_ms = 0;
  RunBudget budget;
  double checkpoint_every_s = 0;  // time of training between checkpoints; 0: none
  double wall_limit_s = 0;        // most time of one attempt; 0: no limit

  friend bool operator==(const SweepFixed&, const SweepFixed&) = default;
};

// A failure that may be the worker's fault.
struct Mishap {
  JobKey job;
  FailureCause cause = FailureCause::kCrashed;

  friend bool operator==(const Mishap&, const Mishap&) = default;
};

struct Slot {
  int32_t index = 0;
  std::string device;        // `cpu` or `cuda:N`
  int64_t memory_bytes = 0;  // 0 if not known

  friend bool operator==(const Slot&, const Slot&) = default;
};

inline constexpr size_t kMostMishaps = 64;

// What is remembered of a worker.
struct WorkerRow {
  std::string name;
  std::string host;
  std::string version;
  std::vector<Slot> slots;
  int64_t incarnation = 0;
  WorkerState state = WorkerState::kActive;
  std::string reason;   // why it is not active
  bool away = false;    // not heard of for longer than a lease
  int64_t seen_ms = 0;  // exact to a minute
  int64_t succeeded = 0;
  int64_t failed = 0;  // other than LOST and PREEMPTED
  // The circuit breaker (retry.h): what failed here since the last success, at most kMostMishaps.
  std::vector<Mishap> streak;
  int64_t streak_ms = 0;        // when the first of them failed
  int64_t last_success_ms = 0;  // when an attempt last succeeded here

  friend bool operator==(const WorkerRow&, const WorkerRow&) = default;
};

// The speeds of the workers that are there (pace.h, outlook.h). Volatile.
struct Fleet {
  absl::Duration at = -absl::InfiniteDuration();  // when it was measured; monotonic
  double median = 1;                              // of the workers whose speed is known
  double fastest = 0;                             // 0: none is known
  double capacity = 0;                            // sum of the speeds of all slots
};

// The first of the jobs that a worker leaves to faster slots. Volatile.
struct JobLeft {
  JobKey job;                                   // 0: none
  absl::Duration since = absl::ZeroDuration();  // monotonic

  friend bool operator==(const JobLeft&, const JobLeft&) = default;
};

// An artifact by hash and size.
struct Artifact {
  ArtifactHash hash;
  int64_t size_bytes = 0;

  friend bool operator==(const Artifact&, const Artifact&) = default;
};

// Where the training of a job can go on: what it has learnt so far is in a file, and the points of
// the epochs done are durable.
struct TrainingCheckpoint {
  Artifact file;
  int32_t epochs_done = 0;
  int64_t steps_done = 0;  // of the optimiser: tells whether a checkpoint is farther than another

  friend bool operator==(const TrainingCheckpoint&, const TrainingCheckpoint&) = default;
};

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_TYPES_H_
