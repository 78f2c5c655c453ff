// `retort worker launch`: workers on engines that are there already.
#ifndef RETORT_CLIENT_CLI_LAUNCH_COMMANDS_H_
#define RETORT_CLIENT_CLI_LAUNCH_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/context.h"
#include "client/launch/slurm_script.h"

namespace retort {

// How the workers of all engines join, and what they are given besides.
struct LaunchFlags {
  std::string access;   // file for workers; empty: by the coordinator's address
  std::string program;  // retort-worker, where the workers are
  std::vector<std::string> worker_options;
  bool dry_run = false;
};

void AddLaunchFlags(CLI::App& command, LaunchFlags& flags);

// INVALID_ARGUMENT if the access file cannot be read. `program` is used where no other was named.
// Warns where workers of other machines cannot reach the address.
absl::StatusOr<WorkerCommand> LaunchedWorker(Context& context, const LaunchFlags& flags,
                                             const std::string& program);

// `launch`, of the group `worker`.
void AddWorkerLaunch(CLI::App& group, Context& context);
// `slurm` and `ssh`, of the group `launch`.
void AddLaunchSlurm(CLI::App& group, Context& context);
void AddLaunchSsh(CLI::App& group, Context& context);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_LAUNCH_COMMANDS_H_
