#include "client/data/welltory.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <regex>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/data/csv_file.h"
#include "client/data/irregular.h"
#include "client/data/source_files.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kChannels = {"R", "G", "B"};
constexpr char kUnusable[] = "subject_20";

absl::StatusOr<std::vector<double>> ReadIntervals(const std::string& path) {
  RETORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::istringstream words(text);
  std::vector<double> intervals_s;
  for (std::string word; words >> word;) {
    double ms;
    if (!absl::SimpleAtod(word, &ms) || !(ms > 0 && ms <= 10'000)) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": interval ", intervals_s.size() + 1, " is '", word.substr(0, 40),
          "'; must be a number above 0 and at most 10000, the ms from one beat to the next"));
    }
    intervals_s.push_back(ms / 1000);
  }
  return intervals_s;
}

absl::StatusOr<Recording> ReadRecording(const fs::path& folder, const PrepareOptions& options) {
  const std::string path = (folder / "PPG.csv").string(), rr_path = (folder / "RR.txt").string();
  RETORT_ASSIGN_OR_RETURN(const NumberTable table, ReadCsv(path));
  RETORT_ASSIGN_OR_RETURN(const size_t time, table.Find("time"));
  std::vector<std::vector<double>> channels;
  for (const auto& name : kChannels) {
    RETORT_ASSIGN_OR_RETURN(const size_t column, table.Find(name));
    channels.push_back(table.columns[column]);
  }
  std::vector<double> time_s = table.columns[time];
  for (double& t : time_s) t /= 1000;
  auto signal = ToRegular(time_s, channels, 0, options.max_gap_s);
  if (!signal.ok()) return Annotate(signal.status(), path);
  const std::string name = folder.filename().string();
  Recording recording{name, name, signal->rate_hz, std::move(signal->channels), {}};
  recording.may_miss = true;
  RETORT_ASSIGN_OR_RETURN(const auto intervals_s, ReadIntervals(rr_path));
  recording.bpm = HeartRatesOfIntervals(intervals_s);
  // Intervals may go on for some beats after the camera stopped.
  const auto windows =
      WindowsIn(static_cast<int64_t>(recording.channels[0].size()), recording.rate_hz);
  if (recording.bpm.size() > static_cast<size_t>(windows)) {
    recording.bpm.resize(static_cast<size_t>(windows));
  }
  if (recording.bpm.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder.string(), ": PPG.csv and RR.txt share less than one window of ", kWindowS, " s"));
  }
  if (name == kUnusable) recording.known_bad = "unusable";
  return recording;
}

}  // namespace

std::vector<double> HeartRatesOfIntervals(const std::vector<double>& intervals_s) {
  std::vector<double> beats{0};  // times
  for (const double interval : intervals_s) beats.push_back(beats.back() + interval);
  std::vector<double> bpm;
  // Milliseconds added up may miss a window's end by rounding.
  for (int i = 0; static_cast<double>(i) * kStrideS + kWindowS <= beats.back() + 1e-9; ++i) {
    const double begin = i * kStrideS, end = begin + kWindowS;
    double count = 0;
    for (size_t b = 0; b + 1 < beats.size(); ++b) {
      const double overlap = std::min(end, beats[b + 1]) - std::max(begin, beats[b]);
      if (overlap > 0) count += overlap / intervals_s[b];
    }
    const double rate = 60 * count / kWindowS;
    bpm.push_back(rate >= kMinBpm && rate <= kMaxBpm ? rate
                                                     : std::numeric_limits<double>::quiet_NaN());
  }
  return bpm;
}

absl::StatusOr<std::vector<Recording>> ReadWelltory(const std::string& folder,
                                                    const PrepareOptions& options) {
  RETORT_ASSIGN_OR_RETURN(FilesByName files,
                          ListFiles(folder, "recordings of Welltory (subject_01/PPG.csv, ...)"));
  static const std::regex pattern(R"(subject_\d+)");
  FilesByName folders;
  for (const auto& path : files["PPG.csv"]) {
    const fs::path parent = fs::absolute(path).parent_path();
    const std::string name = parent.filename().string();
    if (std::regex_match(name, pattern)) folders[name].push_back(parent);
  }
  if (folders.empty()) {
    return absl::NotFoundError(
        absl::StrCat(folder, ": no recording of Welltory in it or below; expected files such as ",
                     "subject_01/PPG.csv and subject_01/RR.txt"));
  }
  std::vector<Recording> recordings;
  for (const auto& [name, paths] : folders) {
    RETORT_RETURN_IF_ERROR(CheckOnce(folder, name, paths));
    RETORT_ASSIGN_OR_RETURN(Recording recording, ReadRecording(paths[0], options));
    recordings.push_back(std::move(recording));
  }
  return recordings;
}

absl::StatusOr<Dataset> PrepareWelltory(const std::string& folder, const PrepareOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckOptions(options));
  RETORT_ASSIGN_OR_RETURN(std::vector<Recording> recordings, ReadWelltory(folder, options));
  RETORT_ASSIGN_OR_RETURN(Dataset dataset,
                          PrepareRecordings(std::move(recordings), kChannels, options));
  dataset.metadata["name"] = "welltory";
  dataset.metadata["source"] = "Welltory, original CSV files";
  dataset.metadata["license"] = "CC0 1.0";
  dataset.metadata["split"] = "never";
  return dataset;
}

}  // namespace retort
