#include "worker/agent/slurm.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int kMostCpus = 65536;

absl::StatusOr<int64_t> Number(const Environment& environment, const char* name, int64_t least,
                               int64_t most) {
  const std::string text = environment(name);
  int64_t number = 0;
  if (absl::SimpleAtoi(text, &number) && number >= least && number <= most) return number;
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": '", text, "'; Slurm sets a number from ", least, " to ", most));
}

absl::StatusOr<int> Cpus(const Environment& environment) {
  for (const char* name : {"SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"}) {
    if (environment(name).empty()) continue;
    RETORT_ASSIGN_OR_RETURN(const int64_t cpus, Number(environment, name, 1, kMostCpus));
    return static_cast<int>(cpus);
  }
  return 1;
}

// Entries of CUDA_VISIBLE_DEVICES that name a GPU: Slurm writes `NoDevFiles` where there is none.
int Visible(const std::string& list) {
  int count = 0;
  for (const auto entry : absl::StrSplit(list, ',', absl::SkipWhitespace())) {
    const std::string name(entry);
    count += name != "NoDevFiles" && name != "-1" ? 1 : 0;
  }
  return count;
}

// A list of visible GPUs alone proves nothing: a job inherits it from who submitted it.
absl::StatusOr<int> Gpus(const Environment& environment) {
  const std::string visible = environment("CUDA_VISIBLE_DEVICES");
  if (!environment("SLURM_GPUS_ON_NODE").empty()) {
    RETORT_ASSIGN_OR_RETURN(const int64_t gpus, Number(environment, "SLURM_GPUS_ON_NODE", 0, 1024));
    const int given = static_cast<int>(gpus);
    return visible.empty() ? given : std::min(given, Visible(visible));
  }
  const bool given =
      !environment("SLURM_JOB_GPUS").empty() || !environment("SLURM_STEP_GPUS").empty();
  return given ? Visible(visible) : 0;
}

absl::StatusOr<std::string> Task(const Environment& environment) {
  const bool array = !environment("SLURM_ARRAY_JOB_ID").empty();
  constexpr int64_t kMost = int64_t{1} << 32;
  RETORT_ASSIGN_OR_RETURN(
      const int64_t job,
      Number(environment, array ? "SLURM_ARRAY_JOB_ID" : "SLURM_JOB_ID", 1, kMost));
  std::string task = absl::StrCat(job);
  if (array) {
    RETORT_ASSIGN_OR_RETURN(const int64_t index,
                            Number(environment, "SLURM_ARRAY_TASK_ID", 0, kMost));
    absl::StrAppend(&task, "-", index);
  }
  if (!environment("SLURM_RESTART_COUNT").empty()) {
    RETORT_ASSIGN_OR_RETURN(const int64_t restarts,
                            Number(environment, "SLURM_RESTART_COUNT", 0, kMost));
    if (restarts > 0) absl::StrAppend(&task, "-r", restarts);
  }
  return task;
}

}  // namespace

absl::StatusOr<SlurmShare> ReadSlurmShare(const Environment& environment) {
  if (environment("SLURM_JOB_ID").empty()) {
    return absl::FailedPreconditionError(
        "--slurm: SLURM_JOB_ID is not set; it is for a worker that Slurm has started as a job");
  }
  SlurmShare share;
  RETORT_ASSIGN_OR_RETURN(share.task, Task(environment));
  RETORT_ASSIGN_OR_RETURN(share.cpus, Cpus(environment));
  RETORT_ASSIGN_OR_RETURN(share.gpus, Gpus(environment));
  if (!environment("SLURM_JOB_END_TIME").empty()) {
    // Seconds since 1970; a job without a limit has one far ahead.
    RETORT_ASSIGN_OR_RETURN(const int64_t end,
                            Number(environment, "SLURM_JOB_END_TIME", 0, int64_t{1} << 40));
    if (end > 0) share.end = absl::FromUnixSeconds(end);
  }
  return share;
}

absl::StatusOr<absl::Duration> WorkingTime(absl::Duration limit, absl::Duration leaving) {
  if (limit > leaving) return limit - leaving;
  return absl::InvalidArgumentError(
      absl::StrCat("--time-limit: ", absl::FormatDuration(limit), " leaves no time to work; ",
                   "expected more than ", absl::FormatDuration(leaving),
                   ", which stopping and reporting may take; --drain-timeout is part of it"));
}

}  // namespace retort
