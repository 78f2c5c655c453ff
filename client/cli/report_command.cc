// `retort report`: gathers what client/report writes.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/claims_rows.h"
#include "client/cli/commands.h"
#include "client/cli/fit_rows.h"
#include "client/cli/predict.h"
#include "client/cli/results.h"
#include "client/cli/rows.h"
#include "client/report/report.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int kCurvePoints = 48;  // of a law, evenly on a log axis
constexpr size_t kMostCurves = 120;
constexpr double kConfidence = 0.95;

struct ReportFlags {
  std::string sweep;
  std::string out;
};

// Sizes at which laws are drawn: from the smallest to three times the largest of any family.
FitRequest LawRequest(const SweepResults& results) {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    if (!results.selected[i] || results.jobs[i].kind() != v1::JOB_KIND_STUDENT) continue;
    const auto size = static_cast<double>(results.jobs[i].result().cost().params_body());
    least = std::min(least, size);
    most = std::max(most, 3 * size);
  }
  FitRequest request;
  for (int i = 0; i < kCurvePoints && least < most; ++i) {
    const double share = static_cast<double>(i) / (kCurvePoints - 1);
    request.predict.emplace_back(std::exp(std::log(least) + share * std::log(most / least)), 0);
  }
  return request;
}

// What the sweep says of a job and the tables of its row.
struct Selected {
  const v1::Job* job;
  report::Network network;
};

std::vector<Selected> SelectedStudents(const SweepResults& results, const std::vector<Json>& rows) {
  std::vector<Selected> out;
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    if (!results.selected[i] || results.jobs[i].kind() != v1::JOB_KIND_STUDENT) continue;
    out.push_back({&results.jobs[i], report::NetworkOf(rows[i])});
  }
  return out;
}

// The validation curve of the first job of each model and method.
absl::StatusOr<std::vector<report::Curve>> ReadCurves(Client& client,
                                                      const std::vector<Selected>& students) {
  std::vector<report::Curve> curves;
  std::set<std::pair<std::string, std::string>> known;
  for (const auto& [job, network] : students) {
    if (curves.size() >= kMostCurves) break;
    if (!known.insert({network.model, network.method}).second) continue;
    RETORT_ASSIGN_OR_RETURN(const auto points,
                            client.ReadMetrics(ShortName(job->name()), {"val.mae_bpm"}));
    report::Curve curve{network, absl::StrCat("seed ", job->seed(), ", fold ", job->fold()), {}};
    for (const v1::MetricPoint& point : points) {
      if (!std::isfinite(point.value())) continue;
      curve.points.emplace_back(static_cast<double>(point.step() + 1), point.value());
    }
    if (!curve.points.empty()) curves.push_back(std::move(curve));
  }
  return curves;
}

// Runs a job's network on its test subjects.
absl::Status AddEstimates(Client& client, const v1::Job& job, const std::string& dataset,
                          const TemporaryFolder& folder,
                          std::vector<report::Agreement::Point>& points) {
  const std::string weights = folder / "weights.safetensors";
  RETORT_RETURN_IF_ERROR(client.Download(job.result().weights().sha256(), weights));
  RETORT_RETURN_IF_ERROR(CheckWeightsFile(weights));
  RETORT_ASSIGN_OR_RETURN(const std::vector<Json> rows, PredictDataset(weights, dataset));
  std::set<std::string> tested;
  for (const auto& subject : job.result().evaluations(0).subjects()) {
    tested.insert(subject.subject());
  }
  for (const Json& row : rows) {
    if (!row.at("channel").is_string() || row["channel"] == "all") continue;
    if (!row.at("subject").is_string() || tested.count(row["subject"].get<std::string>()) == 0) {
      continue;
    }
    points.push_back({row.at("reference_bpm").get<double>(), row.at("median_bpm").get<double>()});
  }
  return absl::OkStatus();
}

// Of the best student's jobs of one seed, one for each fold, so that each subject counts once.
absl::StatusOr<report::Agreement> ReadAgreement(Client& client,
                                                const std::vector<Selected>& students,
                                                const report::Network& best) {
  report::Agreement agreement;
  agreement.network = best;
  std::map<std::string, const v1::Job*> jobs;  // by the subjects they were tested on
  for (const auto& [job, network] : students) {
    if (network != best) continue;
    std::vector<std::string> tested;
    for (const auto& subject : job->result().evaluations(0).subjects()) {
      tested.push_back(subject.subject());
    }
    jobs.try_emplace(absl::StrJoin(tested, "\n"), job);
  }
  if (jobs.empty()) return agreement;
  RETORT_ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Make());
  const std::string dataset = folder / "dataset.safetensors";
  std::string held;  // hash of the dataset that lies there
  for (const auto& [subjects, job] : jobs) {
    const std::string& wanted = job->result().evaluations(0).dataset_sha256();
    if (wanted != held) RETORT_RETURN_IF_ERROR(client.Download(wanted, dataset));
    held = wanted;
    RETORT_RETURN_IF_ERROR(AddEstimates(client, *job, dataset, folder, agreement.points));
  }
  return agreement;
}

