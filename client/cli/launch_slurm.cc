// `retort worker launch slurm`: workers as an array of Slurm jobs, once or with the queue.
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/launch_commands.h"
#include "client/cli/process.h"
#include "client/cli/table.h"
#include "client/launch/autoscale.h"
#include "client/launch/slurm_script.h"
#include "client/launch/squeue.h"
#include "common/hash.h"
#include "common/program.h"
#include "common/status.h"

namespace retort {
namespace {

struct SlurmFlags {
  LaunchFlags launch;
  SlurmOptions slurm;
  std::string name;
  std::string folder;
  std::string logs = ".";
  double drain_timeout_s = 5;
  double time_limit_s = 0;
  std::string autoscale;
  double poll_s = 15;
  double idle_s = 60;
};

std::string Program(const std::string& name) { return FindProgram(name).value_or(name); }

// Two coordinators may use one cluster: jobs are told apart by the address that workers join.
std::string DefaultName(const Context& context) {
  return "slurm-" +
         ArtifactHash(Sha256Of(context.source.access.addresses.front())).hex().substr(0, 6);
}

absl::StatusOr<SlurmOptions> Resolve(Context& context, const SlurmFlags& flags) {
  SlurmOptions options = flags.slurm;
  options.name = flags.name.empty() ? DefaultName(context) : flags.name;
  options.drain_timeout = absl::Seconds(flags.drain_timeout_s);
  if (flags.time_limit_s > 0) options.time_limit = absl::Seconds(flags.time_limit_s);
  std::error_code unused;
  options.logs = std::filesystem::absolute(flags.logs, unused).lexically_normal().string();
  while (options.logs.size() > 1 && options.logs.back() == '/') options.logs.pop_back();
  if (!flags.folder.empty()) options.folder = std::filesystem::absolute(flags.folder, unused);
  RETORT_ASSIGN_OR_RETURN(options.worker,
                          LaunchedWorker(context, flags.launch, Program("retort-worker")));
  return options;
}

absl::StatusOr<int64_t> Submit(const SlurmOptions& options) {
  RETORT_ASSIGN_OR_RETURN(const std::string script, SlurmScript(options));
  RETORT_ASSIGN_OR_RETURN(const std::string output,
                          OutputOf({.command = {"sbatch", "--parsable"}, .input = script}));
  return ParseSubmitted(output);
}

absl::Status MakeLogs(const SlurmOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.logs, error);
  if (!error) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--logs: ", options.logs, " cannot be made: ", error.message()));
}

void LaunchOnce(Context& context, const SlurmOptions& options, bool dry_run) {
  const auto script = SlurmScript(options);
  if (!script.ok()) return context.Fail(script.status());
  if (dry_run) {
    context.terminal.out << *script;
    return;
  }
  const absl::Status logs = MakeLogs(options);
  if (!logs.ok()) return context.Fail(logs);
  const auto job = Submit(options);
  if (!job.ok()) return context.Fail(job.status());
  EmitObject(context, Json{{"job", *job},
                           {"name", SlurmJobName(options)},
                           {"workers", options.workers},
                           {"logs", options.logs}});
}

// ------------------------------------------------------------------------------- autoscaling

ScaleWorker::State StateOf(v1::WorkerState state) {
  switch (state) {
    case v1::WORKER_STATE_ACTIVE:
      return ScaleWorker::State::kActive;
    case v1::WORKER_STATE_DRAINING:
      return ScaleWorker::State::kDraining;
    case v1::WORKER_STATE_QUARANTINED:
      return ScaleWorker::State::kQuarantined;
    default:
      return ScaleWorker::State::kAway;
  }
}

absl::StatusOr<ScaleView::Coordinator> AskCoordinator(Client& client) {
  ScaleView::Coordinator seen;
  RETORT_ASSIGN_OR_RETURN(const std::vector<v1::Sweep> sweeps, client.ListSweeps());
  for (const v1::Sweep& sweep : sweeps) {
    if (sweep.state() != v1::SWEEP_STATE_ACTIVE) continue;
    const v1::JobCounts& counts = sweep.counts();
    seen.jobs += counts.queued() + counts.leased() + counts.running();
  }
  RETORT_ASSIGN_OR_RETURN(const std::vector<v1::Worker> workers, client.ListWorkers());
  for (const v1::Worker& worker : workers) {
    seen.workers.push_back({ShortName(worker.name()), StateOf(worker.state()), worker.slots_size(),
                            worker.jobs_size()});
  }
  return seen;
}

// Variables of squeue would change what it lists, and how.
absl::StatusOr<std::vector<SlurmTask>> AskSlurm(const std::string& job_name) {
  std::vector<std::string> command = {"squeue"};
  for (const std::string& word : SqueueArguments(job_name)) command.push_back(word);
  RETORT_ASSIGN_OR_RETURN(
      const std::string output,
      OutputOf({.command = command, .limit = absl::Seconds(30), .without_variables = "SQUEUE_"}));
  return ParseSqueue(output);
}

// What the loop is told, once as long as it stays the same.
class Speaker {
 public:
  explicit Speaker(std::ostream& err) : err_(err) {}
  void Say(const std::string& text) { err_ << "retort: " << text << std::endl; }
  // `topic` fails with `status`, or does no more.
  void Trouble(const std::string& topic, const absl::Status& status) {
    std::string& last = last_[topic];
    const std::string text = status.ok() ? "" : MessageOf(status);
    if (text == last) return;
    Say(text.empty() ? topic + " answers again" : text + "; nothing is changed meanwhile");
    last = text;
  }

