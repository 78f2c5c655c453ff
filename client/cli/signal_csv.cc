#include "client/cli/signal_csv.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace retort {
namespace {

// Columns by name, as they stand in the file.
struct Columns {
  std::vector<std::string> names;
  std::vector<std::vector<double>> values;
};

std::vector<absl::string_view> Cells(absl::string_view line) {
  std::vector<absl::string_view> cells = absl::StrSplit(line, ',');
  for (auto& cell : cells) {
    cell = absl::StripAsciiWhitespace(cell);
    if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"') {
      cell = cell.substr(1, cell.size() - 2);
    }
  }
  return cells;
}

absl::StatusOr<Columns> ReadColumns(const std::string& text, const std::string& file) {
  Columns columns;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(absl::string_view(text), '\n')) {
    ++number;
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    const auto cells = Cells(line);
    const std::string where = absl::StrCat(file, ":", number, ": ");
    if (columns.names.empty()) {
      for (const auto cell : cells) columns.names.emplace_back(cell);
      columns.values.resize(cells.size());
      double unused = 0;
      for (const auto& name : columns.names) {
        if (!name.empty() && !absl::SimpleAtod(name, &unused)) continue;
        return absl::InvalidArgumentError(
            absl::StrCat(where, "'", name.substr(0, 40),
                         "'; the first line must name the columns, such as ", "time_s,ppg"));
      }
      continue;
    }
    if (cells.size() != columns.names.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, cells.size(), " values; the first line names ", columns.names.size(), " columns"));
    }
    for (size_t c = 0; c < cells.size(); ++c) {
      double value = 0;
      if (!absl::SimpleAtod(cells[c], &value) || !std::isfinite(value)) {
        return absl::InvalidArgumentError(absl::StrCat(
            where, columns.names[c], ": '", cells[c].substr(0, 40), "'; must be a finite number"));
      }
      columns.values[c].push_back(value);
    }
  }
  return columns;
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
  RETORT_ASSIGN_OR_RETURN(Columns columns, ReadColumns(text, file));
  Recording recording;
  recording.name = file;
  recording.subject = "unknown";
  const auto time = std::find(columns.names.begin(), columns.names.end(), "time_s");
  if (time != columns.names.end()) {
    if (rate_hz > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--rate: ", rate_hz, "; ", file, " has a column time_s; leave it out"));
    }
    const auto at = time - columns.names.begin();
    RETORT_ASSIGN_OR_RETURN(recording.rate_hz, RateOf(columns.values[at], file));
    columns.names.erase(time);
    columns.values.erase(columns.values.begin() + at);
  } else if (!(rate_hz >= 1) || rate_hz != std::floor(rate_hz) || rate_hz > 1e6) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rate: ", rate_hz > 0 ? absl::StrCat(rate_hz) : "missing", "; ", file,
                     " has no column time_s, so it must be the whole number of rows in a second"));
  } else {
    recording.rate_hz = static_cast<int>(rate_hz);
  }
  if (columns.names.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": no PPG channel; must have a column beside time_s"));
  }
  const auto samples = static_cast<int64_t>(columns.values[0].size());
  const int64_t windows = WindowsIn(samples, recording.rate_hz);
  if (windows < 1) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", samples, " rows at ",
                                                   recording.rate_hz, " Hz; must be at least ",
                                                   kWindowS, " s"));
  }
  recording.channels = std::move(columns.values);
  // Datasets have references; here they stand for nothing and are not shown.
  recording.bpm.assign(static_cast<size_t>(windows), 60);
  auto dataset = PrepareRecordings({recording}, columns.names, options);
  return dataset.ok() ? std::move(dataset) : Annotate(dataset.status(), file);
}

}  // namespace retort
