#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/claims_rows.h"
#include "client/cli/commands.h"
#include "client/cli/fit_csv.h"
#include "client/cli/fit_rows.h"
#include "client/cli/results.h"
#include "client/cli/table.h"
#include "client/scaling/forms.h"
#include "common/status.h"

namespace retort {
namespace {

// As on the command line.
struct FitFlags {
  std::vector<std::string> sweeps;
  std::string csv;
  FitCsvColumns columns;  // `size` also of sweeps
  std::string form;
  std::string preset;
  std::vector<std::string> predict;
  std::string smallest;
  double confidence = 0.95;
  bool bootstrap = false;
  int resamples = 1000;
  uint64_t bootstrap_seed = 0;
  bool compare_methods = false;
  bool claims = false;
};

absl::Status Wrong(const std::string& flag, const std::string& value, const std::string& right) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": '", value, "'; ", right));
}

// A positive number that is the whole text.
std::optional<double> ParsePositive(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!(std::isfinite(value) && value > 0)) return std::nullopt;
  return value;
}

// `1e6`, or `1e6,4.2` for forms of two sizes.
absl::StatusOr<scaling::Size> ParseSize(const std::string& text, bool two) {
  const size_t comma = text.find(',');
  const auto first = ParsePositive(std::string_view(text).substr(0, comma));
  const auto second = comma == std::string::npos
                          ? std::nullopt
                          : ParsePositive(std::string_view(text).substr(comma + 1));
  if (two && !(first && second)) {
    return Wrong("--predict", text, "the form has two sizes: write both, such as 1e6,4.2");
  }
  if (!two && !(first && comma == std::string::npos)) {
    return Wrong("--predict", text, "must be a positive number, such as 1e6");
  }
  return scaling::Size(*first, second.value_or(0));
}

// The loss of `mae_bpm<=5`.
absl::StatusOr<double> ParseSmallest(const std::string& text, const std::string& loss) {
  const size_t at = text.find('<');
  const std::string right = absl::StrCat("must be ", loss, "<=NUMBER, such as ", loss, "<=5");
  if (at == std::string::npos) return Wrong("--smallest", text, right);
  std::string name = text.substr(0, at);
  while (!name.empty() && name.back() == ' ') name.pop_back();
  size_t number = at + 1;
  while (number < text.size() && (text[number] == '=' || text[number] == ' ')) ++number;
  const auto value = ParsePositive(std::string_view(text).substr(number));
  if (name != loss || !value) return Wrong("--smallest", text, right);
  return *value;
}

absl::StatusOr<FitRequest> RequestOf(const FitFlags& flags, bool csv) {
  FitRequest request;
  std::string form = flags.form;
  if (form.empty()) form = csv ? "auto" : "power";
  request.form.reset();
  if (form != "auto") {
    RETORT_ASSIGN_OR_RETURN(request.form, scaling::ParseForm(form));
  }
  const bool two = request.form ? scaling::SizeVariables(*request.form) == 2
                                : csv && !flags.columns.size2.empty();
  if (csv && two && flags.columns.size2.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--size2: missing; the form ", form, " has two size variables"));
  }
  if (csv && !two && !flags.columns.size2.empty()) {
    return Wrong(
        "--size2", flags.columns.size2,
        absl::StrCat("the form ", form, " has one size variable; power2 and distill have two"));
  }
  scaling::FitOptions& options = request.options;
  if (flags.preset == "chinchilla") options.preset = scaling::Preset::kChinchilla;
  options.confidence = flags.confidence;
  if (flags.bootstrap) options.uncertainty = scaling::UncertaintyMethod::kBootstrap;
  options.bootstrap = {
      .resamples = flags.resamples,
      .seed = flags.bootstrap_seed,
      .threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()))};
  for (const std::string& text : flags.predict) {
    RETORT_ASSIGN_OR_RETURN(const scaling::Size size, ParseSize(text, two));
    request.predict.push_back(size);
  }
  if (!flags.smallest.empty()) {
    if (two) return Wrong("--smallest", flags.smallest, "forms of two sizes have no smallest one");
    RETORT_ASSIGN_OR_RETURN(request.smallest,
                            ParseSmallest(flags.smallest, csv ? flags.columns.loss : "mae_bpm"));
  }
  return request;
}

// The labels, and by which size a law is where rows differ in it.
std::vector<Column> WithSize(std::vector<Column> labels, const std::vector<Json>& rows) {
  const bool differ = std::any_of(rows.begin(), rows.end(), [&](const Json& row) {
    return row.at("size") != rows.front().at("size");
  });
  if (differ) labels.push_back({"size", "by", 0, {}});
  return labels;
}

