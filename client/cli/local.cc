// `retort local`: a sweep on this machine in one command and one folder.
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/cluster.h"
#include "client/cli/commands.h"
#include "client/cli/progress.h"
#include "client/cli/results.h"
#include "client/sdk/sweep_file.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

struct LocalFlags {
  std::string file;
  ClusterOptions cluster{.folder = "retort-data", .workers = 1, .slots = 0, .threads = 1};
};

// The newest sweep that was submitted with this very spec and not cancelled, or empty: running the
// command again goes on with it.
absl::StatusOr<std::string> FindSame(Client& client, const v1::SweepSpec& spec) {
  RETORT_ASSIGN_OR_RETURN(const auto sweeps, client.ListSweeps());
  for (const v1::Sweep& sweep : sweeps) {
    const std::string name = ShortName(sweep.name());
    const bool may_be = name == spec.name() || absl::StartsWith(name, spec.name() + "-");
    if (!may_be || sweep.state() == v1::SWEEP_STATE_CANCELLED) continue;
    RETORT_ASSIGN_OR_RETURN(v1::Sweep found, client.GetSweep(name));
    found.mutable_spec()->set_name(spec.name());
    if (google::protobuf::util::MessageDifferencer::Equals(found.spec(), spec)) return name;
  }
  return std::string();
}

// Submits the sweep, or finds it; jobs that failed before are tried again. The name that it has.
absl::StatusOr<std::string> SubmitOrFind(Context& context, Client& client, const SweepFile& file) {
  RETORT_ASSIGN_OR_RETURN(const std::string same, FindSame(client, file.spec));
  std::ostream& err = context.terminal.err;
  if (same.empty()) {
    RETORT_ASSIGN_OR_RETURN(const auto created, client.Submit(file.spec, file.file_paths));
    const std::string name = ShortName(created.sweep().name());
    err << "retort: sweep " << name << ": " << created.jobs() << " jobs, of which "
        << created.known_jobs() << " are done already" << std::endl;
    return name;
  }
  RETORT_ASSIGN_OR_RETURN(const int64_t retried,
                          client.RetryJobs(same, {v1::JOB_STATE_FAILED, v1::JOB_STATE_SKIPPED}));
  err << "retort: sweep " << same << " is here already and goes on";
  if (retried > 0) err << "; " << retried << " jobs that had failed are tried again";
  err << std::endl;
  return same;
}

absl::Status Work(Context& context, const LocalFlags& flags, const SweepFile& file) {
  if (const absl::Status made = MakeFolders(flags.cluster.folder); !made.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--folder: ", made.message()));
  }
  const auto keep_waiting = [] { return !WasInterrupted(); };
  RETORT_ASSIGN_OR_RETURN(Cluster cluster, Cluster::Start(flags.cluster, keep_waiting));
  Client client(cluster.access());
  RETORT_RETURN_IF_ERROR(client.WaitUntilServing(absl::Seconds(30), keep_waiting));
  RETORT_ASSIGN_OR_RETURN(const std::string name, SubmitOrFind(context, client, file));
  RETORT_RETURN_IF_ERROR(cluster.StartWorkers());
  context.terminal.err << "retort: coordinator at " << cluster.address() << ", logs in "
                       << flags.cluster.folder << std::endl;
  const auto ended = WaitWithProgress(
      context, client, name, absl::InfiniteDuration(), [&](ProgressDisplay& display) {
        return cluster.Tend(absl::Now(), [&](const std::string& line) { display.Say(line); });
      });
  if (absl::IsCancelled(ended.status())) {
    context.terminal.err << "retort: interrupted; ending the workers and the coordinator"
                         << std::endl;
  }
  RETORT_RETURN_IF_ERROR(ended.status());
  RETORT_ASSIGN_OR_RETURN(const SweepResults results, FetchResults(client, name));
  context.exit_code = ExitCodeOf(*ended);
  if (context.format == Format::kTable) {
    PrintReport(context, results);
  } else {
    EmitRows(context, ResultRows(results), GroupedColumns());
  }
  return absl::OkStatus();
}

void Local(Context& context, LocalFlags flags) {
  const auto file = ReadSweepFile(flags.file);
  if (!file.ok()) return context.Fail(file.status());
  if (flags.cluster.slots == 0) {
    const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    flags.cluster.slots = std::max(1, cores / (flags.cluster.workers * flags.cluster.threads));
  }
  CatchInterrupts();
  const absl::Status status = Work(context, flags, *file);
  if (!absl::IsCancelled(status)) return context.Fail(status);
  context.terminal.err << "retort: nothing is lost, and the same command goes on:\n"
                       << "  retort local " << flags.file << " --folder " << flags.cluster.folder
                       << std::endl;
  context.exit_code = kInterrupted;
}

}  // namespace

void AddLocalCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "local", "run a sweep on this machine: coordinator, workers, progress, results");
  const auto flags = std::make_shared<LocalFlags>();
  command->add_option("SWEEP.yaml", flags->file, "sweep file")->required();
  command
      ->add_option("--folder", flags->cluster.folder,
                   "where all state lies; the same folder goes on where it was left")
      ->envname("RETORT_FOLDER")
      ->capture_default_str();
  command->add_option("--workers", flags->cluster.workers, "worker processes")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command
      ->add_option("--slots", flags->cluster.slots,
                   "jobs at a time in each worker; if left out, the cores shared out among workers")
      ->check(CLI::Range(1, 1024));
  command->add_option("--threads", flags->cluster.threads, "CPU threads of each job")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      ->add_option("--device", flags->cluster.device,
                   "what jobs compute on, in turn: cpu, cuda:N, or several (cuda:0,cuda:1)")
      ->capture_default_str();
  command->add_flag("--allow-torchscript", flags->cluster.allow_torchscript,
                    "let teachers that are TorchScript modules run the code in them");
  command->callback([&context, flags] { Local(context, *flags); });
}

}  // namespace retort
