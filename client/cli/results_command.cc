#include <memory>

#include "client/cli/commands.h"
#include "client/cli/results.h"
#include "client/cli/table.h"

namespace retort {
namespace {

const std::vector<Column>& EachColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"job", "job", 0,
       [](const Json& row) { return row.at("job").get<std::string>().substr(0, 12); }},
      {"state", "state", 0, {}},
      {"student", "model", 0, {}},
      {"method", "method", 0, {}},
      {"teacher", "teacher", 0, {}},
      {"seed", "seed", 0, {}},
      {"fold", "fold", 0, {}},
      {"mae_bpm", "MAE", 2, {}},
      {"val_mae_bpm", "val", 2, {}},
      {"selected", "used", 0, {}},
  };
  return columns;
}

void Results(Context& context, const std::string& sweep, bool each) {
  Client client = context.NewClient();
  const auto results = FetchResults(client, sweep);
  if (!results.ok()) return context.Fail(results.status());
  if (context.format == Format::kTable && !each) return PrintReport(context, *results);
  const std::vector<Json> rows = ResultRows(*results);
  EmitRows(context, rows, WithTrain(EachColumns(), rows));
}

}  // namespace

void AddResultsCommand(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("results", "errors and sizes of a sweep's networks, and what they say");
  const auto sweep = std::make_shared<std::string>();
  const auto each = std::make_shared<bool>(false);
  command->add_option("SWEEP", *sweep, "name of the sweep")->required();
  command->add_flag("--each", *each, "a row per job in the table; JSON and CSV always have it");
  command->callback([&context, sweep, each] { Results(context, *sweep, *each); });
}

}  // namespace retort
