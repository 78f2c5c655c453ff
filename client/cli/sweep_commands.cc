#include <iostream>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/progress.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"
#include "client/sdk/sweep_file.h"
#include "client/sdk/sweep_schema.h"
#include "common/status.h"

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

void WaitAndEmit(Context& context, Client& client, const std::string& name,
                 absl::Duration timeout) {
  CatchInterrupts();
  const auto ended = WaitWithProgress(context, client, name, timeout, {});
  EmitSweep(context, ended);
  if (ended.ok()) context.exit_code = ExitCodeOf(*ended);
}

struct SubmitFlags {
  std::string file;
  bool wait = false;
  bool dry_run = false;
};

// The sweep file that another program writes; its paths are relative to the working folder.
absl::StatusOr<SweepFile> ReadSweepFrom(std::istream& in) {
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return ParseSweepFile(text, "standard input", ".");
}

void Submit(Context& context, const SubmitFlags& flags) {
  const auto sweep = flags.file == "-" ? ReadSweepFrom(std::cin) : ReadSweepFile(flags.file);
  if (!sweep.ok()) return context.Fail(sweep.status());
  Client client = context.NewClient();
  const auto created = client.Submit(sweep->spec, sweep->file_paths, flags.dry_run);
  if (!created.ok()) return context.Fail(Annotate(created.status(), flags.file));
  const std::string name = ShortName(created->sweep().name());
  Json row = {{"sweep", flags.dry_run ? sweep->spec.name() : name},
              {"jobs", created->jobs()},
              {"known_jobs", created->known_jobs()},
              {"new_jobs", created->jobs() - created->known_jobs()}};
  if (!flags.wait || flags.dry_run) return EmitObject(context, row);
  WaitAndEmit(context, client, name, absl::InfiniteDuration());
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

void AddSubmit(CLI::App& group, Context& context) {
  CLI::App* submit = group.add_subcommand("submit", "submit a sweep file");
  const auto flags = std::make_shared<SubmitFlags>();
  submit->add_option("FILE", flags->file, "sweep file, or - for standard input")->required();
  submit->add_flag("--wait", flags->wait, "wait until all jobs have ended");
  submit->add_flag("--dry-run", flags->dry_run, "only tell how many jobs it has and would run");
  submit->callback([&context, flags] { Submit(context, *flags); });
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
  AddSubmit(*group, context);
  AddSweepExport(*group, context);
  group->add_subcommand("list", "all sweeps, newest first")->callback([&context] {
    List(context);
  });
  group->add_subcommand("schema", "the JSON Schema of sweep files, for editors")
      ->callback([&context] { context.terminal.out << SweepSchema() << std::flush; });
  AddNamed(*group, "show", "state of one sweep", [&context](const std::string& name) {
    EmitSweep(context, context.NewClient().GetSweep(name));
  });
  const auto timeout = std::make_shared<std::string>("inf");
  CLI::App* wait = AddNamed(
      *group, "wait", "wait until all jobs have ended",
      [&context, timeout](const std::string& name) {
        absl::Duration patience;
        if (!absl::ParseDuration(*timeout, &patience) || patience <= absl::ZeroDuration()) {
          return context.Fail(absl::InvalidArgumentError(absl::StrCat(
              "--timeout: '", *timeout, "'; expected a duration such as 90s, 15m or 1h30m")));
        }
        Client client = context.NewClient();
        // A name that is wrong is an error at once, and not something to wait for.
        if (const auto sweep = client.GetSweep(name); !sweep.ok()) {
          return context.Fail(sweep.status());
        }
        WaitAndEmit(context, client, name, patience);
      });
  wait->add_option("--timeout", *timeout, "give up (exit code 5) after 90s, 15m, 1h30m");
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
