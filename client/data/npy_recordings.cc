#include "client/data/npy_recordings.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/data/notes.h"
#include "client/data/npy_file.h"
#include "client/data/source_files.h"
#include "common/status.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

absl::Status Wrong(const NpyArray& array, const std::string& wanted) {
  return absl::InvalidArgumentError(absl::StrCat(array.path, ": its shape is ", array.ShapeText(),
                                                 array.texts.empty() ? "" : " of texts",
                                                 "; must be ", wanted));
}

// Numbers [count], or of any length for -1.
absl::StatusOr<NpyArray> ReadNumbers(const fs::path& path, int64_t count = -1) {
  RETORT_ASSIGN_OR_RETURN(NpyArray array, ReadNpy(path.string()));
  if (array.shape.size() != 1 || !array.texts.empty() || (count >= 0 && array.shape[0] != count)) {
    return Wrong(array, count >= 0 ? absl::StrCat("(", count, ") numbers, one for each window")
                                   : "numbers in one dimension");
  }
  return array;
}

// References, NaN where `bad.npy` beside them says so or they are not finite.
absl::StatusOr<std::vector<double>> ReadBpm(const fs::path& folder, int64_t count = -1) {
  RETORT_ASSIGN_OR_RETURN(NpyArray bpm, ReadNumbers(folder / "bpm.npy", count));
  for (double& value : bpm.numbers) {
    if (!std::isfinite(value)) value = kMissing;
  }
  if (fs::exists(folder / "bad.npy")) {
    RETORT_ASSIGN_OR_RETURN(const NpyArray bad, ReadNumbers(folder / "bad.npy", bpm.shape[0]));
    for (size_t i = 0; i < bpm.numbers.size(); ++i) {
      if (bad.numbers[i] != 0) bpm.numbers[i] = kMissing;
    }
  }
  return std::move(bpm.numbers);
}

// [C][N] of an array whose last two dimensions these are; NaN where not finite.
std::vector<std::vector<double>> Channels(const NpyArray& array, int64_t first, int64_t channels,
                                          int64_t samples) {
  std::vector<std::vector<double>> out;
  for (int64_t c = 0; c < channels; ++c) {
    const auto begin = array.numbers.begin() + (first + c) * samples;
    auto& x = out.emplace_back(begin, begin + samples);
    for (double& value : x) {
      if (!std::isfinite(value)) value = kMissing;
    }
  }
  return out;
}

absl::StatusOr<int> RateOf(const NpyArray& array, double rate_hz) {
  if (rate_hz == std::floor(rate_hz) && rate_hz >= kPreparedRateHz && rate_hz <= 100'000) {
    return static_cast<int>(rate_hz);
  }
  return absl::InvalidArgumentError(absl::StrCat(array.path, ": a rate of ", rate_hz,
                                                 " Hz; must be a whole number from ",
                                                 kPreparedRateHz, " to 100000 Hz"));
}

absl::StatusOr<Recording> ReadRecording(const fs::path& folder, const fs::path& root) {
  RETORT_ASSIGN_OR_RETURN(const NpyArray signal, ReadNpy((folder / "signal.npy").string()));
  const size_t dimensions = signal.shape.size();
  if (dimensions < 1 || dimensions > 2 || signal.numbers.empty()) {
    return Wrong(signal, "(channels, samples) or (samples) of numbers");
  }
  RETORT_ASSIGN_OR_RETURN(const NpyArray rate, ReadNpy((folder / "rate.npy").string()));
  if (rate.numbers.size() != 1) return Wrong(rate, "one number, Hz");
  RETORT_ASSIGN_OR_RETURN(const int rate_hz, RateOf(rate, rate.numbers[0]));
  const fs::path relative = fs::relative(folder, root);
  const bool is_root = relative == ".";
  const std::string own = fs::absolute(folder).lexically_normal().filename().string();
  Recording recording{
      is_root ? own : relative.generic_string(),
      is_root ? own : relative.begin()->string(),
      rate_hz,
      Channels(signal, 0, dimensions == 2 ? signal.shape[0] : 1, signal.shape.back()),
      {}};
  // A `/` is what joined datasets have between source and name.
  std::replace(recording.name.begin(), recording.name.end(), '/', ':');
  recording.may_miss = true;
  RETORT_ASSIGN_OR_RETURN(recording.bpm, ReadBpm(folder));
  const auto checked = CheckRecording(recording, recording.channels.size(), kPreparedRateHz);
  if (!checked.ok()) return Annotate(checked, folder.string());
  return recording;
}

std::vector<std::string> ChannelNames(size_t count) {
  std::vector<std::string> names;
  for (size_t c = 1; c <= count; ++c) names.push_back(absl::StrCat("ppg", c));
  return names;
}

