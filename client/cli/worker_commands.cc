#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/launch_commands.h"
#include "client/cli/live.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"
#include "client/cli/watch_view.h"
#include "common/fields.h"

namespace retort {
namespace {

const std::vector<Column>& WorkerColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"worker", "worker", 0, {}},       {"state", "state", 0, {}},    {"slots", "slots", 0, {}},
      {"busy", "busy", 0, {}},           {"succeeded", "done", 0, {}}, {"failed", "failed", 0, {}},
      {"seen_time", "last seen", 0, {}}, {"reason", "reason", 0, {}},
  };
  return columns;
}

constexpr absl::Duration kRound = absl::Seconds(1);

void Emit(Context& context, const std::vector<v1::Worker>& workers) {
  std::vector<Json> rows;
  for (const v1::Worker& worker : workers) rows.push_back(WorkerRow(worker));
  EmitRows(context, rows, WorkerColumns());
}

void List(Context& context) {
  const auto workers = context.NewClient().ListWorkers();
  if (!workers.ok()) return context.Fail(workers.status());
  Emit(context, *workers);
}

// The list again and again, full screen. A coordinator that is away is waited for, but not at
// first.
void WatchScreen(Context& context) {
  std::mutex mutex;
  std::vector<v1::Worker> known;
  absl::Time heard = absl::InfinitePast();
  LiveView view;
  view.ask = [&](const std::atomic<bool>& stop) {
    Client patient = context.NewClient();
    Client hasty = patient.With({.patience = absl::ZeroDuration()});  // the next round asks again
    while (!stop) {
      auto workers = (heard == absl::InfinitePast() ? patient : hasty).ListWorkers();
      const bool away = absl::IsUnavailable(workers.status());
      if (const std::lock_guard lock(mutex); workers.ok()) {
        known = *std::move(workers);
        heard = absl::Now();
      } else if (!away || heard == absl::InfinitePast()) {
        return workers.status();
      }
      if (away) {
        (void)patient.WaitUntilServing(kRound, [&stop] { return !stop; });
      } else {
        absl::SleepFor(kRound);
      }
    }
    return absl::OkStatus();
  };
  view.lines = [&](ScreenSize size) -> std::optional<std::vector<ViewLine>> {
    const std::lock_guard lock(mutex);
    if (heard == absl::InfinitePast()) return std::nullopt;
    return WorkerLines(known, heard, absl::Now(), size);
  };
  context.Fail(ShowLive(context.terminal, view));
}

// The list whenever it is another, for what is no terminal.
void WatchPlainly(Context& context) {
  CatchInterrupts();
  Client client = context.NewClient();
  std::string shown;
  while (!WasInterrupted()) {
    const auto workers = client.ListWorkers();
    if (!workers.ok()) return context.Fail(workers.status());
    std::string key;
    for (const v1::Worker& worker : *workers) {
      Json row = WorkerRow(worker);
      row.erase("seen_time");
      absl::StrAppend(&key, row.dump(), "\n");
    }
    if (key != shown) Emit(context, *workers);
    shown = std::move(key);
    absl::SleepFor(kRound);
  }
  context.exit_code = kInterrupted;
}

void Show(Context& context, const std::string& name) {
  const auto workers = context.NewClient().ListWorkers();
  if (!workers.ok()) return context.Fail(workers.status());
  std::vector<std::string> names;
  for (const v1::Worker& worker : *workers) {
    names.push_back(ShortName(worker.name()));
    if (names.back() == name) return EmitObject(context, WorkerRow(worker));
  }
  const std::string near = Nearest(name, names);
  context.Fail(absl::NotFoundError(absl::StrCat(
      "worker ", name, ": no such worker",
      near.empty() ? "; retort worker list shows them" : "; did you mean '" + near + "'?")));
}

using Change = absl::StatusOr<v1::Worker> (Client::*)(std::string_view);

void AddChange(CLI::App& group, Context& context, const char* command, const char* help,
               Change change) {
  CLI::App* added = group.add_subcommand(command, help);
  const auto name = std::make_shared<std::string>();
  added->add_option("WORKER", *name, "name of the worker")->required();
  added->callback([&context, name, change] {
    Client client = context.NewClient();
    const auto worker = (client.*change)(*name);
    if (!worker.ok()) return context.Fail(worker.status());
    EmitObject(context, WorkerRow(*worker));
  });
}

}  // namespace

void AddWorkerCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("worker", "look at workers, drain and release them");
  group->require_subcommand(1);
  CLI::App* list = group->add_subcommand("list", "workers that have been seen");
  const auto watch = std::make_shared<bool>(false);
  list->add_flag("--watch", *watch, "go on until q or Ctrl-C");
  list->callback([&context, watch] {
    if (!*watch) return List(context);
    if (context.format == Format::kTable && CanShowLive(context.terminal)) {
      return WatchScreen(context);
    }
    WatchPlainly(context);
  });
  CLI::App* show = group->add_subcommand("show", "one worker with its devices and jobs");
  const auto shown = std::make_shared<std::string>();
  show->add_option("WORKER", *shown, "name of the worker")->required();
  show->callback([&context, shown] { Show(context, *shown); });
  AddChange(*group, context, "drain", "let it finish what it has and take nothing",
            &Client::DrainWorker);
  AddChange(*group, context, "release", "let a drained or quarantined worker take jobs again",
            &Client::ReleaseWorker);
  AddWorkerLaunch(*group, context);
}

}  // namespace retort
