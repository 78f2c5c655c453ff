// The command line of `retort`, a file per group of commands.
#ifndef RETORT_CLIENT_CLI_COMMANDS_H_
#define RETORT_CLIENT_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "client/cli/config.h"
#include "client/cli/context.h"

namespace retort {

// Each adds its commands to the program. What a command did stands in the context's exit code.
void AddLocalCommand(CLI::App& app, Context& context);
void AddSweepCommands(CLI::App& app, Context& context);
void AddJobCommands(CLI::App& app, Context& context);
void AddWorkerCommands(CLI::App& app, Context& context);
void AddResultsCommand(CLI::App& app, Context& context);
void AddFitCommand(CLI::App& app, Context& context);
void AddReportCommand(CLI::App& app, Context& context);
void AddAdminCommands(CLI::App& app, Context& context);
void AddDataCommands(CLI::App& app, Context& context);
void AddModelCommands(CLI::App& app, Context& context);
// `token`, of the group `admin`.
void AddTokenCommands(CLI::App& admin, Context& context);
// `doctor`, of the group `admin`.
void AddDoctorCommand(CLI::App& admin, Context& context);
// `export`, of the group `sweep`.
void AddSweepExport(CLI::App& group, Context& context);
// `submit` and `wait`, of the group `sweep`.
void AddSweepSubmit(CLI::App& group, Context& context);
void AddSweepWait(CLI::App& group, Context& context);
// `watch`, of the group `sweep`.
void AddSweepWatch(CLI::App& group, Context& context);
// `compare`, of the group `job`.
void AddJobCompare(CLI::App& group, Context& context);
// `prepare`, of the group `data`.
void AddPrepareCommand(CLI::App& group, Context& context);
void AddQueryCommand(CLI::App& app, Context& context);
// `completion` and `man`, which describe all of `app`.
void AddManualCommands(CLI::App& app, Context& context);

// All of them, and the program's own options. `configured` is what came of the configuration file
// by the time that a line has been parsed.
void AddCommands(CLI::App& app, Context& context, const absl::Status& configured);

// Runs one command line (without the program's name) and returns the exit code. What stands in the
// configuration file comes after flags and environment.
int RunCommandLine(std::vector<std::string> args, Context& context, const ConfigPlace& config = {});

// Waits for a sweep with live progress; CANCELLED after Ctrl-C. `tick` is called several times a
// second; a status that is not OK ends the wait with it.
absl::StatusOr<v1::Sweep> WaitWithProgress(
    Context& context, Client& client, const std::string& sweep, absl::Duration timeout,
    const std::function<absl::Status(class ProgressDisplay&)>& tick);

// Exit code of a sweep that has ended: kJobsFailed if a job failed or was skipped, or it was
// cancelled.
ExitCode ExitCodeOf(const v1::Sweep& sweep);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_COMMANDS_H_
