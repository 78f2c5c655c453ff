// `retort sweep watch`.
#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/live.h"
#include "client/cli/progress.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"

namespace retort {
namespace {

constexpr absl::Duration kRound = absl::Seconds(1);  // between questions about jobs and workers
constexpr size_t kMostJobs = 64;                     // whose metrics are asked for in a round
constexpr size_t kMostFailures = 200;                // that are kept

// What one thread learns and another shows.
class Learnt {
 public:
  template <typename Change>
  void Update(const Change& change) {
    const std::lock_guard lock(mutex_);
    change(model_);
  }
  WatchModel Get() const {
    const std::lock_guard lock(mutex_);
    return model_;
  }

 private:
  mutable std::mutex mutex_;
  WatchModel model_;
};

// Jobs that failed, the latest first. The list is in the order of expansion.
std::vector<v1::Job> LatestFirst(std::vector<v1::Job> failed) {
  std::stable_sort(failed.begin(), failed.end(), [](const v1::Job& a, const v1::Job& b) {
    return a.end_time().seconds() > b.end_time().seconds();
  });
  if (failed.size() > kMostFailures) failed.resize(kMostFailures);
  return failed;
}

// Asks about running jobs, workers and, where their number changed, failures. Where the coordinator
// goes away in between, what was known stays.
void AskRound(Client& client, const std::string& name, int64_t failures, int64_t& known_failures,
              Learnt& learnt) {
  auto running = client.ListJobs(name, {v1::JOB_STATE_LEASED, v1::JOB_STATE_RUNNING});
  if (!running.ok()) return;
  for (size_t i = 0; i < running->size() && i < kMostJobs; ++i) {
    v1::Job& job = (*running)[i];
    auto whole = client.GetJob(ShortName(job.name()));
    if (absl::IsUnavailable(whole.status())) return;
    if (whole.ok()) *job.mutable_latest_metrics() = std::move(*whole->mutable_latest_metrics());
  }
  auto workers = client.ListWorkers();
  if (!workers.ok()) return;
  learnt.Update([&](WatchModel& model) {
    model.running = *std::move(running);
    model.workers = *std::move(workers);
    model.heard = absl::Now();
  });
  if (failures == known_failures) return;
  auto failed = client.ListJobs(name, {v1::JOB_STATE_FAILED});
  if (!failed.ok()) return;
  known_failures = failures;
  learnt.Update([&](WatchModel& model) { model.failed = LatestFirst(*std::move(failed)); });
}

absl::Status Ask(const Context& context, const std::string& name, Learnt& learnt,
                 const std::atomic<bool>& stop) {
  Client client = context.NewClient();
  // What a round does not learn the next one will: nothing is asked twice, or a view whose
  // coordinator goes away would hear neither of its return nor of Ctrl-C for long.
  Client hasty = client.With({.patience = absl::ZeroDuration()});
  // A name that is wrong, or nobody there, is an error at once.
  if (const auto first = client.GetSweep(name); !first.ok()) return first.status();
  absl::Time asked = absl::InfinitePast();
  int64_t failures = 0;
  const auto ended =
      client.WaitForSweep(name, absl::InfiniteDuration(), [&](const SweepProgress& progress) {
        if (progress.sweep.name().empty() || progress.away > absl::ZeroDuration()) return !stop;
        learnt.Update([&](WatchModel& model) { model.sweep = progress.sweep; });
        if (absl::Now() - asked >= kRound) {
          AskRound(hasty, name, progress.sweep.counts().failed(), failures, learnt);
          asked = absl::Now();
        }
        return !stop;
      });
  if (ended.ok()) learnt.Update([&](WatchModel& model) { model.sweep = *ended; });
  return ended.status();
}

void WatchScreen(Context& context, const std::string& name) {
  Learnt learnt;
  LiveView view;
  view.ask = [&](const std::atomic<bool>& stop) { return Ask(context, name, learnt, stop); };
  view.lines = [&](ScreenSize size) -> std::optional<std::vector<ViewLine>> {
    const WatchModel model = learnt.Get();
    if (model.heard == absl::InfinitePast()) return std::nullopt;
    return WatchLines(model, absl::Now(), size);
  };
  const absl::Status status = ShowLive(context.terminal, view);
  const v1::Sweep sweep = learnt.Get().sweep;
  // What stays when the view is gone.
  if (!sweep.name().empty()) {
    context.terminal.out << ProgressLine({sweep}, context.terminal.width) << std::endl;
  }
  if (absl::IsCancelled(status)) {
    context.exit_code = kInterrupted;
  } else if (!status.ok()) {
    context.Fail(status);
  } else if (sweep.state() == v1::SWEEP_STATE_DONE || sweep.state() == v1::SWEEP_STATE_CANCELLED) {
    context.exit_code = ExitCodeOf(sweep);
  }
}

// Says on `out` which jobs failed since the last time.
void SayFailures(Client& client, const std::string& name, std::set<std::string>& said,
                 std::ostream& out) {
  const auto failed = client.ListJobs(name, {v1::JOB_STATE_FAILED});
  if (!failed.ok()) return;
  for (const v1::Job& job : *failed) {
    if (!said.insert(job.name()).second) continue;
    out << "job " << ShortName(job.name()).substr(0, 12) << " (" << job.model() << ", "
        << job.method() << ") failed: " << CauseName(job.failure().cause()) << ": "
        << Escaped(job.failure().message()) << std::endl;
  }
}

// Lines, or objects of JSON, for what is no terminal.
void WatchPlainly(Context& context, const std::string& name) {
  CatchInterrupts();
  Client client = context.NewClient();
  if (const auto sweep = client.GetSweep(name); !sweep.ok()) return context.Fail(sweep.status());
  std::ostream& out = context.terminal.out;
  const Terminal lines{.out = out, .err = out};
  ProgressDisplay display(lines);
  std::set<std::string> said;
  int64_t failures = 0;
  Json shown;
  const auto ended =
      client.WaitForSweep(name, absl::InfiniteDuration(), [&](const SweepProgress& progress) {
        if (WasInterrupted()) return false;
        if (progress.sweep.name().empty()) return true;
        if (context.format != Format::kTable) {
          Json row = SweepRow(progress.sweep);
          Json key = row;
          for (const char* estimate : {"eta_s", "device_s"}) key.erase(estimate);
          if (key != shown) EmitObject(context, row);
          shown = std::move(key);
          return true;
        }
        if (progress.away == absl::ZeroDuration() && progress.sweep.counts().failed() != failures) {
          SayFailures(client, name, said, out);
          failures = progress.sweep.counts().failed();
        }
        display.Show(progress, absl::Now());
        return true;
      });
  if (!ended.ok()) return context.Fail(ended.status());
  context.exit_code = ExitCodeOf(*ended);
}

void Watch(Context& context, const std::string& name) {
  if (context.format == Format::kCsv) {
    return context.Fail(absl::InvalidArgumentError(
        "sweep watch: csv is not for what goes on; expected table, json or jsonl"));
  }
  if (context.format == Format::kTable && CanShowLive(context.terminal)) {
    return WatchScreen(context, name);
  }
  WatchPlainly(context, name);
}

}  // namespace

void AddSweepWatch(CLI::App& group, Context& context) {
  CLI::App* watch = group.add_subcommand(
      "watch", "a live view until all jobs have ended: jobs, their losses and errors, workers");
  const auto name = std::make_shared<std::string>();
  watch->add_option("SWEEP", *name, "name of the sweep")->required();
  watch->callback([&context, name] { Watch(context, *name); });
}

}  // namespace retort
