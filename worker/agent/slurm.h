// What Slurm gives a worker that runs as one of its jobs.
#ifndef RETORT_WORKER_AGENT_SLURM_H_
#define RETORT_WORKER_AGENT_SLURM_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace retort {

// The value of a variable of the environment; empty if it is not set.
using Environment = std::function<std::string(const char* name)>;

struct SlurmShare {
  // `JOB`, `ARRAY-TASK`, and `-rN` behind it in the N-th run of a job that was requeued, perhaps on
  // another machine: what a worker's name ends with.
  std::string task;
  int cpus = 1;
  int gpus = 0;                   // the job sees them as cuda:0, cuda:1, …
  std::optional<absl::Time> end;  // when the job's time is over, where Slurm says so (23.02 and on)
};

// FAILED_PRECONDITION outside a job. INVALID_ARGUMENT: a variable is not what Slurm sets.
absl::StatusOr<SlurmShare> ReadSlurmShare(const Environment& environment);

// How long a worker may work before it leaves, so that leaving, which takes at most `leaving`, ends
// before `limit` has passed. INVALID_ARGUMENT: there is no time to work.
absl::StatusOr<absl::Duration> WorkingTime(absl::Duration limit, absl::Duration leaving);

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_SLURM_H_
