#include "client/cli/results.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/groups.h"
#include "client/cli/rows.h"
#include "common/spec/train.h"
#include "common/status.h"

namespace retort {
namespace {

const v1::Evaluation& Headline(const v1::Job& job) { return job.result().evaluations(0); }

bool HasResult(const v1::Job& job) {
  return job.has_result() && job.result().evaluations_size() > 0;
}

// What is trained on several training values and then reduced to one.
using Choice = std::tuple<std::string, std::string, std::string, std::string, int64_t, int>;

Choice ChoiceOf(const v1::Job& job) {
  return {job.spec().dataset().sha256(),
          job.teacher(),
          job.model(),
          job.method(),
          job.seed(),
          job.fold()};
}

// Training fields that the sweep varies.
std::vector<std::string> VariedFields(const v1::SweepSpec& sweep) {
  std::set<std::string> names;
  for (const v1::TrainAxis& axis : sweep.train_axes()) names.insert(axis.field());
  for (const v1::Override& changed : sweep.overrides()) {
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    changed.train().GetReflection()->ListFields(changed.train(), &fields);
    for (const auto* field : fields) names.insert(field->name());
  }
  return {names.begin(), names.end()};
}

Json TextOrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

// A sentence as lines of at most 78 characters, indented by two.
std::string Wrapped(const std::string& sentence) {
  std::string out;
  size_t column = 0;
  for (const absl::string_view word : absl::StrSplit(sentence, ' ')) {
    const bool breaks = column == 0 || column + 1 + word.size() > 78;
    absl::StrAppend(&out, column == 0 ? "  " : breaks ? "\n  " : " ", word);
    column = (breaks ? 2 : column + 1) + word.size();
  }
  return out + "\n";
}

}  // namespace

SweepResults Select(v1::Sweep sweep, std::vector<v1::Job> jobs) {
  SweepResults results{std::move(sweep), std::move(jobs), {}};
  std::map<Choice, std::pair<double, size_t>> best;  // error on validation, job
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    const v1::Job& job = results.jobs[i];
    results.selected.push_back(HasResult(job));
    if (!HasResult(job) || !results.sweep.spec().has_select()) continue;
    const double error = job.result().has_validation() ? job.result().validation().mae_bpm()
                                                       : std::numeric_limits<double>::infinity();
    const auto [at, is_first] = best.try_emplace(ChoiceOf(job), error, i);
    if (is_first) continue;
    if (error < at->second.first) {
      results.selected[at->second.second] = false;
      at->second = {error, i};
    } else {
      results.selected[i] = false;
    }
  }
  return results;
}

absl::StatusOr<SweepResults> FetchResults(Client& client, const std::string& sweep) {
  RETORT_ASSIGN_OR_RETURN(v1::Sweep found, client.GetSweep(sweep));
  RETORT_ASSIGN_OR_RETURN(std::vector<v1::Job> jobs, client.ListJobs(sweep, {}, /*full=*/true));
  return Select(std::move(found), std::move(jobs));
}

std::vector<Json> ResultRows(const SweepResults& results) {
  std::vector<Json> rows;
  const std::vector<std::string> varied = VariedFields(results.sweep.spec());
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    rows.push_back(ResultRow(results.jobs[i]));
    rows.back()["train"] = TextOrNull(TrainText(results.jobs[i].spec().train(), varied));
    rows.back()["selected"] = static_cast<bool>(results.selected[i]);
  }
  return rows;
}

std::vector<Column> WithTrain(std::vector<Column> columns, const std::vector<Json>& rows) {
  for (const Json& row : rows) {
    if (row.at("train").is_null()) continue;
    const auto teacher = std::find_if(columns.begin(), columns.end(),
                                      [](const Column& column) { return column.key == "teacher"; });
    columns.insert(std::next(teacher), Column{"train", "train", 0, {}});
    break;
  }
  return columns;
}

std::string FloorsLine(const SweepResults& results) {
  SubjectMean mean, fft;
  bool any = false;
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    if (!results.selected[i]) continue;
    any = true;
    for (const auto& subject : Headline(results.jobs[i]).subjects()) {
      mean.Add(subject.subject(), subject.metrics().floor_mean_bpm());
      fft.Add(subject.subject(), subject.metrics().floor_fft_bpm());
    }
  }
  if (!any) return "";
  return absl::StrFormat(
      "MAE in BPM, mean over subjects, +- half its 95 %% interval (n: jobs). Floors on\n"
      "the same windows: mean of the training set %s, strongest FFT peak %s.",
      Fixed(mean.Mean(), 2), Fixed(fft.Mean(), 2));
}

std::string MissingLine(const SweepResults& results) {
  std::map<std::string, int> others;
  for (const v1::Job& job : results.jobs) {
    if (job.state() != v1::JOB_STATE_SUCCEEDED) ++others[StateName(job.state())];
  }
  std::string line;
  for (const auto& [state, count] : others) {
    absl::StrAppend(&line, line.empty() ? "" : ", ", count, " ", state);
  }
  return line.empty() ? "" : absl::StrCat("Jobs without a result: ", line, ".");
}

void PrintWarnings(Context& context, const std::vector<Json>& fits) {
  std::set<std::string> said;
  for (const Json& row : fits) {
    for (const Json& warning : row.at("warnings")) {
      const auto text = warning.get<std::string>();
      if (said.insert(text).second) context.terminal.out << Wrapped(text);
    }
  }
}

void PrintMethods(Context& context, const SweepResults& results) {
  const auto methods = MethodRows(results);
  if (!methods.ok()) {
    context.terminal.err << "retort: comparison: " << MessageOf(methods.status()) << std::endl;
    return;
  }
  if (methods->empty()) return;
  std::ostream& out = context.terminal.out;
  out << "\nEach method beside its scratch twins (* better on validation). Gain: BPM\n"
         "saved in pairs of one student, fold, seed and subject, with 95 % interval.\n"
      << TableText(*methods, MethodColumns(), context.terminal);
  std::set<std::string> said;
  for (const Json& row : *methods) {
    if (!row["reason"].is_string()) continue;
    const auto reason = row["reason"].get<std::string>();
    if (said.insert(reason).second) out << Wrapped("not resolved: " + reason);
  }
}

void PrintReport(Context& context, const SweepResults& results) {
  std::ostream& out = context.terminal.out;
  const auto rows = GroupedRows(results);
  if (!rows.empty()) {
    EmitTable(context, rows, WithTrain(GroupedColumns(), rows));
    out << FloorsLine(results) << "\n";
  }
  if (const std::string missing = MissingLine(results); !missing.empty()) out << missing << "\n";
  PrintMethods(context, results);
  const auto fits = FitRows(results, "params_body");
  if (!fits.empty()) {
    out << "\nError by parameters of the body, L = E + A * N^-alpha [95 % interval]:\n"
        << TableText(fits, FitColumns(), context.terminal);
    PrintWarnings(context, fits);
  }
  out.flush();
}

}  // namespace retort
