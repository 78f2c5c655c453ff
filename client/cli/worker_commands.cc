#include <memory>

#include "client/cli/commands.h"
#include "client/cli/launch_commands.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"

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

void List(Context& context) {
  const auto workers = context.NewClient().ListWorkers();
  if (!workers.ok()) return context.Fail(workers.status());
  std::vector<Json> rows;
  for (const v1::Worker& worker : *workers) rows.push_back(WorkerRow(worker));
  EmitRows(context, rows, WorkerColumns());
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
  CLI::App* group = app.add_subcommand("worker", "look at workers");
  group->require_subcommand(1);
  group->add_subcommand("list", "workers that have been seen")->callback([&context] {
    List(context);
  });
  AddChange(*group, context, "drain", "let it finish what it has and take nothing",
            &Client::DrainWorker);
  AddChange(*group, context, "release", "let a drained or quarantined worker take jobs again",
            &Client::ReleaseWorker);
  AddWorkerLaunch(*group, context);
}

}  // namespace retort
