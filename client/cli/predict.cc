#include "client/cli/predict.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cli/process.h"
#include "common/files.h"
#include "common/spec/weights_file.h"
#include "common/status.h"

namespace retort {

absl::StatusOr<TemporaryFolder> TemporaryFolder::Make() {
  std::string path = (std::filesystem::temp_directory_path() / "retort-predict-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) return ErrnoStatus(errno, path, "cannot be made");
  return TemporaryFolder(path);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

absl::Status CheckWeightsFile(const std::string& path) {
  const auto file = ToStatusOr(Safetensors::ReadFile(path));
  if (!file.ok()) return absl::InvalidArgumentError(MessageOf(file.status()));
  return ToStatusOr(CheckWeights(*file)).status();
}

absl::StatusOr<std::vector<Json>> PredictDataset(const std::string& weights,
                                                 const std::string& dataset) {
  RETORT_ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Make());
  RETORT_ASSIGN_OR_RETURN(const std::string runner, FindProgram("retort-runner"));
  const std::string log = folder / "log", out = folder / "out.jsonl";
  RETORT_ASSIGN_OR_RETURN(ChildProcess child,
                          ChildProcess::Start({runner, "predict", weights, dataset, out}, log));
  while (!child.Ended().has_value()) {
    if (WasInterrupted()) return absl::CancelledError("interrupted");
    absl::SleepFor(absl::Milliseconds(10));
  }
  if (*child.Ended() != "exit code 0") {
    const std::string said = LastLines(log, 3);
    return absl::InvalidArgumentError(
        absl::StrCat(said.empty() ? absl::StrCat("retort-runner: ", *child.Ended())
                                  : std::string(absl::StripTrailingAsciiWhitespace(said))));
  }
  RETORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(out));
  std::vector<Json> rows;
  for (const auto line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const Json read = Json::parse(std::string(line));
    Json row = {{"window", read.at("window").get<int64_t>()}};
    for (const char* key : {"recording", "start_s", "subject", "reference_bpm", "channel",
                            "median_bpm", "argmax_bpm", "expectation_bpm", "confidence"}) {
      row[key] = read.at(key);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace retort
