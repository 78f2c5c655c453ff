#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"
#include "common/status.h"

namespace retort {
namespace {

const std::vector<Column>& JobColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"job", "job", 0,
       [](const Json& row) { return row.at("job").get<std::string>().substr(0, 12); }},
      {"state", "state", 0, {}},
      {"model", "model", 0, {}},
      {"method", "method", 0, {}},
      {"teacher", "teacher", 0, {}},
      {"seed", "seed", 0, {}},
      {"fold", "fold", 0, {}},
      {"attempt", "try", 0, {}},
      {"failure", "failure", 0, {}},
  };
  return columns;
}

absl::StatusOr<std::vector<v1::JobState>> ParseStates(const std::vector<std::string>& names) {
  std::vector<v1::JobState> states;
  for (const std::string& name : names) {
    RETORT_ASSIGN_OR_RETURN(states.emplace_back(), ParseJobState(name));
  }
  return states;
}

void List(Context& context, const std::string& sweep, const std::vector<std::string>& names) {
  const auto states = ParseStates(names);
  if (!states.ok()) return context.Fail(states.status());
  const auto jobs = context.NewClient().ListJobs(sweep, *states);
  if (!jobs.ok()) return context.Fail(jobs.status());
  std::vector<Json> rows;
  for (const v1::Job& job : *jobs) rows.push_back(JobRow(job));
  EmitRows(context, rows, JobColumns());
}

void Show(Context& context, const std::string& id) {
  const auto job = context.NewClient().GetJob(id);
  if (!job.ok()) return context.Fail(job.status());
  EmitObject(context, JobDetails(*job));
}

struct LogFlags {
  std::string id;
  bool follow = false;
  int attempt = 0;
};

void Logs(Context& context, const LogFlags& flags) {
  CatchInterrupts();
  Client client = context.NewClient();
  const auto job = client.GetJob(flags.id);  // turns a prefix into the whole id
  if (!job.ok()) return context.Fail(job.status());
  context.Fail(client.TailLogs(ShortName(job->name()), flags.attempt, 0, flags.follow,
                               [&](std::string_view part) {
                                 context.terminal.out << Escaped(part) << std::flush;
                                 return !WasInterrupted();
                               }));
}

struct ChangeFlags {
  std::vector<std::string> ids;
  std::string sweep;
  std::vector<std::string> states;
  std::vector<std::string> causes;
};

// One line that says what it is and the decisive reason, the other reasons, what is left of its
// budgets.
void Explain(Context& context, const std::string& id) {
  const auto explanation = context.NewClient().ExplainJob(id);
  if (!explanation.ok()) return context.Fail(explanation.status());
  if (context.format != Format::kTable) return EmitObject(context, ExplanationJson(*explanation));
  std::ostream& out = context.terminal.out;
  out << "job " << ShortName(explanation->job()).substr(0, 12) << " is "
      << StateName(explanation->state());
  if (explanation->attempt() > 0) out << ", attempt " << explanation->attempt();
  if (explanation->reasons_size() > 0) out << ": " << Escaped(explanation->reasons(0).message());
  out << "\n";
  for (int i = 1; i < explanation->reasons_size(); ++i) {
    out << "  - " << Escaped(explanation->reasons(i).message()) << "\n";
  }
  for (const v1::FailureBudget& budget : explanation->budgets()) {
    if (budget.spent() == 0) continue;
    out << "  failures of cause " << CauseName(budget.cause()) << ": " << budget.spent()
        << " (allowed " << budget.limit() << ")\n";
  }
}

