#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/table.h"
#include "client/data/describe.h"
#include "client/data/ieee_spc_2015.h"
#include "client/data/synth.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/spec/dataset.h"
#include "common/status.h"

namespace retort {
namespace {

struct PrepareFlags {
  std::string source;
  std::string from;
  std::string out;
  std::string filter = "recording";
};

Json Facts(const WindowFacts& facts) {
  return {{"windows", facts.windows},
          {"min_bpm", Number(facts.min_bpm)},
          {"mean_bpm", Number(facts.mean_bpm)},
          {"max_bpm", Number(facts.max_bpm)},
          {"floor_mean_bpm", Number(facts.mean_floor_bpm)},
          {"floor_fft_bpm", Number(facts.fft_floor_bpm)}};
}

void Emit(Context& context, const Dataset& dataset, const std::string& path,
          const std::string& sha256) {
  if (context.format == Format::kTable) {
    context.terminal.out << path << "\nsha256: " << sha256 << "\n"
                         << Escaped(DescribeDataset(dataset)) << std::flush;
    return;
  }
  const DatasetSummary summary = Summarize(dataset);
  Json object = {{"path", path}, {"sha256", sha256}};
  object.update(Facts(summary.all));
  object["channels"] = dataset.channels;
  object["samples"] = dataset.samples;
  object["metadata"] = dataset.metadata;
  Json subjects = Json::array();
  for (const SubjectFacts& subject : summary.subjects) {
    Json row = {{"subject", subject.subject}};
    row.update(Facts(subject.facts));
    subjects.push_back(std::move(row));
  }
  object["subjects"] = subjects;
  EmitObject(context, object);
}

// Writes a dataset whole or not at all, and says what it holds.
void Write(Context& context, const absl::StatusOr<Dataset>& dataset, const std::string& out) {
  if (!dataset.ok()) return context.Fail(dataset.status());
  const std::string bytes = SerializeDataset(*dataset);
  const std::filesystem::path folder = std::filesystem::path(out).parent_path();
  if (!folder.empty()) {
    if (const absl::Status made = MakeFolders(folder.string()); !made.ok()) {
      return context.Fail(made);
    }
  }
  if (const absl::Status written = WriteFileAtomically(out, bytes); !written.ok()) {
    return context.Fail(written);
  }
  Emit(context, *dataset, out, ArtifactHash(Sha256Of(bytes)).hex());
}

void Prepare(Context& context, const PrepareFlags& flags) {
  PrepareOptions options;
  const auto filter = ParseFilterMode(flags.filter);
  if (!filter.ok()) return context.Fail(Annotate(filter.status(), "--filter"));
  options.filter = *filter;
  absl::StatusOr<Dataset> dataset = PrepareIeeeSpc2015(flags.from, options);
  // A file that is missing among the sources is a mistake of the caller, like one that is damaged.
  if (absl::IsNotFound(dataset.status())) {
    dataset = absl::InvalidArgumentError(dataset.status().message());
  }
  Write(context, dataset, flags.out);
}

void Synth(Context& context, SynthOptions options, const std::string& filter,
           const std::string& out) {
  const auto mode = ParseFilterMode(filter);
  if (!mode.ok()) return context.Fail(Annotate(mode.status(), "--filter"));
  options.prepare.filter = *mode;
  Write(context, Synthesize(options), out);
}

void Show(Context& context, const std::string& path) {
  const auto bytes = ReadFile(path);
  if (!bytes.ok()) return context.Fail(absl::InvalidArgumentError(bytes.status().message()));
  const auto dataset = ToStatusOr(ParseDataset(*bytes, path));
  if (!dataset.ok()) return context.Fail(dataset.status());
  Emit(context, *dataset, path, ArtifactHash(Sha256Of(*bytes)).hex());
}

constexpr char kFilterHelp[] =
    "what the band-pass sees: recording (zero phase over all of it), window, or causal (what a "
    "wearable can do in real time)";

void AddPrepare(CLI::App& group, Context& context) {
  CLI::App* prepare = group.add_subcommand("prepare", "original recordings to a prepared dataset");
  const auto flags = std::make_shared<PrepareFlags>();
  prepare->add_option("SOURCE", flags->source, "ieee-spc-2015")
      ->required()
      ->check(CLI::IsMember({"ieee-spc-2015"}));
  prepare->add_option("--from", flags->from, "folder with the original files")->required();
  prepare->add_option("--out", flags->out, "file to write (.safetensors)")->required();
  prepare->add_option("--filter", flags->filter, kFilterHelp)->capture_default_str();
  prepare->callback([&context, flags] { Prepare(context, *flags); });
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

}  // namespace

void AddDataCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("data", "make and look at datasets");
  group->require_subcommand(1);
  AddPrepare(*group, context);
  AddSynth(*group, context);
  CLI::App* show = group->add_subcommand("show", "what is in a prepared dataset");
  const auto path = std::make_shared<std::string>();
  show->add_option("FILE", *path, "the dataset")->required();
  show->callback([&context, path] { Show(context, *path); });
}

}  // namespace retort
