// `retort sweep submit` and `retort sweep wait`.
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/progress.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"
#include "client/sdk/sweep_file.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int kMostListed = 40;  // jobs in a table; more are counted by group

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

// -------------------------------------------------------------------------------------------
// what would run

Json PlanRow(const v1::Job& job) {
  const bool known = job.state() != v1::JOB_STATE_UNSPECIFIED;
  return {{"job", ShortName(job.name())},
          {"state", known ? StateName(job.state()) : "new"},
          {"kind", KindName(job.kind())},
          {"model", job.model()},
          {"method", job.method()},
          {"teacher", job.teacher().empty() ? Json(nullptr) : Json(job.teacher())},
          {"seed", job.seed()},
          {"fold", job.fold()},
          {"epochs", job.epochs()}};
}

std::vector<Column> PlanColumns() {
  return {{"job", "job", 0,
           [](const Json& row) { return row.at("job").get<std::string>().substr(0, 12); }},
          {"state", "state", 0, {}, Room::kNeeded},
          {"kind", "kind", 0, {}},
          {"model", "model", 0, {}},
          {"method", "method", 0, {}},
          {"teacher", "teacher", 0, {}},
          {"seed", "seed", 0, {}},
          {"fold", "fold", 0, {}},
          {"epochs", "epochs", 0, {}}};
}

// Jobs that differ in seed and fold alone as one row, in the order of the first of each.
std::vector<Json> GroupedPlan(const std::vector<Json>& jobs) {
  std::map<std::string, size_t> places;
  std::vector<Json> rows;
  for (const Json& job : jobs) {
    Json group;
    for (const char* key : {"kind", "model", "method", "teacher", "epochs"}) group[key] = job[key];
    const auto [place, added] = places.try_emplace(group.dump(), rows.size());
    if (added) {
      group.update({{"jobs", 0}, {"known", 0}, {"new", 0}});
      rows.push_back(std::move(group));
    }
    Json& row = rows[place->second];
    const bool known = job["state"] == "succeeded";
    for (const char* count : {"jobs", known ? "known" : "new"}) {
      row[count] = row[count].get<int64_t>() + 1;
    }
  }
  return rows;
}

std::string TimeText(double expected_s) {
  if (expected_s < 0) {
    return "; how long they take is not known before workers are there and a job has succeeded";
  }
  return absl::StrCat(", in about ", Roughly(absl::Seconds(expected_s)),
                      " with the present workers");
}

void ShowPlan(Context& context, const std::string& name, const v1::CreateSweepResponse& plan) {
  std::vector<Json> jobs;
  for (const v1::Job& job : plan.plan()) jobs.push_back(PlanRow(job));
  const int64_t fresh = plan.jobs() - plan.known_jobs();
  if (context.format == Format::kJson) {
    return EmitObject(
        context, {{"sweep", name},
                  {"jobs", plan.jobs()},
                  {"known_jobs", plan.known_jobs()},
                  {"new_jobs", fresh},
                  {"expected_s", plan.expected_s() < 0 ? Json(nullptr) : Number(plan.expected_s())},
                  {"plan", jobs}});
  }
  if (context.format != Format::kTable || context.wide || plan.jobs() <= kMostListed) {
    EmitRows(context, jobs, PlanColumns());
  } else {
    EmitRows(context, GroupedPlan(jobs),
             {{"kind", "kind", 0, {}},
              {"model", "model", 0, {}},
              {"method", "method", 0, {}},
              {"teacher", "teacher", 0, {}},
              {"epochs", "epochs", 0, {}},
              {"jobs", "jobs", 0, {}, Room::kNeeded},
              {"known", "known", 0, {}, Room::kNeeded},
              {"new", "new", 0, {}, Room::kNeeded}});
  }
  if (plan.jobs() > plan.plan_size()) {
    context.terminal.err << "retort: the first " << plan.plan_size() << " of " << plan.jobs()
                         << " jobs" << std::endl;
  }
  if (context.format != Format::kTable) return;
  context.terminal.out << name << ": " << plan.jobs() << " jobs, of which " << plan.known_jobs()
                       << " have a result; " << fresh << " would run"
                       << (fresh == 0 ? "" : TimeText(plan.expected_s())) << "." << std::endl;
}

// -------------------------------------------------------------------------------------------
// waiting

