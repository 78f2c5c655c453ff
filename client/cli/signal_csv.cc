#include "client/cli/signal_csv.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/data/csv_file.h"
#include "common/status.h"

namespace retort {
namespace {

// Every cell must hold a number: between samples that are missing nothing can be run.
absl::StatusOr<NumberTable> ReadWholeTable(const std::string& text, const std::string& file) {
  RETORT_ASSIGN_OR_RETURN(NumberTable table, ParseCsv(text, file));
  if (table.names.front() == "1") {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": its first line holds numbers; it must name the columns, such as ", "time_s,ppg"));
  }
  for (size_t c = 0; c < table.columns.size(); ++c) {
    const std::vector<double>& values = table.columns[c];
    const auto bad = std::find_if(values.begin(), values.end(),
                                  [](double value) { return !std::isfinite(value); });
    if (bad == values.end()) continue;
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", table.names[c], ": row ",
                                                   bad - values.begin() + 1, " is ", *bad,
                                                   "; must be a finite number"));
  }
  return table;
}

// Rows per second of evenly spaced times.
absl::StatusOr<int> RateOf(const std::vector<double>& time_s, const std::string& file) {
  const size_t n = time_s.size();
  const double span = n < 2 ? 0 : time_s.back() - time_s.front();
  const double rate = span > 0 ? static_cast<double>(n - 1) / span : 0;
  const int whole = static_cast<int>(std::lround(std::min(rate, 1e6)));
  if (whole < 1 || std::abs(rate - whole) > 0.005 * rate) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": time_s: ", rate, " rows a second; must be a whole number (resample it first)"));
  }
  for (size_t i = 0; i < n; ++i) {
    const double expected = time_s[0] + static_cast<double>(i) / rate;
    if (std::abs(time_s[i] - expected) <= 1.0 / rate) continue;
    return absl::InvalidArgumentError(absl::StrCat(file, ": time_s: ", time_s[i], " in row ", i + 1,
                                                   "; evenly spaced it would ", "be ", expected,
                                                   "; must have no gaps (resample it first)"));
  }
  return whole;
}

}  // namespace

absl::StatusOr<Dataset> ReadSignalCsv(const std::string& text, const std::string& file,
                                      double rate_hz, const PrepareOptions& options) {
  RETORT_ASSIGN_OR_RETURN(NumberTable table, ReadWholeTable(text, file));
  Recording recording;
  recording.name = file;
  recording.subject = "unknown";
  const auto time = std::find(table.names.begin(), table.names.end(), "time_s");
  if (time != table.names.end()) {
    if (rate_hz > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--rate: ", rate_hz, "; ", file, " has a column time_s; leave it out"));
    }
    const auto at = time - table.names.begin();
    RETORT_ASSIGN_OR_RETURN(recording.rate_hz, RateOf(table.columns[at], file));
    table.names.erase(time);
    table.columns.erase(table.columns.begin() + at);
  } else if (!(rate_hz >= 1) || rate_hz != std::floor(rate_hz) || rate_hz > 1e6) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rate: ", rate_hz > 0 ? absl::StrCat(rate_hz) : "missing", "; ", file,
                     " has no column time_s, so it must be the whole number of rows in a second"));
  } else {
    recording.rate_hz = static_cast<int>(rate_hz);
  }
  if (table.names.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": no PPG channel; must have a column beside time_s"));
  }
  const auto samples = static_cast<int64_t>(table.columns[0].size());
  const int64_t windows = WindowsIn(samples, recording.rate_hz);
  if (windows < 1) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", samples, " rows at ",
                                                   recording.rate_hz, " Hz; must be at least ",
                                                   kWindowS, " s"));
  }
  recording.channels = std::move(table.columns);
  // Datasets have references; here they stand for nothing and are not shown.
  recording.bpm.assign(static_cast<size_t>(windows), 60);
  auto dataset = PrepareRecordings({recording}, table.names, options);
  return dataset.ok() ? std::move(dataset) : Annotate(dataset.status(), file);
}

}  // namespace retort
