#include "client/data/bami.h"

#include <algorithm>
#include <map>
#include <regex>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/data/mat_file.h"
#include "client/data/source_files.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int kRateHz = 50;
constexpr int kPpgChannels = 3;

// Found by comparing the labels with the heart rate in the signals.
const std::map<int, std::string>& KnownBad() {
  static const std::map<int, std::string> bad = {
      {5, "its labels fit the windows about 8 s later"},
      {15, "its labels fit the windows about 7 s earlier"},
      {25, "another device, its labels fit the windows about 3 s later"}};
  return bad;
}

absl::StatusOr<Recording> ReadRecording(const std::string& path, int number) {
  RETORT_ASSIGN_OR_RETURN(const Matrix ppg, ReadMatrix(path, "rawPPG"));
  if (ppg.rows != kPpgChannels) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": variable 'rawPPG' has ", ppg.rows, " rows and ", ppg.columns,
                     " columns; must have ", kPpgChannels, " rows, one for each PPG channel"));
  }
  RETORT_ASSIGN_OR_RETURN(Matrix labels, ReadMatrix(path, "bpm_ecg"));
  const int64_t windows = WindowsIn(ppg.columns, kRateHz);
  const int64_t count = labels.rows * labels.columns;
  // The last window of some recordings has no label.
  if (windows < 1 || count > windows || count < windows - 1 || count < 1 ||
      std::min(labels.rows, labels.columns) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": variable 'bpm_ecg' has ", labels.rows, " rows and ", labels.columns,
                     " columns; must have a label for each of the ", windows,
                     " windows (8 s, every 2 s) of the ", ppg.columns, " samples of 'rawPPG'"));
  }
  const std::string name = absl::StrCat("BAMI1_", number);
  Recording recording{name, name, kRateHz, std::vector<std::vector<double>>(kPpgChannels), {}};
  for (int64_t i = 0; i < ppg.columns; ++i) {
    for (int c = 0; c < kPpgChannels; ++c) recording.channels[c].push_back(ppg.at(c, i));
  }
  recording.bpm = std::move(labels.values);
  recording.lag_s = kBamiLagS;
  if (const auto bad = KnownBad().find(number); bad != KnownBad().end()) {
    recording.known_bad = bad->second;
  }
  if (const absl::Status checked = CheckRecording(recording, kPpgChannels, kRateHz);
      !checked.ok()) {
    return Annotate(checked, path);
  }
  return recording;
}

}  // namespace

absl::StatusOr<std::vector<Recording>> ReadBami(const std::string& folder) {
  RETORT_ASSIGN_OR_RETURN(const FilesByName files,
                          ListFiles(folder, "recordings of BAMI-1 (BAMI1_1.mat, ...)"));
  static const std::regex pattern(R"(BAMI1_([1-9]\d{0,5})\.mat)");
  std::map<int, std::string> paths;
  for (const auto& [file, found] : files) {
    std::smatch match;
    int number = 0;
    if (!std::regex_match(file, match, pattern) || !absl::SimpleAtoi(match[1].str(), &number)) {
      continue;
    }
    RETORT_RETURN_IF_ERROR(CheckOnce(folder, file, found));
    paths[number] = found[0].string();
  }
  if (paths.empty()) {
    return absl::NotFoundError(absl::StrCat(
        folder, ": no recording of BAMI-1 in it or below; expected files such as BAMI1_1.mat"));
  }
  std::vector<Recording> recordings;
  for (const auto& [number, path] : paths) {
    RETORT_ASSIGN_OR_RETURN(Recording recording, ReadRecording(path, number));
    recordings.push_back(std::move(recording));
  }
  return recordings;
}

absl::StatusOr<Dataset> PrepareBami(const std::string& folder, const PrepareOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckOptions(options));
  RETORT_ASSIGN_OR_RETURN(std::vector<Recording> recordings, ReadBami(folder));
  RETORT_ASSIGN_OR_RETURN(
      Dataset dataset, PrepareRecordings(std::move(recordings), {"ppg1", "ppg2", "ppg3"}, options));
  dataset.metadata["name"] = "bami-1";
  dataset.metadata["source"] = "BAMI-1, original MAT files";
  dataset.metadata["license"] = "none stated";
  return dataset;
}

}  // namespace retort