 private:
  std::ostream& err_;
  std::map<std::string, std::string> last_;
};

class ScaleLoop {
 public:
  ScaleLoop(Context& context, SlurmOptions options, ScalePolicy policy, absl::Duration poll,
            bool dry_run)
      : client_(context.NewClient()),
        options_(std::move(options)),
        scaler_(std::move(policy)),
        speaker_(context.terminal.err),
        poll_(poll),
        dry_run_(dry_run) {}

  // Until Ctrl-C. Workers stay as they are then.
  void Run() {
    CatchInterrupts();
    while (!WasInterrupted()) {
      Round();
      if (dry_run_) return;
      const absl::Time next = absl::Now() + poll_;
      while (!WasInterrupted() && absl::Now() < next) absl::SleepFor(absl::Milliseconds(100));
    }
  }

 private:
  void Round() {
    ScaleView view;
    // The coordinator first: a task that came to an end since is then seen as such.
    auto seen = AskCoordinator(client_);
    speaker_.Trouble("the coordinator", seen.status());
    if (seen.ok()) view.coordinator = *std::move(seen);
    auto tasks = AskSlurm(SlurmJobName(options_));
    speaker_.Trouble("squeue", tasks.status());
    if (tasks.ok()) view.tasks = *std::move(tasks);
    const ScaleActions actions = scaler_.Decide(view, absl::Now());
    for (const std::string& note : actions.notes) speaker_.Say(note);
    Do(actions);
  }

  void Do(const ScaleActions& actions) {
    if (actions.submit > 0) Grow(actions.submit);
    for (const std::string& worker : actions.drain) {
      speaker_.Say(absl::StrCat("drains ", worker, ", which is idle"));
      if (!dry_run_) Report(client_.DrainWorker(worker).status());
    }
    // One that has begun meanwhile is left alone.
    Cancel({"scancel", "--state=PENDING"}, "cancels what waits", actions.cancel);
    // To the batch step alone, which is the worker.
    Cancel({"scancel", "--signal=TERM", "--batch"}, "ends drained workers", actions.terminate);
  }

  void Grow(int workers) {
    SlurmOptions options = options_;
    options.workers = workers;
    if (dry_run_) return speaker_.Say(absl::StrCat("would submit ", workers, " workers"));
    const auto job = Submit(options);
    scaler_.OnSubmitted(job, workers, absl::Now());
    if (!job.ok()) return Report(job.status());
    speaker_.Say(absl::StrCat("submitted job ", *job, " with ", workers, " workers"));
  }

  void Cancel(std::vector<std::string> command, const std::string& what,
              const std::vector<SlurmTaskId>& tasks) {
    if (tasks.empty()) return;
    for (const SlurmTaskId& task : tasks) command.push_back(task.text());
    speaker_.Say(
        absl::StrCat(what, ": ", absl::StrJoin(tasks, " ", [](std::string* out, SlurmTaskId task) {
                       out->append(task.text());
                     })));
    if (!dry_run_) Report(OutputOf({.command = command}).status());
  }

  void Report(const absl::Status& status) {
    if (!status.ok()) speaker_.Say(MessageOf(status));
  }

