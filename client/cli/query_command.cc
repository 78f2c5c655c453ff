#include <memory>

#include "client/cli/commands.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"

namespace retort {
namespace {

// The name of column `i`, made unlike those before it: `SELECT 1, 1` has two columns `1`.
void AddColumn(const std::string& name, std::vector<Column>& columns) {
  std::string key = name;
  for (const Column& column : columns) {
    if (column.key == key) key = name + "_" + std::to_string(columns.size() + 1);
  }
  columns.push_back({key, key, 4, {}});
}

void Query(Context& context, const std::string& sql, int64_t max_rows) {
  std::vector<Column> columns;
  std::vector<Json> rows;
  bool truncated = false;
  const absl::Status status =
      context.NewClient().Query(sql, max_rows, [&](const v1::QueryResponse& part) {
        for (const std::string& name : part.columns()) AddColumn(name, columns);
        for (const auto& values : part.rows()) {
          Json row = Json::object();
          for (int i = 0; i < values.values_size() && i < static_cast<int>(columns.size()); ++i) {
            row[columns[i].key] = QueryJson(values.values(i));
          }
          rows.push_back(std::move(row));
        }
        truncated = truncated || part.truncated();
      });
  if (!status.ok()) return context.Fail(status);
  EmitRows(context, rows, columns);
  if (truncated) {
    context.terminal.err << "retort: only the first " << rows.size()
                         << " rows; ask for more with --max-rows or narrow the query" << std::endl;
  }
}

}  // namespace

void AddQueryCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "query", "one SELECT over the views sweeps, jobs, attempts, results, metrics, workers");
  const auto sql = std::make_shared<std::string>();
  const auto max_rows = std::make_shared<int64_t>(0);
  command->add_option("SQL", *sql, "the SELECT")->required();
  command->add_option("--max-rows", *max_rows, "most rows; 100000 if left out")
      ->check(CLI::Range(int64_t{1}, int64_t{1000000000}));
  command->callback([&context, sql, max_rows] { Query(context, *sql, *max_rows); });
}

}  // namespace retort