absl::StatusOr<std::vector<std::string>> ReadSubjects(const fs::path& path, int64_t count) {
  RETORT_ASSIGN_OR_RETURN(NpyArray array, ReadNpy(path.string()));
  if (array.shape.size() != 1 || array.shape[0] != count) {
    return Wrong(array, absl::StrCat("(", count, "), a subject for each window"));
  }
  for (const double value : array.numbers) {
    if (value != std::floor(value) || std::abs(value) > 1e9) {
      return absl::InvalidArgumentError(
          absl::StrCat(array.path, ": subject ", value, "; must be a text or a whole number"));
    }
    array.texts.push_back(absl::StrCat(static_cast<int64_t>(value)));
  }
  return std::move(array.texts);
}

// Windows that are cut already: each is filtered by itself, then those of a subject are put
// together as one recording.
absl::StatusOr<Dataset> PrepareWindows(const fs::path& folder, const PrepareOptions& options) {
  if (options.filter != FilterMode::kWindow || options.lag_s.value_or(0) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat((folder / "windows.npy").string(),
                     ": windows that are cut already can only be filtered with --filter window, "
                     "and have no lag"));
  }
  RETORT_ASSIGN_OR_RETURN(const NpyArray windows, ReadNpy((folder / "windows.npy").string()));
  const size_t dimensions = windows.shape.size();
  if (dimensions < 2 || dimensions > 3 || windows.numbers.empty()) {
    return Wrong(windows, "(windows, channels, samples) or (windows, samples) of numbers");
  }
  const int64_t count = windows.shape[0], samples = windows.shape.back();
  const int64_t channels = dimensions == 3 ? windows.shape[1] : 1;
  RETORT_ASSIGN_OR_RETURN(const int rate_hz,
                          RateOf(windows, static_cast<double>(samples) / kWindowS));
  RETORT_ASSIGN_OR_RETURN(const auto bpm, ReadBpm(folder, count));
  RETORT_ASSIGN_OR_RETURN(const auto subjects, ReadSubjects(folder / "subject.npy", count));

  std::vector<Recording> recordings;
  std::map<std::string, int> left_out, of_subject;
  std::vector<float> start_s;
  for (int64_t w = 0; w < count; ++w) {
    Recording r{absl::StrCat("window ", w + 1),
                subjects[w],
                rate_hz,
                Channels(windows, w * channels, channels, samples),
                {bpm[w]}};
    const int at = of_subject[r.subject]++;
    const bool whole = std::all_of(r.channels.begin(), r.channels.end(), [](const auto& x) {
      return std::none_of(x.begin(), x.end(), [](double v) { return std::isnan(v); });
    });
    if (!whole || std::isnan(bpm[w])) {
      ++left_out[r.subject];
      continue;
    }
    start_s.push_back(static_cast<float>(at * kStrideS));
    recordings.push_back(std::move(r));
  }
  if (recordings.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        windows.path, ": none of its ", count, " windows is finite, labelled and not marked bad"));
  }
  PrepareOptions own = options;
  own.leave_out.reset();
  RETORT_ASSIGN_OR_RETURN(Dataset d,
                          PrepareRecordings(std::move(recordings), ChannelNames(channels), own));
  d.recordings = d.subjects;
  d.recording_W = d.subject_W;
  d.start_s_W = std::move(start_s);
  Notes notes;
  for (const auto& [subject, windows_out] : left_out) {
    notes[subject] = absl::StrCat(windows_out, " bad, not finite or without a label");
  }
  if (!notes.empty()) d.metadata["windows_left_out"] = NotesToJson(notes);
  return d;
}

absl::StatusOr<Dataset> PrepareSignals(const FilesByName& files, const std::string& folder,
                                       const PrepareOptions& options) {
  const auto signals = files.find("signal.npy");
  if (signals == files.end()) {
    return absl::NotFoundError(absl::StrCat(
        folder,
        ": neither signal.npy (with rate.npy and bpm.npy) in it or below, nor windows.npy "
        "(with bpm.npy and subject.npy)"));
  }
  std::vector<Recording> recordings;
  for (const auto& path : signals->second) {
    RETORT_ASSIGN_OR_RETURN(Recording recording, ReadRecording(path.parent_path(), folder));
    recordings.push_back(std::move(recording));
  }
  const auto names = ChannelNames(recordings[0].channels.size());
  return PrepareRecordings(std::move(recordings), names, options);
}

}  // namespace

absl::StatusOr<Dataset> PrepareNpy(const std::string& folder, const PrepareOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckOptions(options));
  RETORT_ASSIGN_OR_RETURN(const FilesByName files, ListFiles(folder, ".npy files to prepare"));
  auto dataset = fs::exists(fs::path(folder) / "windows.npy")
                     ? PrepareWindows(folder, options)
                     : PrepareSignals(files, folder, options);
  if (!dataset.ok()) return dataset;
  dataset->metadata["name"] =
      fs::absolute(folder / fs::path("")).lexically_normal().parent_path().filename().string();
  dataset->metadata["source"] = ".npy files";
  return dataset;
}

}  // namespace retort
