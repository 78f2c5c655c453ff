#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/data_output.h"
#include "client/cli/table.h"
#include "client/data/join.h"
#include "client/data/lag.h"
#include "client/data/synth.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/spec/dataset.h"
#include "common/status.h"

namespace retort {
namespace {

void Synth(Context& context, SynthOptions options, const std::string& filter,
           const std::string& out) {
  const auto mode = ParseFilterMode(filter);
  if (!mode.ok()) return context.Fail(Annotate(mode.status(), "--filter"));
  options.prepare.filter = *mode;
  WriteDataset(context, Synthesize(options), out);
}

void Show(Context& context, const std::string& path) {
  const auto bytes = ReadFile(path);
  if (!bytes.ok()) return context.Fail(absl::InvalidArgumentError(bytes.status().message()));
  const auto dataset = ToStatusOr(ParseDataset(*bytes, path));
  if (!dataset.ok()) return context.Fail(dataset.status());
  EmitDataset(context, *dataset, path, ArtifactHash(Sha256Of(*bytes)).hex());
  context.terminal.err << Escaped(DescribeLags(EstimateLags(*dataset))) << std::flush;
}

// Every prepared dataset in a folder, by name. Files that are something else are not mentioned:
// weights have the same ending.
void List(Context& context, const std::string& folder) {
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".safetensors") paths.push_back(entry.path().string());
  }
  if (error) {
    return context.Fail(absl::InvalidArgumentError(absl::StrCat(folder, ": ", error.message())));
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Json> rows;
  for (const std::string& path : paths) {
    const auto bytes = ReadFile(path);
    if (!bytes.ok()) continue;
    const auto dataset = ToStatusOr(ParseDataset(*bytes, path));
    if (!dataset.ok()) continue;
    rows.push_back({{"path", path},
                    {"windows", dataset->windows_count},
                    {"channels", dataset->channels_count},
                    {"subjects", dataset->subjects.size()},
                    {"size_bytes", bytes->size()},
                    {"sha256", ArtifactHash(Sha256Of(*bytes)).hex()}});
  }
  EmitRows(context, rows,
           {{"path", "dataset", 0, {}, Room::kNeeded},
            {"windows", "windows", 0, {}},
            {"channels", "channels", 0, {}},
            {"subjects", "subjects", 0, {}},
            {"size_bytes", "bytes", 0, {}},
            {"sha256", "sha256", 0,
             [](const Json& row) { return row.at("sha256").get<std::string>().substr(0, 12); }}});
}

void AddSynth(CLI::App& group, Context& context) {
  CLI::App* synth = group.add_subcommand("synth", "a synthetic dataset");
  struct Flags {
    SynthOptions options;
    std::string filter = "recording";
    std::string out;
  };
  const auto flags = std::make_shared<Flags>();
  SynthOptions& options = flags->options;
  synth->add_option("--out", flags->out, "file to write (.safetensors)")->required();
  synth->add_option("--subjects", options.subjects, "people")->capture_default_str();
  synth->add_option("--minutes", options.minutes, "of each")->capture_default_str();
  synth->add_option("--channels", options.channels, "PPG channels")->capture_default_str();
  synth->add_option("--seed", options.seed, "another seed, other people")->capture_default_str();
  synth->add_option("--motion", options.motion, "strength of motion; 0 for none")
      ->capture_default_str();
  synth->add_option("--filter", flags->filter, kFilterHelp)->capture_default_str();
  synth->callback([&context, flags] { Synth(context, flags->options, flags->filter, flags->out); });
}

void Join(Context& context, const std::vector<std::string>& paths, const std::string& out) {
  std::vector<NamedDataset> parts;
  for (const auto& path : paths) {
    const auto bytes = ReadFile(path);
    if (!bytes.ok()) return context.Fail(absl::InvalidArgumentError(bytes.status().message()));
    auto dataset = ToStatusOr(ParseDataset(*bytes, path));
    if (!dataset.ok()) return context.Fail(dataset.status());
    parts.push_back({path, *std::move(dataset)});
  }
  WriteDataset(context, JoinDatasets(parts), out);
}

void AddJoin(CLI::App& group, Context& context) {
  CLI::App* join = group.add_subcommand(
      "join", "several prepared datasets as one; subjects become NAME/SUBJECT");
  struct Flags {
    std::vector<std::string> paths;
    std::string out;
  };
  const auto flags = std::make_shared<Flags>();
  join->add_option("FILES", flags->paths,
                   "datasets of the same rate, filter, window and number of channels")
      ->required()
      ->expected(2, 1000);
  join->add_option("--out", flags->out, "file to write (.safetensors)")->required();
  join->callback([&context, flags] { Join(context, flags->paths, flags->out); });
}

}  // namespace

void AddDataCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("data", "make and look at datasets");
  group->require_subcommand(1);
  AddPrepareCommand(*group, context);
  AddSynth(*group, context);
  AddJoin(*group, context);
  CLI::App* list = group->add_subcommand("list", "prepared datasets in a folder");
  const auto folder = std::make_shared<std::string>(".");
  list->add_option("FOLDER", *folder, "where to look")->capture_default_str();
  list->callback([&context, folder] { List(context, *folder); });
  CLI::App* show = group->add_subcommand(
      "show",
      "what is in a prepared dataset: subjects, heart rates, the floors that a model "
      "has to beat, and labels that seem misaligned");
  const auto path = std::make_shared<std::string>();
  show->add_option("FILE", *path, "the dataset")->required();
  show->callback([&context, path] { Show(context, *path); });
}

}  // namespace retort
