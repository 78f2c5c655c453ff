#include "client/data/csv_recording.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/data/csv_file.h"
#include "client/data/irregular.h"
#include "common/status.h"

namespace retort {
namespace {

absl::Status CheckSource(const CsvSource& source) {
  if (source.time_column.empty() == !source.rate_hz) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.path, ": exactly one of --time COLUMN (seconds) and --rate HZ must ",
                     "say when its rows were taken"));
  }
  if (source.rate_hz && !(*source.rate_hz >= 10 && *source.rate_hz <= 100'000)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rate is ", *source.rate_hz, " Hz; must be from 10 to 100000 Hz"));
  }
  if (source.ppg.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.path, ": --ppg COLUMN[,COLUMN] must say which columns are PPG"));
  }
  if (source.bpm_path.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.path,
                     ": a dataset needs reference heart rates: --bpm FILE, one for each 8 s window "
                     "every 2 s. To run a model over a recording without, use `retort model "
                     "predict`"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> ReadBpm(const std::string& path) {
  RETORT_ASSIGN_OR_RETURN(NumberTable table, ReadCsv(path));
  if (table.columns.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", table.columns.size(), " columns; must have one, a heart rate for each window"));
  }
  return std::move(table.columns[0]);
}

}  // namespace

absl::StatusOr<Recording> ReadCsvRecording(const CsvSource& source, const PrepareOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckSource(source));
  RETORT_ASSIGN_OR_RETURN(const NumberTable table, ReadCsv(source.path));
  std::vector<std::vector<double>> channels;
  for (const auto& name : source.ppg) {
    RETORT_ASSIGN_OR_RETURN(const size_t column, table.Find(name));
    channels.push_back(table.columns[column]);
    // What is infinite was not measured either.
    for (double& value : channels.back()) {
      if (!std::isfinite(value)) value = std::numeric_limits<double>::quiet_NaN();
    }
  }
  std::vector<double> time_s(table.columns[0].size());
  if (source.rate_hz) {
    for (size_t i = 0; i < time_s.size(); ++i) time_s[i] = static_cast<double>(i) / *source.rate_hz;
  } else {
    RETORT_ASSIGN_OR_RETURN(const size_t column, table.Find(source.time_column));
    time_s = table.columns[column];
  }
  auto signal = ToRegular(time_s, channels, time_s[0], options.max_gap_s);
  if (!signal.ok()) return Annotate(signal.status(), source.path);
  const std::string stem = std::filesystem::path(source.path).stem().string();
  Recording recording{stem,
                      source.subject.empty() ? stem : source.subject,
                      signal->rate_hz,
                      std::move(signal->channels),
                      {}};
  recording.may_miss = true;
  RETORT_ASSIGN_OR_RETURN(recording.bpm, ReadBpm(source.bpm_path));
  const auto checked = CheckRecording(recording, source.ppg.size(), kPreparedRateHz);
  if (!checked.ok()) return Annotate(checked, absl::StrCat(source.path, ", ", source.bpm_path));
  return recording;
}

absl::StatusOr<Dataset> PrepareCsv(const CsvSource& source, const PrepareOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckOptions(options));
  RETORT_ASSIGN_OR_RETURN(Recording recording, ReadCsvRecording(source, options));
  std::vector<Recording> recordings;
  recordings.push_back(std::move(recording));
  RETORT_ASSIGN_OR_RETURN(Dataset dataset,
                          PrepareRecordings(std::move(recordings), source.ppg, options));
  dataset.metadata["name"] = std::filesystem::path(source.path).stem().string();
  dataset.metadata["source"] = "CSV";
  return dataset;
}

}  // namespace retort
