#include "client/cli/fit_csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"

namespace retort {
namespace {

// Reads fields one record at a time.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& file) : text_(text), file_(file) {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;  // a byte order mark
  }

  // Of the record last read, from 1.
  int64_t line() const { return first_line_; }

  // Reads the next record that is not blank; false at the end.
  absl::StatusOr<bool> Next(std::vector<std::string>& fields) {
    while (at_ < text_.size()) {
      first_line_ = next_line_;
      RETORT_RETURN_IF_ERROR(ReadRecord(fields));
      if (fields.size() > 1 || !fields[0].empty()) return true;
    }
    return false;
  }

 private:
  absl::Status ReadRecord(std::vector<std::string>& fields) {
    fields.assign(1, "");
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' && fields.back().empty()) {
        RETORT_RETURN_IF_ERROR(ReadQuoted(fields.back()));
        continue;
      }
      ++at_;
      if (c == '\n') {
        ++next_line_;
        break;
      }
      if (c == ',') {
        fields.emplace_back();
      } else if (c != '\r') {
        fields.back() += c;
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadQuoted(std::string& field) {
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != '"') {
          ++at_;
          return absl::OkStatus();
        }
        ++at_;  // a doubled quote is one
      }
      if (c == '\n') ++next_line_;
      field += c;
    }
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ":", first_line_, ": a quote that is opened here is never closed"));
  }

  std::string_view text_;
  const std::string& file_;
  size_t at_ = 0;
  int64_t next_line_ = 1;
  int64_t first_line_ = 1;
};

// Where the wanted columns stand.
struct Positions {
  size_t loss = 0;
  size_t size = 0;
  std::optional<size_t> size2;
  std::optional<size_t> cluster;
  std::vector<size_t> groups;
  size_t width = 0;
};

absl::StatusOr<size_t> Find(const std::vector<std::string>& header, const std::string& column,
                            const char* flag, const std::string& file) {
  const auto at = std::find(header.begin(), header.end(), column);
  if (at == header.end()) {
    const bool other = header.size() == 1 && header[0].find_first_of(";\t|") != std::string::npos;
    return absl::InvalidArgumentError(absl::StrCat(
        file, ":1: no column '", column, "' (", flag, "); its columns are ",
        absl::StrJoin(header, ", "), other ? "; fields must be separated by ','" : ""));
  }
  if (std::find(at + 1, header.end(), column) != header.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":1: two columns are named '", column, "'; names must differ"));
  }
  return static_cast<size_t>(at - header.begin());
}

absl::StatusOr<Positions> Locate(const std::vector<std::string>& header,
                                 const FitCsvColumns& columns, const std::string& file) {
  Positions at;
  at.width = header.size();
  RETORT_ASSIGN_OR_RETURN(at.loss, Find(header, columns.loss, "--loss", file));
  RETORT_ASSIGN_OR_RETURN(at.size, Find(header, columns.size, "--size", file));
  if (!columns.size2.empty()) {
    RETORT_ASSIGN_OR_RETURN(at.size2, Find(header, columns.size2, "--size2", file));
  }
  if (!columns.cluster.empty()) {
    RETORT_ASSIGN_OR_RETURN(at.cluster, Find(header, columns.cluster, "--cluster", file));
  }
  for (const std::string& group : columns.groups) {
    RETORT_ASSIGN_OR_RETURN(const size_t position, Find(header, group, "--group", file));
    at.groups.push_back(position);
  }
  return at;
}

absl::StatusOr<double> PositiveNumber(const std::string& field, const std::string& column,
                                      const std::string& file, int64_t line) {
  const size_t first = field.find_first_not_of(" \t+");
  const size_t last = field.find_last_not_of(" \t");
  double value = 0;
  bool is_number = first != std::string::npos;
  if (is_number) {
    const auto [end, error] = std::from_chars(field.data() + first, field.data() + last + 1, value);
    is_number = error == std::errc() && end == field.data() + last + 1;
  }
  if (is_number && std::isfinite(value) && value > 0) return value;
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", line, ": column '", column,
                   "': ", field.empty() ? "empty" : absl::StrCat("'", field, "'"),
                   "; a positive, finite number is needed",
                   field.empty() || !is_number ? " (leave out rows that have none)" : ""));
}

absl::StatusOr<scaling::Observation> ObservationOf(const std::vector<std::string>& fields,
                                                   const Positions& at,
                                                   const FitCsvColumns& columns,
                                                   const std::string& file, int64_t line) {
  scaling::Observation row;
  RETORT_ASSIGN_OR_RETURN(row.loss, PositiveNumber(fields[at.loss], columns.loss, file, line));
  RETORT_ASSIGN_OR_RETURN(row.size, PositiveNumber(fields[at.size], columns.size, file, line));
  if (at.size2) {
    RETORT_ASSIGN_OR_RETURN(row.size2,
                            PositiveNumber(fields[*at.size2], columns.size2, file, line));
  }
  // Without clusters each row is its own.
  row.subject = at.cluster ? fields[*at.cluster] : std::to_string(line);
  return row;
}

scaling::PointsAre PointsOf(const std::vector<scaling::Observation>& rows) {
  std::set<scaling::Size> sizes;
  std::map<std::string, std::set<scaling::Size>> of_cluster;
  for (const scaling::Observation& row : rows) {
    sizes.emplace(row.size, row.size2);
    of_cluster[row.subject].emplace(row.size, row.size2);
  }
  const auto whole = std::count_if(of_cluster.begin(), of_cluster.end(), [&](const auto& cluster) {
    return cluster.second.size() == sizes.size();
  });
  return 2 * static_cast<size_t>(whole) >= of_cluster.size() ? scaling::PointsAre::kMeans
                                                             : scaling::PointsAre::kRows;
}

}  // namespace

absl::StatusOr<std::vector<FitCsvGroup>> ReadFitCsv(std::string_view text, const std::string& file,
                                                    const FitCsvColumns& columns) {
  CsvReader reader(text, file);
  std::vector<std::string> fields;
  RETORT_ASSIGN_OR_RETURN(const bool has_header, reader.Next(fields));
  if (!has_header) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": it is empty; the first line must name the columns"));
  }
  RETORT_ASSIGN_OR_RETURN(const Positions at, Locate(fields, columns, file));
  std::vector<FitCsvGroup> groups;
  std::map<std::vector<std::string>, size_t> index;
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool more, reader.Next(fields));
    if (!more) break;
    if (fields.size() != at.width) {
      return absl::InvalidArgumentError(absl::StrCat(file, ":", reader.line(), ": ", fields.size(),
                                                     " fields; the first line names ", at.width));
    }
    std::vector<std::string> values;
    for (const size_t position : at.groups) values.push_back(fields[position]);
    RETORT_ASSIGN_OR_RETURN(scaling::Observation row,
                            ObservationOf(fields, at, columns, file, reader.line()));
    const auto [group, is_new] = index.try_emplace(values, groups.size());
    if (is_new) groups.push_back({values, {}, scaling::PointsAre::kRows});
    groups[group->second].rows.push_back(std::move(row));
  }
  if (groups.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": no rows below the first line; a law needs losses at 3 sizes or more"));
  }
  if (at.cluster) {
    for (FitCsvGroup& group : groups) group.points_are = PointsOf(group.rows);
  }
  return groups;
}

}  // namespace retort
