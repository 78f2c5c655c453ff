#include "client/data/ieee_spc_2015.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <regex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/data/mat_file.h"
#include "client/data/source_files.h"
#include "common/status.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

constexpr int kRateHz = 125;
constexpr int kPpgChannels = 2;
constexpr int kTrainingRows = 6;  // ECG, PPG 1, PPG 2, acceleration x, y, z
constexpr int kTestRows = 5;      // the same without the ECG

// What a file's name says.
struct NamedRecording {
  std::string name;     // without .mat
  std::string subject;  // train01, test01
  int rows = 0;
  std::vector<std::string> label_names;  // that its labels may have
};

std::optional<NamedRecording> ParseName(const std::string& file) {
  static const std::regex training(R"(DATA_(\d+)_(TYPE\d+)\.mat)");
  static const std::regex test(R"(TEST_S(\d+)_(T\d+)\.mat)");
  std::smatch match;
  const std::string name = file.substr(0, file.size() - std::min<size_t>(4, file.size()));
  if (std::regex_match(file, match, training)) {
    return NamedRecording{name,
                          absl::StrCat("train", match[1].str()),
                          kTrainingRows,
                          {absl::StrCat(name, "_BPMtrace.mat"),
                           absl::StrCat("REF_", match[1].str(), "_", match[2].str(), ".mat")}};
  }
  if (std::regex_match(file, match, test)) {
    return NamedRecording{name,
                          absl::StrCat("test", match[1].str()),
                          kTestRows,
                          {absl::StrCat("True_S", match[1].str(), "_", match[2].str(), ".mat")}};
  }
  return std::nullopt;
}

// The label file: beside the recording or else the only one of its name anywhere.
absl::StatusOr<fs::path> FindLabels(const FilesByName& files, const fs::path& recording,
                                    const NamedRecording& named) {
  std::string wanted;
  for (const auto& name : named.label_names) {
    absl::StrAppend(&wanted, wanted.empty() ? "" : " or ", name);
    const auto found = files.find(name);
    if (found == files.end()) continue;
    for (const auto& path : found->second) {
      if (path.parent_path() == recording.parent_path()) return path;
    }
    if (found->second.size() == 1) return found->second[0];
    return absl::InvalidArgumentError(absl::StrCat(
        recording.string(), ": its labels were found more than once: ", found->second[0].string(),
        " and ", found->second[1].string(), "; leave one of them"));
  }
  return absl::NotFoundError(
      absl::StrCat(recording.string(), ": no labels for it; expected ", wanted, " beside it"));
}

absl::StatusOr<std::vector<std::vector<double>>> ReadPpg(const std::string& path, int rows) {
  RETORT_ASSIGN_OR_RETURN(const Matrix sig, ReadMatrix(path, "sig"));
  if (sig.rows != rows) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": variable 'sig' has ", sig.rows, " rows and ", sig.columns, " columns; must have ",
        rows, " rows",
        rows == kTrainingRows ? " (ECG, 2 PPG, 3 acceleration)" : " (2 PPG, 3 acceleration)"));
  }
  if (WindowsIn(sig.columns, kRateHz) < 1) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": variable 'sig' has ", sig.columns,
                                                   " samples; one window takes ",
                                                   kWindowS * kRateHz));
  }
  const int first_row = rows == kTrainingRows ? 1 : 0;
  std::vector<std::vector<double>> channels(kPpgChannels);
  for (int c = 0; c < kPpgChannels; ++c) {
    channels[c].reserve(sig.columns);
    for (int64_t i = 0; i < sig.columns; ++i) {
      const double value = sig.at(first_row + c, i);
      if (!std::isfinite(value)) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": variable 'sig' is ", value, " in row ", first_row + c + 1,
                         " (PPG ", c + 1, "), column ", i + 1, "; must be a finite number"));
      }
      channels[c].push_back(value);
    }
  }
  return channels;
}

absl::StatusOr<std::vector<double>> ReadLabels(const std::string& path, const std::string& of,
                                               int64_t samples) {
  RETORT_ASSIGN_OR_RETURN(Matrix labels, ReadMatrix(path, "BPM0"));
  const int64_t windows = WindowsIn(samples, kRateHz);
  if (labels.rows * labels.columns != windows || std::min(labels.rows, labels.columns) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": variable 'BPM0' has ", labels.rows, " rows and ", labels.columns,
        " columns; must have ", windows, " rows and 1 column, a label for each 8 s window (every ",
        "2 s) of the ", samples, " samples of ", of));
  }
  for (int64_t i = 0; i < windows; ++i) {
    const double bpm = labels.values[i];
    if (!(bpm >= kMinBpm && bpm <= kMaxBpm)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": variable 'BPM0' is ", bpm,
                                                     " at label ", i + 1, "; must be from ",
                                                     kMinBpm, " to ", kMaxBpm, " BPM"));
    }
  }
  return std::move(labels.values);
}

}  // namespace

absl::StatusOr<std::vector<Recording>> ReadIeeeSpc2015(const std::string& folder) {
  RETORT_ASSIGN_OR_RETURN(const FilesByName files,
                          ListFiles(folder,
                                    "recordings of the IEEE Signal Processing Cup "
                                    "(DATA_01_TYPE01.mat, ...)"));
  std::vector<Recording> recordings;
  for (const auto& [file, paths] : files) {
    const auto named = ParseName(file);
    if (!named) continue;
    RETORT_RETURN_IF_ERROR(CheckOnce(folder, file, paths));
    RETORT_ASSIGN_OR_RETURN(const fs::path labels, FindLabels(files, paths[0], *named));
    Recording recording{named->name, named->subject, kRateHz, {}, {}};
    RETORT_ASSIGN_OR_RETURN(recording.channels, ReadPpg(paths[0].string(), named->rows));
    RETORT_ASSIGN_OR_RETURN(
        recording.bpm,
        ReadLabels(labels.string(), file, static_cast<int64_t>(recording.channels[0].size())));
    recordings.push_back(std::move(recording));
  }
  if (recordings.empty()) {
    return absl::NotFoundError(
        absl::StrCat(folder, ": no recording of the IEEE Signal Processing Cup in it or below; ",
                     "expected files such as DATA_01_TYPE01.mat or TEST_S01_T01.mat"));
  }
  return recordings;
}

absl::StatusOr<Dataset> PrepareIeeeSpc2015(const std::string& folder,
                                           const PrepareOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckOptions(options));
  RETORT_ASSIGN_OR_RETURN(std::vector<Recording> recordings, ReadIeeeSpc2015(folder));
  RETORT_ASSIGN_OR_RETURN(Dataset dataset,
                          PrepareRecordings(std::move(recordings), {"ppg1", "ppg2"}, options));
  dataset.metadata["name"] = "ieee-spc-2015";
  dataset.metadata["source"] = "IEEE Signal Processing Cup 2015, original MAT files";
  dataset.metadata["license"] = "academic use with citation";
  dataset.metadata["citation"] =
      "Z. Zhang, Z. Pi, B. Liu: TROIKA: A General Framework for Heart Rate Monitoring Using "
      "Wrist-Type Photoplethysmographic Signals During Intensive Physical Exercise. IEEE "
      "Transactions on Biomedical Engineering 62(2), 522-531, 2015";
  return dataset;
}

}  // namespace retort
