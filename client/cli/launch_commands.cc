#include "client/cli/launch_commands.h"

#include <unistd.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace retort {

void AddLaunchFlags(CLI::App& command, LaunchFlags& flags) {
  command.add_option("--worker-access", flags.access,
                     "access file of role worker, which the workers join with; without one they "
                     "join by the coordinator's address");
  command.add_option("--program", flags.program, "retort-worker, where the workers are");
  command.add_option("--worker-option", flags.worker_options,
                     "a further argument of retort-worker, as in --worker-option=--cache-gib=5; "
                     "may be given again");
  command.add_flag("--dry-run", flags.dry_run, "show what would be done, and do nothing");
}

absl::StatusOr<WorkerCommand> LaunchedWorker(Context& context, const LaunchFlags& flags,
                                             const std::string& program) {
  WorkerCommand worker;
  worker.program = flags.program.empty() ? program : flags.program;
  worker.more = flags.worker_options;
  if (!flags.access.empty()) {
    if (access(flags.access.c_str(), R_OK) != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--worker-access: ", flags.access, " cannot be read"));
    }
    std::error_code unused;
    worker.access = std::filesystem::absolute(flags.access, unused).string();
    return worker;
  }
  worker.coordinator = context.source.access.addresses.front();
  worker.insecure = context.choice.insecure;
  if (IsLoopback(worker.coordinator)) {
    context.terminal.err << "retort: workers on other machines cannot reach " << worker.coordinator
                         << "; name the coordinator as they see it, or give --worker-access"
                         << std::endl;
  }
  return worker;
}

void AddWorkerLaunch(CLI::App& group, Context& context) {
  CLI::App* launch = group.add_subcommand("launch", "start workers on a cluster or by ssh");
  launch->require_subcommand(1);
  AddLaunchSlurm(*launch, context);
  AddLaunchSsh(*launch, context);
}

}  // namespace retort
