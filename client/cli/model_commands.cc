// `retort model`: weights of jobs as files, and what they say of data.
#include <memory>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/predict.h"
#include "client/cli/rows.h"
#include "client/cli/signal_csv.h"
#include "client/cli/table.h"
#include "common/files.h"
#include "common/spec/weights_file.h"
#include "common/status.h"

namespace retort {
namespace {

void Fetch(Context& context, const std::string& id, std::string out) {
  Client client = context.NewClient();
  const auto job = client.GetJob(id);
  if (!job.ok()) return context.Fail(job.status());
  const std::string name = ShortName(job->name());
  if (job->state() != v1::JOB_STATE_SUCCEEDED || !job->result().has_weights()) {
    return context.Fail(absl::FailedPreconditionError(
        absl::StrCat("job ", name.substr(0, 12), " is ", StateName(job->state()),
                     "; only a job that succeeded has weights")));
  }
  if (out.empty()) out = name.substr(0, 12) + ".safetensors";
  const v1::ArtifactRef& weights = job->result().weights();
  absl::Status status = client.Download(weights.sha256(), out);
  if (status.ok()) {
    // The hash is right; whether these are weights that this version can read is another matter.
    const auto file = Safetensors::ReadFile(out);
    const auto header =
        file.ok() ? CheckWeights(*file) : Expected<WeightsHeader>(Error{file.error()});
    status = ToStatusOr(header).status();
  }
  if (!status.ok()) return context.Fail(status);
  EmitObject(context, {{"job", name},
                       {"path", out},
                       {"sha256", weights.sha256()},
                       {"size_bytes", weights.size_bytes()}});
}

struct PredictFlags {
  std::string weights;
  std::string input;
  double rate_hz = 0;
  std::string filter = "recording";
};

// The dataset to run on: the input itself, or what a CSV is prepared to.
absl::StatusOr<std::string> DatasetOf(const PredictFlags& flags, const TemporaryFolder& folder) {
  RETORT_ASSIGN_OR_RETURN(const FilterMode filter, ParseFilterMode(flags.filter));
  const bool csv = absl::EndsWithIgnoreCase(flags.input, ".csv");
  if (!csv && !absl::EndsWithIgnoreCase(flags.input, ".safetensors")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--input: ", flags.input, "; must be a .csv file or a prepared dataset (.safetensors)"));
  }
  const auto bytes = ReadFile(flags.input);
  if (!bytes.ok()) return absl::InvalidArgumentError(bytes.status().message());
  if (!csv) {
    if (flags.rate_hz > 0) {
      return absl::InvalidArgumentError("--rate: is for CSV; a prepared dataset says its rate");
    }
    RETORT_RETURN_IF_ERROR(ToStatusOr(ParseDataset(*bytes, flags.input)).status());
    return flags.input;
  }
  PrepareOptions options;
  options.filter = filter;
  RETORT_ASSIGN_OR_RETURN(const Dataset dataset,
                          ReadSignalCsv(*bytes, flags.input, flags.rate_hz, options));
  const std::string path = folder / "input.safetensors";
  RETORT_RETURN_IF_ERROR(WriteFileAtomically(path, SerializeDataset(dataset)));
  return path;
}

absl::StatusOr<std::vector<Json>> RunPredict(const PredictFlags& flags) {
  RETORT_RETURN_IF_ERROR(CheckWeightsFile(flags.weights));
  RETORT_ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Make());
  RETORT_ASSIGN_OR_RETURN(const std::string dataset, DatasetOf(flags, folder));
  RETORT_ASSIGN_OR_RETURN(std::vector<Json> rows, PredictDataset(flags.weights, dataset));
  if (dataset == flags.input) return rows;
  for (Json& row : rows) row["reference_bpm"] = row["subject"] = nullptr;  // a CSV has none
  return rows;
}

void Predict(Context& context, const PredictFlags& flags) {
  CatchInterrupts();
  const auto rows = RunPredict(flags);
  if (!rows.ok()) return context.Fail(rows.status());
  EmitRows(context, *rows,
           {{"window", "window", 0, {}},
            {"recording", "recording", 0, {}},
            {"start_s", "start s", 0, {}},
            {"subject", "subject", 0, {}},
            {"channel", "channel", 0, {}},
            {"reference_bpm", "reference", 1, {}},
            {"median_bpm", "median", 1, {}},
            {"argmax_bpm", "arg max", 1, {}},
            {"expectation_bpm", "expectation", 1, {}},
            {"confidence", "confidence", 2, {}}});
}

}  // namespace

void AddModelCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("model", "bring trained networks, and run them");
  group->require_subcommand(1);
  CLI::App* fetch = group->add_subcommand("fetch", "write the weights of a job to a file");
  const auto id = std::make_shared<std::string>();
  const auto out = std::make_shared<std::string>();
  fetch->add_option("JOB", *id, "id of the job, or at least 6 of its first digits")->required();
  fetch->add_option("--out", *out, "file to write; JOB.safetensors if left out");
  fetch->callback([&context, id, out] { Fetch(context, *id, *out); });

  CLI::App* predict = group->add_subcommand("predict", "heart rates of windows, by a network");
  const auto flags = std::make_shared<PredictFlags>();
  predict->add_option("--weights", flags->weights, "weights of a job (.safetensors)")->required();
  predict
      ->add_option("--input", flags->input,
                   "a prepared dataset (.safetensors), or CSV with a column for each PPG channel")
      ->required();
  predict->add_option("--rate", flags->rate_hz, "rows in a second, for CSV without time_s");
  predict->add_option("--filter", flags->filter, "of CSV: recording, window or causal")
      ->capture_default_str();
  predict->callback([&context, flags] { Predict(context, *flags); });
}

}  // namespace retort
