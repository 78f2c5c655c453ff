// What squeue says of the jobs that are workers.
#ifndef RETORT_CLIENT_LAUNCH_SQUEUE_H_
#define RETORT_CLIENT_LAUNCH_SQUEUE_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace retort {

// A task of an array of jobs.
struct SlurmTaskId {
  int64_t job = 0;
  int64_t index = 0;
  auto operator<=>(const SlurmTaskId&) const = default;
  // `17_2`, as scancel takes it.
  std::string text() const;
};

enum class SlurmPhase {
  kWaiting,  // will run, now or later; holds nothing
  kRunning,  // holds a node, or is about to
  kLeaving,  // its processes are ending
  kEnded,    // holds nothing, and will never run again
  kUnknown,  // a word that is not known here: it is not dead
};

// What a state of Slurm (JOB STATE CODES of squeue, 22.05) means for a worker.
SlurmPhase PhaseOf(std::string_view state);

// All words that PhaseOf knows.
std::vector<std::string> SlurmStates();

struct SlurmTask {
  SlurmTaskId id;
  SlurmPhase phase = SlurmPhase::kUnknown;
  std::string state;  // as Slurm spells it
};

// The arguments of squeue, behind its name: tasks of this user's jobs of that name, one a line,
// also those that have just ended. There is a header, which a failed or cut answer lacks.
std::vector<std::string> SqueueArguments(const std::string& job_name);

// What squeue printed, its exit code being 0. DATA_LOSS if it is anything but the header and whole
// lines: then nothing is known, which is not the same as no tasks.
absl::StatusOr<std::vector<SlurmTask>> ParseSqueue(std::string_view output);

}  // namespace retort

#endif  // RETORT_CLIENT_LAUNCH_SQUEUE_H_