std::vector<std::pair<std::string, std::string>> Origin(const SweepResults& results) {
  std::set<std::string> fingerprints, machines, versions;
  int64_t mixed = 0;
  for (const v1::Job& job : results.jobs) {
    versions.insert(absl::StrCat(job.spec().trainer_version()));
    if (!job.has_result()) continue;
    fingerprints.insert(job.result().numeric_fingerprint());
    machines.insert(job.result().cost().latency_machine());
    mixed += job.result().mixed() ? 1 : 0;
  }
  std::vector<std::pair<std::string, std::string>> origin = {
      {"retort", absl::StrCat(RETORT_VERSION, ", trainer version ", absl::StrJoin(versions, ", "))},
      {"jobs",
       absl::StrCat(results.jobs.size(), ", of which resumed under another fingerprint: ", mixed)}};
  for (const std::string& text : fingerprints) origin.emplace_back("numeric fingerprint", text);
  for (const std::string& text : machines) origin.emplace_back("latency measured on", text);
  for (const v1::NamedDataset& dataset : results.sweep.spec().datasets()) {
    origin.emplace_back("dataset " + dataset.name(),
                        absl::StrCat(dataset.info().sha256(), ", ", dataset.info().windows(),
                                     " windows, ", dataset.info().subjects_size(), " subjects"));
  }
  return origin;
}

std::string Commands(const std::string& sweep) {
  return absl::StrCat("retort local SWEEP.yaml          # what is known is not run again\n",
                      "retort results ", sweep, " -o csv\n", "retort fit ", sweep, " -o json\n",
                      "retort report ", sweep, " -o report.html\n");
}

absl::StatusOr<report::Input> Gather(Client& client, const std::string& sweep) {
  RETORT_ASSIGN_OR_RETURN(const SweepResults results, FetchResults(client, sweep));
  report::Input input;
  input.sweep = ShortName(results.sweep.name());
  input.description = results.sweep.spec().description();
  input.made = absl::FormatTime("%Y-%m-%d %H:%M UTC", absl::Now(), absl::UTCTimeZone());
  input.rows = ResultRows(results);
  input.networks = GroupedRows(results);
  // Networks are what the table has a row for: training values tell them apart only where they do
  // there.
  const bool by_train = std::any_of(input.networks.begin(), input.networks.end(),
                                    [](const Json& row) { return row.at("train").is_string(); });
  for (Json& row : input.rows) {
    if (!by_train) row["train"] = nullptr;
  }
  if (input.networks.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "sweep ", input.sweep, " has no result yet; see: retort sweep show ", input.sweep));
  }
  RETORT_ASSIGN_OR_RETURN(input.methods, MethodRows(results));
  if (const auto claims = ClaimsOf(results, kConfidence); claims.ok()) {
    input.claims = ClaimRows(*claims);
  } else {
    input.claims_problem = absl::StrCat("Not judged: ", MessageOf(claims.status()), ".");
  }
  input.laws = FitRows(results, "params_body", LawRequest(results));
  input.laws_by_macs = FitRows(results, "macs", {});
  input.remarks = {FloorsLine(results), MissingLine(results)};
  std::erase(input.remarks, "");
  const std::vector<Selected> students = SelectedStudents(results, input.rows);
  RETORT_ASSIGN_OR_RETURN(input.curves, ReadCurves(client, students));
  const report::Network best = report::BestStudent(input.rows);
  auto agreement = ReadAgreement(client, students, best);
  if (absl::IsCancelled(agreement.status())) return agreement.status();
  if (agreement.ok()) input.agreement = *std::move(agreement);
  if (input.agreement.points.empty()) {
    input.agreement.problem = agreement.ok()
                                  ? "No student has been tested."
                                  : absl::StrCat("Not drawn: ", MessageOf(agreement.status()), ".");
  }
  input.origin = Origin(results);
  input.reproduce = Commands(input.sweep);
  input.spec = MessageJson(results.sweep.spec()).dump(2);
  return input;
}

// Whether a file can be written there: said before the work, which can take minutes. A file that is
// there stays as it is.
absl::Status CheckOutput(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--out: ", path, " is a folder; name a file in it"));
  }
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const std::string folder = parent.empty() ? "." : parent;
  if (!std::filesystem::is_directory(folder, error)) {
    return absl::NotFoundError(absl::StrCat("--out: ", path, ": there is no folder ", folder));
  }
  if (access(folder.c_str(), W_OK) != 0) {
    return ErrnoStatus(errno, folder, "cannot be written to");
  }
  return absl::OkStatus();
}

void Report(Context& context, const ReportFlags& flags) {
  CatchInterrupts();
  const std::string out = flags.out.empty() ? flags.sweep + ".html" : flags.out;
  const bool markdown = absl::EndsWithIgnoreCase(out, ".md");
  if (!markdown && !absl::EndsWithIgnoreCase(out, ".html")) {
    return context.Fail(
        absl::InvalidArgumentError(absl::StrCat("--out: '", out, "'; must end with .html or .md")));
  }
  if (const auto status = CheckOutput(out); !status.ok()) return context.Fail(status);
  Client client = context.NewClient();
  const auto input = Gather(client, flags.sweep);
  if (!input.ok()) return context.Fail(input.status());
  const report::Document document = report::MakeReport(*input);
  const std::string text = markdown ? report::Markdown(document) : report::Html(document);
  if (const auto status = WriteFileAtomically(out, text); !status.ok()) return context.Fail(status);
  context.terminal.err << "retort: wrote " << out << std::endl;
}

}  // namespace

void AddReportCommand(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("report", "a sweep's results as one page: claims, plots, tables");
  const auto flags = std::make_shared<ReportFlags>();
  command->add_option("SWEEP", flags->sweep, "name of the sweep")->required();
  command->add_option("-o,--out", flags->out,
                      "file to write: .html or .md; SWEEP.html if left out");
  command->callback([&context, flags] { Report(context, *flags); });
}

}  // namespace retort
