#include <memory>

#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/progress.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"
#include "client/sdk/sweep_schema.h"

namespace retort {
namespace {

const std::vector<Column>& SweepColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"sweep", "sweep", 0, {}},      {"state", "state", 0, {}},
      {"jobs", "jobs", 0, {}},        {"succeeded", "done", 0, {}},
      {"running", "running", 0, {}},  {"failed", "failed", 0, {}},
      {"known_jobs", "known", 0, {}}, {"create_time", "submitted", 0, {}},
  };
  return columns;
}

void EmitSweep(Context& context, const absl::StatusOr<v1::Sweep>& sweep) {
  if (!sweep.ok()) return context.Fail(sweep.status());
  EmitObject(context, SweepRow(*sweep));
}

void List(Context& context) {
  const auto sweeps = context.NewClient().ListSweeps();
  if (!sweeps.ok()) return context.Fail(sweeps.status());
  std::vector<Json> rows;
  for (const v1::Sweep& sweep : *sweeps) rows.push_back(SweepRow(sweep));
  EmitRows(context, rows, SweepColumns());
}

// A command that takes the name of a sweep.
template <typename Run>
CLI::App* AddNamed(CLI::App& group, const char* command, const char* help, const Run& run) {
  CLI::App* added = group.add_subcommand(command, help);
  const auto name = std::make_shared<std::string>();
  added->add_option("SWEEP", *name, "name of the sweep")->required();
  added->callback([name, run] { run(*name); });
  return added;
}

}  // namespace

absl::StatusOr<v1::Sweep> WaitWithProgress(
    Context& context, Client& client, const std::string& sweep, absl::Duration timeout,
    const std::function<absl::Status(ProgressDisplay&)>& tick) {
  ProgressDisplay display(context.terminal);
  absl::Status broken;
  const auto ended = client.WaitForSweep(sweep, timeout, [&](const SweepProgress& progress) {
    if (WasInterrupted()) return false;
    if (tick) broken = tick(display);
    if (!progress.sweep.name().empty() || progress.away > absl::Seconds(2)) {
      display.Show(progress, absl::Now());
    }
    return broken.ok();
  });
  if (!broken.ok()) return broken;
  return ended;
}

ExitCode ExitCodeOf(const v1::Sweep& sweep) {
  const bool failed = sweep.counts().failed() > 0 || sweep.counts().skipped() > 0;
  return failed || sweep.state() == v1::SWEEP_STATE_CANCELLED ? kJobsFailed : kDone;
}

void AddSweepCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("sweep", "submit and steer sweeps");
  group->require_subcommand(1);
  AddSweepSubmit(*group, context);
  AddSweepWait(*group, context);
  AddSweepWatch(*group, context);
  AddSweepExport(*group, context);
  group->add_subcommand("list", "all sweeps, newest first")->callback([&context] {
    List(context);
  });
  group->add_subcommand("schema", "the JSON Schema of sweep files, for editors")
      ->callback([&context] { context.terminal.out << SweepSchema() << std::flush; });
  AddNamed(*group, "show", "state of one sweep", [&context](const std::string& name) {
    EmitSweep(context, context.NewClient().GetSweep(name));
  });
  AddNamed(*group, "pause", "place no more of its jobs", [&context](const std::string& name) {
    EmitSweep(context, context.NewClient().PauseSweep(name));
  });
  AddNamed(*group, "resume", "go on", [&context](const std::string& name) {
    EmitSweep(context, context.NewClient().ResumeSweep(name));
  });
  AddNamed(*group, "cancel", "give up the jobs that no other sweep wants",
           [&context](const std::string& name) {
             EmitSweep(context, context.NewClient().CancelSweep(name));
           });
}

}  // namespace retort
