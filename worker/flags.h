// The flags of retort-worker, and what they come to.
#ifndef RETORT_WORKER_FLAGS_H_
#define RETORT_WORKER_FLAGS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/agent/worker.h"

namespace retort {

// As they are given.
struct Flags {
  std::string access;
  std::string coordinator;
  std::string id;
  std::string folder = "retort-worker";
  int slots = 0;
  int threads = 1;
  std::string device = "cpu";
  double device_memory_gib = 0;
  std::string runner;
  std::string log_level = "info";
  std::string log_format = "text";
  double drain_timeout_s = 30;
  double time_limit_s = 0;
  bool slurm = false;
  bool remove_folder = false;
  double cache_gib = 20;
  bool insecure = false;
  bool allow_torchscript = false;
  std::string metrics;
  bool metrics_in_clear = false;
};

void AddFlags(CLI::App& app, Flags& flags);

// What Slurm gives becomes flags, where none were given.
absl::Status TakeSlurmShare(Flags& flags);

// The path of --runner, or of the runner beside this program.
absl::StatusOr<std::string> FindRunner(const std::string& given);

// Makes the folder. INVALID_ARGUMENT names the flag that is wrong.
absl::StatusOr<WorkerOptions> Resolve(Flags& flags);

}  // namespace retort

#endif  // RETORT_WORKER_FLAGS_H_
