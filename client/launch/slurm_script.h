// Workers as an array of Slurm jobs: the script that sbatch is given.
#ifndef RETORT_CLIENT_LAUNCH_SLURM_SCRIPT_H_
#define RETORT_CLIENT_LAUNCH_SLURM_SCRIPT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace retort {

// What a worker is started with, wherever that is.
struct WorkerCommand {
  std::string program = "retort-worker";
  // How it joins: an access file that is there on its machine, else the coordinator's address.
  std::string access = {};
  std::string coordinator = {};
  bool insecure = false;
  std::vector<std::string> more = {};  // other arguments

  // All arguments, without the program.
  std::vector<std::string> Arguments() const;
};

struct SlurmOptions {
  int workers = 1;
  std::string name = "slurm";  // the job is `retort-NAME`, a worker NAME-JOB-TASK
  int cpus = 1;                // of each worker
  int threads = 1;             // of each slot
  int gpus = 0;                // of each worker
  std::string partition;       // empty: Slurm's default
  std::string time;            // as Slurm spells it; empty: the partition's limit
  // When a worker leaves by itself; as `time` says if left out.
  std::optional<absl::Duration> time_limit;
  absl::Duration drain_timeout = absl::Seconds(5);
  std::string folder;             // where workers have their folders; empty: on their node
  std::string logs;               // folder of the jobs' output, absolute
  std::vector<std::string> more;  // further options of sbatch; they win
  WorkerCommand worker;
};

// The name of the job of all these workers.
std::string SlurmJobName(const SlurmOptions& options);

// The batch script, a line each for sbatch and then one command, or INVALID_ARGUMENT. SIGTERM comes
// to the worker itself: in time before the limit (`--signal`), and when it is preempted.
absl::StatusOr<std::string> SlurmScript(const SlurmOptions& options);

// `90`, `90:30`, `4:00:00`, `2-12`, `2-12:30`, `2-12:30:00`: minutes, hours and days as sbatch
// takes them. Infinite for `UNLIMITED`, `INFINITE` and `0`. INVALID_ARGUMENT otherwise.
absl::StatusOr<absl::Duration> ParseSlurmTime(std::string_view text);

// The word as a shell reads it back, in quotes where it must be.
std::string ShellQuoted(std::string_view word);
// The words in a line.
std::string ShellLine(const std::vector<std::string>& words);

// The number of the job that `sbatch --parsable` printed: `17`, `17;cluster`. INVALID_ARGUMENT if
// it printed anything else.
absl::StatusOr<int64_t> ParseSubmitted(std::string_view output);

}  // namespace retort

#endif  // RETORT_CLIENT_LAUNCH_SLURM_SCRIPT_H_