void Retry(Context& context, const ChangeFlags& flags) {
  if (flags.ids.empty() == flags.sweep.empty()) {
    return context.Fail(absl::InvalidArgumentError(
        "job retry: give either ids of jobs or --sweep SWEEP with --state failed"));
  }
  auto states = ParseStates(flags.states);
  if (!states.ok()) return context.Fail(states.status());
  if (states->empty()) states->push_back(v1::JOB_STATE_FAILED);
  std::vector<v1::FailureCause> causes;
  for (const std::string& name : flags.causes) {
    const auto cause = ParseFailureCause(name);
    if (!cause.ok()) return context.Fail(cause.status());
    causes.push_back(*cause);
  }
  Client client = context.NewClient();
  const auto changed = flags.ids.empty() ? client.RetryJobs(flags.sweep, *states, causes)
                                         : client.RetryJobs(flags.ids, causes);
  if (!changed.ok()) return context.Fail(changed.status());
  EmitObject(context, {{"changed", *changed}});
}

void Cancel(Context& context, const std::vector<std::string>& ids) {
  const auto changed = context.NewClient().CancelJobs(ids);
  if (!changed.ok()) return context.Fail(changed.status());
  EmitObject(context, {{"changed", *changed}});
}

constexpr char kStates[] =
    "only jobs in this state (may be repeated): blocked, queued, leased, running, succeeded, "
    "failed, skipped, cancelled";

void AddListAndShow(CLI::App& group, Context& context) {
  CLI::App* list = group.add_subcommand("list", "jobs, in the order of expansion");
  const auto flags = std::make_shared<ChangeFlags>();
  list->add_option("--sweep", flags->sweep, "only jobs of this sweep");
  list->add_option("--state", flags->states, kStates)->delimiter(',');
  list->callback([&context, flags] { List(context, flags->sweep, flags->states); });

  CLI::App* show = group.add_subcommand("show", "one job with its spec, attempts and result");
  const auto id = std::make_shared<std::string>();
  show->add_option("JOB", *id, "id of the job, or at least 6 of its first digits")->required();
  show->callback([&context, id] { Show(context, *id); });

  CLI::App* logs = group.add_subcommand("logs", "what a job printed");
  const auto log_flags = std::make_shared<LogFlags>();
  logs->add_option("JOB", log_flags->id, "id of the job, or at least 6 of its first digits")
      ->required();
  logs->add_flag("-f,--follow", log_flags->follow, "go on until the attempt ends");
  logs->add_option("--attempt", log_flags->attempt, "number of the attempt; the latest if left out")
      ->check(CLI::Range(1, 1000000));
  logs->callback([&context, log_flags] { Logs(context, *log_flags); });
}

}  // namespace

void AddJobCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("job", "look at jobs, retry and cancel them");
  group->require_subcommand(1);
  AddListAndShow(*group, context);
  AddJobCompare(*group, context);

  CLI::App* retry = group->add_subcommand("retry", "queue failed or skipped jobs again");
  const auto flags = std::make_shared<ChangeFlags>();
  retry->add_option("JOB", flags->ids, "ids of jobs");
  retry->add_option("--sweep", flags->sweep, "all jobs of this sweep in the given states");
  retry->add_option("--state", flags->states, kStates)->delimiter(',');
  retry
      ->add_option(
          "--cause", flags->causes,
          "only jobs whose last failure had this cause (may be repeated): LOST, PREEMPTED, "
          "CRASHED, OUT_OF_MEMORY, ARTIFACT, NUMERIC, TIMEOUT, INVALID")
      ->delimiter(',');
  retry->callback([&context, flags] { Retry(context, *flags); });

  CLI::App* explain =
      group->add_subcommand("explain", "say why a job does not run, or what became of it");
  const auto explained = std::make_shared<std::string>();
  explain->add_option("JOB", *explained, "id of the job, or at least 6 of its first digits")
      ->required();
  explain->callback([&context, explained] { Explain(context, *explained); });

  CLI::App* cancel = group->add_subcommand("cancel", "cancel jobs, whatever sweeps want them");
  const auto ids = std::make_shared<std::vector<std::string>>();
  cancel->add_option("JOB", *ids, "ids of jobs")->required();
  cancel->callback([&context, ids] { Cancel(context, *ids); });
}

}  // namespace retort
