#include <memory>

#include "absl/status/status.h"
#include "client/cli/commands.h"
#include "client/cli/results.h"
#include "client/cli/table.h"
#include "common/status.h"

namespace retort {
namespace {

void Fit(Context& context, const std::string& sweep, const std::string& size) {
  Client client = context.NewClient();
  const auto results = FetchResults(client, sweep);
  if (!results.ok()) return context.Fail(results.status());
  std::vector<Json> rows = FitRows(*results, size);
  // The fit over operations stands beside that over parameters, always.
  if (size != "macs") {
    for (Json& row : FitRows(*results, "macs")) rows.push_back(std::move(row));
  }
  if (rows.empty()) {
    return context.Fail(absl::FailedPreconditionError(
        "sweep " + sweep +
        " has no method with results at three sizes of one family; a law with "
        "a floor, a factor and an exponent needs at least three"));
  }
  if (context.format != Format::kTable) return EmitRows(context, rows, FitColumns());
  context.terminal.out
      << "L = E + A * N^-alpha, L: MAE in BPM, mean over subjects; [95 % interval]\n"
      << TableText(rows, FitColumns(), context.terminal);
  PrintWarnings(context, rows);
  PrintMethods(context, *results);
  context.terminal.out.flush();
}

}  // namespace

void AddFitCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("fit", "scaling laws of a sweep's students, per method");
  const auto sweep = std::make_shared<std::string>();
  const auto size = std::make_shared<std::string>("params_body");
  const auto form = std::make_shared<std::string>("power");
  command->add_option("SWEEP", *sweep, "name of the sweep")->required();
  command->add_option("--size", *size, "params_body, params or macs")
      ->check(CLI::IsMember({"params_body", "params", "macs"}))
      ->capture_default_str();
  command->add_option("--form", *form, "form of the law")
      ->check(CLI::IsMember({"power"}))
      ->capture_default_str();
  command->callback([&context, sweep, size] { Fit(context, *sweep, *size); });
}

}  // namespace retort