// The table for people: laws, then what was asked of them, then what to know.
void PrintFits(Context& context, const std::vector<Json>& rows, const std::vector<Column>& labels,
               const std::string& loss) {
  std::ostream& out = context.terminal.out;
  std::set<std::string> formulas;
  for (const Json& row : rows) formulas.insert(row.at("formula").get<std::string>());
  const double percent = 100 * rows.front().at("confidence").get<double>();
  out << absl::StrCat(absl::StrJoin(formulas, "; "), "; L: ", loss, "; [", percent,
                      " % interval]\n")
      << TableText(rows, LawColumns(WithSize(labels, rows), rows), context.terminal);
  const auto predictions = PredictionRows(rows, labels);
  if (!predictions.empty()) {
    out << "\nWhat the laws say of other sizes:\n"
        << TableText(predictions, PredictionColumns(labels), context.terminal);
  }
  if (!rows.front().at("smallest").is_null()) {
    out << absl::StrCat("\nThe smallest size at which the law's loss is at most ",
                        rows.front()["smallest"]["loss"].get<double>(), ", sure to ", percent,
                        " %:\n")
        << TableText(rows, SmallestColumns(labels), context.terminal);
  }
  PrintWarnings(context, rows);
}

absl::StatusOr<SweepResults> FetchAll(Client& client, const std::vector<std::string>& sweeps) {
  RETORT_ASSIGN_OR_RETURN(SweepResults all, FetchResults(client, sweeps.front()));
  std::set<std::string> known;  // one job can belong to several sweeps
  for (const v1::Job& job : all.jobs) known.insert(job.name());
  for (size_t i = 1; i < sweeps.size(); ++i) {
    RETORT_ASSIGN_OR_RETURN(SweepResults more, FetchResults(client, sweeps[i]));
    for (size_t j = 0; j < more.jobs.size(); ++j) {
      if (!known.insert(more.jobs[j].name()).second) continue;
      all.jobs.push_back(std::move(more.jobs[j]));
      all.selected.push_back(more.selected[j]);
    }
  }
  return all;
}

absl::Status CompareMethods(Context& context, const SweepResults& results) {
  RETORT_ASSIGN_OR_RETURN(const auto rows, MethodRows(results));
  if (rows.empty()) {
    return absl::FailedPreconditionError(
        "no method to compare: results of students with a teacher, and of their scratch twins, are "
        "needed");
  }
  if (context.format == Format::kTable) {
    PrintMethods(context, results);
  } else {
    EmitRows(context, rows, MethodColumns());
  }
  return absl::OkStatus();
}

absl::Status FitSweeps(Context& context, const FitFlags& flags) {
  const std::string size = flags.columns.size.empty() ? "params_body" : flags.columns.size;
  if (size != "params_body" && size != "params" && size != "macs") {
    return Wrong("--size", size, "must be params_body, params or macs for a sweep");
  }
  for (const auto& [flag, value] :
       {std::pair("--loss", flags.columns.loss), std::pair("--size2", flags.columns.size2),
        std::pair("--cluster", flags.columns.cluster)}) {
    if (!value.empty()) return Wrong(flag, value, "is a column of --csv; a sweep needs none");
  }
  RETORT_ASSIGN_OR_RETURN(const FitRequest request, RequestOf(flags, /*csv=*/false));
  Client client = context.NewClient();
  RETORT_ASSIGN_OR_RETURN(const SweepResults results, FetchAll(client, flags.sweeps));
  if (flags.compare_methods) return CompareMethods(context, results);
  if (flags.claims) {
    RETORT_ASSIGN_OR_RETURN(const auto claims, ClaimsOf(results, flags.confidence));
    EmitClaims(context, claims);
    return absl::OkStatus();
  }
  std::vector<Json> rows = FitRows(results, size, request);
  // The fit over operations stands beside that over parameters, always.
  FitRequest beside = request;
  beside.predict.clear();  // sizes are in units of the first
  if (size != "macs") {
    for (Json& row : FitRows(results, "macs", beside)) rows.push_back(std::move(row));
  }
  if (rows.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("sweep ", absl::StrJoin(flags.sweeps, ", "),
                     " has no method with results at three sizes of one family; a law with "
                     "a floor, a factor and an exponent needs at least three"));
  }
  Json smallest_student;
  if (request.smallest) {
    smallest_student = SmallestStudentJson(results, *request.smallest, flags.confidence);
  }
  for (Json& row : rows) row["smallest_student"] = smallest_student;
  const std::vector<Column> labels = FitLabels();
  if (context.format != Format::kTable) {
    EmitRows(context, rows, LawColumns(labels, rows));
    return absl::OkStatus();
  }
  PrintFits(context, rows, labels, "MAE in BPM, mean over subjects");
  if (request.smallest) {
    context.terminal.out << SmallestStudentText(smallest_student, context.terminal);
  }
  PrintMethods(context, results);
  context.terminal.out.flush();
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat("--csv: cannot read ", path));
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// Millions of rows are told apart well enough by fewer resamples, in seconds rather than minutes.
void LimitResamples(size_t rows, scaling::BootstrapOptions& bootstrap) {
  constexpr double kMostDraws = 2e8;
  constexpr int kFewest = 200;
  const int affordable = static_cast<int>(kMostDraws / static_cast<double>(rows));
  bootstrap.resamples = std::min(bootstrap.resamples, std::max(kFewest, affordable));
}

