#include <algorithm>
#include <memory>

#include "client/cli/commands.h"
#include "client/cli/groups.h"
#include "client/cli/results.h"
#include "client/cli/table.h"
#include "common/status.h"

namespace retort {
namespace {

struct ResultsFlags {
  std::string sweep;
  ResultFilter filter;
  bool each = false;
  std::vector<std::string> group;
  std::string sort;
  bool reverse = false;
  std::vector<std::string> columns;

  bool Plain() const {
    return filter.empty() && !each && group.empty() && sort.empty() && !reverse && columns.empty();
  }
};

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

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Of groups by these keys: those that they are grouped by, then what was measured.
std::vector<Column> ColumnsOfGroups(const std::vector<std::string>& keys) {
  std::vector<Column> columns;
  for (const std::string& key : GroupKeys()) {
    if (!Contains(keys, key) || key == "train") continue;  // WithTrain adds it
    columns.push_back({key, key == "student" ? "model" : key, 0, {}});
  }
  for (const Column& column : GroupedColumns()) {
    if (!Contains(GroupKeys(), column.key)) columns.push_back(column);
  }
  return columns;
}

// Those that were asked for, under their keys.
std::vector<Column> Named(const std::vector<std::string>& keys) {
  std::vector<Column> columns;
  for (const std::string& key : keys) columns.push_back({key, key, 3, {}, Room::kNeeded});
  return columns;
}

absl::Status Rows(Context& context, const SweepResults& all, const ResultsFlags& flags) {
  RETORT_ASSIGN_OR_RETURN(const SweepResults results, Filtered(all, flags.filter));
  const bool grouped = !flags.group.empty() || (context.format == Format::kTable && !flags.each);
  const std::vector<std::string> keys =
      !flags.group.empty() && flags.group != std::vector<std::string>{"default"}
          ? flags.group
          : std::vector<std::string>{"kind", "student", "method", "teacher", "train"};
  std::vector<Json> rows;
  if (grouped) {
    RETORT_ASSIGN_OR_RETURN(rows, GroupedBy(results, keys));
  } else {
    rows = ResultRows(results);
  }
  std::vector<Column> columns = grouped ? ColumnsOfGroups(keys) : EachColumns();
  if (!grouped || Contains(keys, "train")) {
    if (grouped && !Contains(keys, "teacher")) {
      columns.insert(columns.begin(), Column{"train", "train", 0, {}});
    } else {
      columns = WithTrain(std::move(columns), rows);
    }
  }
  if (!flags.sort.empty()) {
    RETORT_RETURN_IF_ERROR(SortRows(flags.sort, flags.reverse, rows));
  } else if (flags.reverse) {
    std::reverse(rows.begin(), rows.end());
  }
  RETORT_RETURN_IF_ERROR(KeepColumns(flags.columns, rows));
  EmitRows(context, rows, flags.columns.empty() ? columns : Named(flags.columns));
  if (rows.empty()) context.terminal.err << "retort: no job matches" << std::endl;
  return absl::OkStatus();
}

void Results(Context& context, const ResultsFlags& flags) {
  Client client = context.NewClient();
  const auto results = FetchResults(client, flags.sweep);
  if (!results.ok()) return context.Fail(results.status());
  if (context.format == Format::kTable && flags.Plain()) return PrintReport(context, *results);
  context.Fail(Rows(context, *results, flags));
}

}  // namespace

void AddResultsCommand(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("results", "errors and sizes of a sweep's networks, and what they say");
  const auto flags = std::make_shared<ResultsFlags>();
  command->add_option("SWEEP", flags->sweep, "name of the sweep")->required();
  const auto filter = [&](const char* name, auto& values, const char* help) {
    command->add_option(name, values, help)->delimiter(',');
  };
  filter("--method", flags->filter.methods,
         "only methods whose label or name matches: 'dkd', 'dkd(beta=1)', 's*'");
  filter("--student", flags->filter.students, "only networks that match: 'resnet1d*'");
  filter("--teacher", flags->filter.teachers, "only jobs with a teacher that matches");
  filter("--kind", flags->filter.kinds, "only teacher or student");
  filter("--state", flags->filter.states, "only jobs in these states (with --each, JSON, CSV)");
  filter("--seed", flags->filter.seeds, "only these seeds");
  filter("--fold", flags->filter.folds, "only these folds");
  command->add_flag("--each", flags->each,
                    "a row per job in the table; JSON and CSV have it unless --group is given");
  command
      ->add_option("--group", flags->group,
                   "a row per group, with its mean and 95 % interval: of kind, student, method, "
                   "teacher, train, seed, fold; all but seed and fold if left out")
      ->delimiter(',')
      ->expected(0, 7)
      ->default_str("default");
  command->add_option("--sort", flags->sort, "sort by this column, as JSON names it");
  command->add_flag("--reverse", flags->reverse, "the largest, or the last, first");
  command->add_option("--columns", flags->columns, "only these columns, as JSON names them")
      ->delimiter(',');
  command->callback([&context, flags] { Results(context, *flags); });
}

}  // namespace retort