void EmitEnded(Context& context, const absl::StatusOr<v1::Sweep>& ended) {
  if (!ended.ok()) return context.Fail(ended.status());
  EmitObject(context, SweepRow(*ended));
  context.exit_code = ExitCodeOf(*ended);
}

// Until all jobs have succeeded, or it is sure that one will not.
absl::StatusOr<v1::Sweep> WaitForSuccess(Context& context, Client& client, const std::string& name,
                                         absl::Duration timeout) {
  ProgressDisplay display(context.terminal);
  v1::Sweep failed;
  auto ended = client.WaitForSweep(name, timeout, [&](const SweepProgress& progress) {
    if (WasInterrupted()) return false;
    if (progress.sweep.name().empty()) return true;
    display.Show(progress, absl::Now());
    const v1::JobCounts& counts = progress.sweep.counts();
    if (counts.failed() + counts.skipped() + counts.cancelled() == 0) return true;
    failed = progress.sweep;
    return false;
  });
  if (!failed.name().empty()) return failed;
  return ended;
}

void Wait(Context& context, const std::string& name, const std::string& condition,
          const std::string& timeout) {
  absl::Duration patience;
  if (!absl::ParseDuration(timeout, &patience) || patience <= absl::ZeroDuration()) {
    return context.Fail(absl::InvalidArgumentError(
        absl::StrCat("--timeout: '", timeout, "'; expected a duration such as 90s, 15m or 1h30m")));
  }
  CatchInterrupts();
  Client client = context.NewClient();
  // A name that is wrong is an error at once, and not something to wait for.
  if (const auto sweep = client.GetSweep(name); !sweep.ok()) return context.Fail(sweep.status());
  if (condition == "done") {
    return EmitEnded(context, WaitWithProgress(context, client, name, patience, {}));
  }
  const auto ended = WaitForSuccess(context, client, name, patience);
  EmitEnded(context, ended);
  if (ended.ok() && ended->counts().cancelled() > 0) context.exit_code = kJobsFailed;
}

void Submit(Context& context, const SubmitFlags& flags) {
  const auto sweep = flags.file == "-" ? ReadSweepFrom(std::cin) : ReadSweepFile(flags.file);
  if (!sweep.ok()) return context.Fail(sweep.status());
  Client client = context.NewClient();
  const auto created = client.Submit(sweep->spec, sweep->file_paths, flags.dry_run);
  if (!created.ok()) return context.Fail(Annotate(created.status(), flags.file));
  if (flags.dry_run) return ShowPlan(context, sweep->spec.name(), *created);
  const std::string name = ShortName(created->sweep().name());
  if (flags.wait) {
    CatchInterrupts();
    return EmitEnded(context,
                     WaitWithProgress(context, client, name, absl::InfiniteDuration(), {}));
  }
  EmitObject(context, {{"sweep", name},
                       {"jobs", created->jobs()},
                       {"known_jobs", created->known_jobs()},
                       {"new_jobs", created->jobs() - created->known_jobs()}});
}

}  // namespace

void AddSweepSubmit(CLI::App& group, Context& context) {
  CLI::App* submit = group.add_subcommand("submit", "submit a sweep file");
  const auto flags = std::make_shared<SubmitFlags>();
  submit->add_option("FILE", flags->file, "sweep file, or - for standard input")->required();
  submit->add_flag("--wait", flags->wait, "wait until all jobs have ended");
  submit->add_flag("--dry-run", flags->dry_run,
                   "only tell what would run, what is known already, and how long it should take");
  submit->callback([&context, flags] { Submit(context, *flags); });
}

void AddSweepWait(CLI::App& group, Context& context) {
  CLI::App* wait = group.add_subcommand("wait", "wait until all jobs have ended");
  struct Flags {
    std::string sweep;
    std::string condition = "done";
    std::string timeout = "inf";
  };
  const auto flags = std::make_shared<Flags>();
  wait->add_option("SWEEP", flags->sweep, "name of the sweep")->required();
  wait->add_option("--for", flags->condition,
                   "done: all jobs have ended; succeeded: the same, but give up (exit code 1) as "
                   "soon as a job failed")
      ->check(CLI::IsMember({"done", "succeeded"}))
      ->capture_default_str();
  wait->add_option("--timeout", flags->timeout, "give up (exit code 5) after 90s, 15m, 1h30m")
      ->capture_default_str();
  wait->callback(
      [&context, flags] { Wait(context, flags->sweep, flags->condition, flags->timeout); });
}

}  // namespace retort
