// Programs that are run to their end: sbatch, squeue, ssh, a runner that tells of itself.
#ifndef RETORT_COMMON_PROGRAM_H_
#define RETORT_COMMON_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace retort {

struct ProgramRun {
  std::vector<std::string> command;  // the program, sought on the PATH, and its arguments
  std::string input = {};            // what it reads on its standard input
  absl::Duration limit = absl::Seconds(60);
  // Variables that it does not get: those whose names begin like this.
  std::string without_variables = {};
};

struct ProgramAnswer {
  int exit_code = 0;  // 128 + the signal that killed it
  std::string out;
  std::string err;
};

// Runs a program to its end. NOT_FOUND: there is none; DEADLINE_EXCEEDED: it was killed, with its
// process group, after `limit`; RESOURCE_EXHAUSTED: it printed more than 16 MiB. Threads: any.
absl::StatusOr<ProgramAnswer> RunProgram(const ProgramRun& run);

// The same; an exit code other than 0 is FAILED_PRECONDITION with what it printed last.
absl::StatusOr<std::string> OutputOf(const ProgramRun& run);

}  // namespace retort

#endif  // RETORT_COMMON_PROGRAM_H_