  Client client_;
  const SlurmOptions options_;
  Autoscaler scaler_;
  Speaker speaker_;
  const absl::Duration poll_;
  const bool dry_run_;
};

// Slots of a worker as it will see them itself.
int SlotsOf(const SlurmOptions& options) {
  return options.gpus > 0 ? options.gpus : std::max(1, options.cpus / options.threads);
}

void Autoscale(Context& context, const SlurmFlags& flags, const SlurmOptions& options) {
  const auto range = ParseScale(flags.autoscale);
  if (!range.ok()) return context.Fail(Annotate(range.status(), "--autoscale"));
  const absl::Status logs = flags.launch.dry_run ? absl::OkStatus() : MakeLogs(options);
  if (!logs.ok()) return context.Fail(logs);
  const auto script = SlurmScript(options);
  if (!script.ok()) return context.Fail(script.status());
  ScalePolicy policy;
  policy.least = range->first;
  policy.most = range->second;
  policy.slots = SlotsOf(options);
  policy.name = options.name;
  policy.idle = absl::Seconds(flags.idle_s);
  context.terminal.err << "retort: keeps " << policy.least << " to " << policy.most
                       << " workers of job " << SlurmJobName(options)
                       << "; Ctrl-C ends this and leaves them as they are" << std::endl;
  ScaleLoop(context, options, policy, absl::Seconds(flags.poll_s), flags.launch.dry_run).Run();
}

// `30s`, `5m`, `4h` as seconds.
CLI::AsNumberWithUnit Durations() {
  return CLI::AsNumberWithUnit(
      std::map<std::string, double>{{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}},
      CLI::AsNumberWithUnit::CASE_SENSITIVE);
}

void AddSlurmFlags(CLI::App& command, SlurmFlags& flags) {
  SlurmOptions& slurm = flags.slurm;
  command.add_option("-n,--workers", slurm.workers, "workers, each a task of the array")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command.add_option("--cpus", slurm.cpus, "CPUs of each worker")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--threads", slurm.threads, "CPU threads of each slot")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--gpus", slurm.gpus, "GPUs of each worker, with a slot each")
      ->check(CLI::Range(0, 64));
  command.add_option("--partition", slurm.partition, "partition; Slurm's default if left out");
  command.add_option("--time", slurm.time,
                     "time limit as sbatch takes it (4:00:00); workers leave in time before it");
  command
      .add_option("--time-limit", flags.time_limit_s,
                  "when workers leave by themselves (4h); as --time says if left out")
      ->transform(Durations())
      ->check(CLI::Range(0.0, 1e9));
  command
      .add_option("--drain-timeout", flags.drain_timeout_s,
                  "how long jobs may go on when a worker is told to leave, before they are "
                  "stopped with a checkpoint")
      ->transform(Durations())
      ->check(CLI::Range(0.0, 86400.0))
      ->default_str("5s");
  command.add_option("--folder", flags.folder,
                     "where workers have their folders; on their node if left out");
  command.add_option("--logs", flags.logs, "folder of the output of the jobs")
      ->capture_default_str();
  command.add_option("--name", flags.name,
                     "the jobs are retort-NAME, workers NAME-JOB-TASK; made of the coordinator's "
                     "address if left out");
  command.add_option("--autoscale", flags.autoscale,
                     "MIN:MAX; stays, and starts and ends workers as jobs wait");
  command.add_option("--poll", flags.poll_s, "how often --autoscale looks")
      ->transform(Durations())
      ->check(CLI::Range(0.1, 3600.0))
      ->default_str("15s");
  command
      .add_option("--idle", flags.idle_s,
                  "how long a worker has had no job before --autoscale ends it")
      ->transform(Durations())
      ->check(CLI::Range(0.0, 86400.0))
      ->default_str("60s");
  command.add_option("SBATCH_OPTIONS", slurm.more, "behind --: options of sbatch");
}

}  // namespace

void AddLaunchSlurm(CLI::App& group, Context& context) {
  CLI::App* command = group.add_subcommand("slurm", "workers as an array of Slurm jobs");
  const auto flags = std::make_shared<SlurmFlags>();
  AddSlurmFlags(*command, *flags);
  AddLaunchFlags(*command, flags->launch);
  command->callback([&context, flags] {
    const auto options = Resolve(context, *flags);
    if (!options.ok()) return context.Fail(options.status());
    if (!flags->autoscale.empty()) return Autoscale(context, *flags, *options);
    LaunchOnce(context, *options, flags->launch.dry_run);
  });
}

}  // namespace retort