absl::Status FitCsv(Context& context, const FitFlags& flags) {
  if (!flags.sweeps.empty()) {
    return Wrong("SWEEP", flags.sweeps[0], "give sweeps or --csv, not both");
  }
  if (flags.compare_methods || flags.claims) {
    return absl::InvalidArgumentError(
        "--compare-methods and --claims need a sweep, not --csv: networks of one fold and seed are "
        "compared");
  }
  if (flags.columns.loss.empty() || flags.columns.size.empty()) {
    return absl::InvalidArgumentError(
        "--csv: --loss and --size are needed: the names of its columns");
  }
  RETORT_ASSIGN_OR_RETURN(const FitRequest request, RequestOf(flags, /*csv=*/true));
  RETORT_ASSIGN_OR_RETURN(const std::string text, ReadText(flags.csv));
  RETORT_ASSIGN_OR_RETURN(const auto groups, ReadFitCsv(text, flags.csv, flags.columns));
  std::vector<Json> fits, rows;
  for (const FitCsvGroup& group : groups) {
    FitRequest of_group = request;
    of_group.options.points_are = group.points_are;
    LimitResamples(group.rows.size(), of_group.options.bootstrap);
    // Rows alone have no crossed clusters to leave out one at a time.
    if (group.points_are == scaling::PointsAre::kRows)
      of_group.options.uncertainty = scaling::UncertaintyMethod::kBootstrap;
    fits.push_back(
        FitRow(Json::object(), flags.columns.size, flags.columns.size2, group.rows, of_group));
  }
  std::vector<Column> labels;
  for (const std::string& group : flags.columns.groups) {
    // A column of any name may tell groups apart, and the fit keeps its keys.
    labels.push_back({fits.front().contains(group) ? "group_" + group : group, group, 0, {}});
  }
  for (size_t i = 0; i < fits.size(); ++i) {
    Json row = Json::object();
    for (size_t k = 0; k < labels.size(); ++k) row[labels[k].key] = groups[i].values[k];
    row.update(fits[i]);
    rows.push_back(std::move(row));
  }
  const bool none = std::none_of(rows.begin(), rows.end(),
                                 [](const Json& row) { return row.at("sizes").is_number(); });
  if (none) {
    return absl::InvalidArgumentError(absl::StrCat(
        flags.csv, ": nothing could be fitted: ", rows[0]["warnings"][0].get<std::string>()));
  }
  if (context.format != Format::kTable) {
    EmitRows(context, rows, LawColumns(labels, rows));
  } else {
    PrintFits(context, rows, labels, flags.columns.loss);
    context.terminal.out.flush();
  }
  return absl::OkStatus();
}

void AddQuestions(CLI::App& command, FitFlags& flags) {
  command.add_option("--predict", flags.predict, "sizes at which to say the loss; N,M for two");
  command.add_option(
      "--smallest", flags.smallest,
      "the smallest size that keeps a loss, such as 'mae_bpm<=5'; of sweeps also the "
      "smallest student over all methods");
  command.add_option("--confidence", flags.confidence, "of every interval and of --smallest")
      ->capture_default_str();
  command.add_flag("--compare-methods", flags.compare_methods,
                   "each method beside its scratch twins, and no laws");
  command.add_flag("--claims", flags.claims,
                   "answers to the claims C1-C5 about distillation, and no laws");
}

}  // namespace

void AddFitCommand(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("fit", "scaling laws of sweeps' students per method, or of any CSV");
  const auto flags = std::make_shared<FitFlags>();
  command->add_option("SWEEP", flags->sweeps, "names of sweeps");
  command->add_option("--csv", flags->csv, "fit the rows of this file instead");
  command->add_option("--loss", flags->columns.loss, "column of --csv: the loss");
  command->add_option("--size", flags->columns.size,
                      "params_body (default), params or macs; column of --csv");
  command->add_option("--size2", flags->columns.size2,
                      "column of --csv: second size; the teacher's loss for `distill`");
  command->add_option("--group", flags->columns.groups, "columns of --csv: a law for each value");
  command->add_option("--cluster", flags->columns.cluster,
                      "column of --csv: rows that share an error, such as a subject's");
  command->add_option("--form", flags->form,
                      "auto, power, exp, exp-log, log, power2 or distill; default power for "
                      "sweeps, auto for --csv");
  command->add_option("--preset", flags->preset, "chinchilla: delta 1e-3 and its grid of starts")
      ->check(CLI::IsMember({"chinchilla"}));
  command->add_flag("--bootstrap", flags->bootstrap,
                    "intervals by a clustered bootstrap; always of rows without clusters");
  command->add_option("--resamples", flags->resamples, "of the bootstrap")->capture_default_str();
  command->add_option("--bootstrap-seed", flags->bootstrap_seed)->capture_default_str();
  AddQuestions(*command, *flags);
  command->callback([&context, flags] {
    absl::Status status;
    if (!flags->csv.empty()) {
      status = FitCsv(context, *flags);
    } else if (flags->sweeps.empty()) {
      status = absl::InvalidArgumentError("SWEEP: missing; name a sweep, or a file with --csv");
    } else {
      status = FitSweeps(context, *flags);
    }
    if (!status.ok()) context.Fail(status);
  });
}

}  // namespace retort
