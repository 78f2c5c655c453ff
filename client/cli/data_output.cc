#include "client/cli/data_output.h"

#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "client/cli/table.h"
#include "client/data/describe.h"
#include "client/data/notes.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/status.h"

namespace retort {
namespace {

Json Facts(const WindowFacts& facts) {
  return {{"windows", facts.windows},
          {"min_bpm", Number(facts.min_bpm)},
          {"mean_bpm", Number(facts.mean_bpm)},
          {"max_bpm", Number(facts.max_bpm)},
          {"floor_mean_bpm", Number(facts.mean_floor_bpm)},
          {"floor_fft_bpm", Number(facts.fft_floor_bpm)}};
}

// Recordings by reason, so that a long list stays short.
void SayLeftOut(Context& context, const Dataset& dataset) {
  for (const std::string key : {"recordings_left_out", "windows_left_out"}) {
    const auto found = dataset.metadata.find(key);
    if (found == dataset.metadata.end()) continue;
    const auto notes = NotesFromJson(found->second);
    if (!notes.ok()) continue;
    std::map<std::string, std::string> recordings;
    for (const auto& [recording, why] : *notes) {
      std::string& names = recordings[why];
      absl::StrAppend(&names, names.empty() ? "" : ", ", recording);
    }
    for (const auto& [why, names] : recordings) {
      context.terminal.err << (key == "recordings_left_out" ? "left out: " : "windows left out of ")
                           << Escaped(names) << ": " << Escaped(why) << "\n";
    }
  }
}

}  // namespace

void EmitDataset(Context& context, const Dataset& dataset, const std::string& path,
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

void WriteDataset(Context& context, const absl::StatusOr<Dataset>& dataset,
                  const std::string& out) {
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
  SayLeftOut(context, *dataset);
  EmitDataset(context, *dataset, out, ArtifactHash(Sha256Of(bytes)).hex());
}

}  // namespace retort
