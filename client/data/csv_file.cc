#include "client/data/csv_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

char SeparatorOf(std::string_view line) {
  for (const char candidate : {',', ';', '\t'}) {
    if (line.find(candidate) != std::string_view::npos) return candidate;
  }
  return ',';
}

std::vector<std::string> Cells(std::string_view line, char separator) {
  std::vector<std::string> cells;
  size_t begin = 0;
  while (begin <= line.size()) {
    const size_t end = std::min(line.find(separator, begin), line.size());
    std::string cell(line.substr(begin, end - begin));
    absl::StripAsciiWhitespace(&cell);
    if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"') {
      cell = cell.substr(1, cell.size() - 2);
    }
    cells.push_back(std::move(cell));
    begin = end + 1;
  }
  return cells;
}

std::optional<double> NumberOf(const std::string& cell) {
  if (cell.empty()) return std::numeric_limits<double>::quiet_NaN();
  double value;
  if (!absl::SimpleAtod(cell, &value)) return std::nullopt;
  return value;
}

bool IsHeader(const std::vector<std::string>& cells) {
  return std::any_of(cells.begin(), cells.end(),
                     [](const std::string& cell) { return !NumberOf(cell); });
}

}  // namespace

absl::StatusOr<size_t> NumberTable::Find(const std::string& column) const {
  const auto count = std::count(names.begin(), names.end(), column);
  if (count == 1) return std::find(names.begin(), names.end(), column) - names.begin();
  int number = 0;
  if (count == 0 && absl::SimpleAtoi(column, &number) && number >= 1 &&
      static_cast<size_t>(number) <= names.size()) {
    return static_cast<size_t>(number) - 1;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": ", count == 0 ? "no column '" : "more than one column '", column,
                   "'; its columns are: ", absl::StrJoin(names, ", "),
                   "; or give a number from 1 to ", names.size()));
}

absl::StatusOr<NumberTable> ParseCsv(std::string_view text, const std::string& path) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);  // a byte-order mark
  NumberTable table;
  table.path = path;
  char separator = ',';
  int64_t line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    const bool first = table.names.empty();
    if (first) separator = SeparatorOf(line);
    const auto cells = Cells(line, separator);
    if (first) {
      const bool header = IsHeader(cells);
      for (size_t c = 0; c < cells.size(); ++c) {
        table.names.push_back(header ? cells[c] : absl::StrCat(c + 1));
      }
      table.columns.resize(cells.size());
      if (header) continue;
    }
    if (cells.size() != table.names.size()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ", line ", line_number, ": ",
                                                     cells.size(), " cells; must be ",
                                                     table.names.size(), " as above"));
    }
    for (size_t c = 0; c < cells.size(); ++c) {
      const auto value = NumberOf(cells[c]);
      if (!value) {
        return absl::InvalidArgumentError(absl::StrCat(
            path, ", line ", line_number, ", column ", table.names[c], ": '",
            cells[c].substr(0, 40), "'; must be a number, or empty where it is missing"));
      }
      table.columns[c].push_back(*value);
    }
  }
  if (table.columns.empty() || table.columns[0].empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no row of numbers in it"));
  }
  return table;
}

absl::StatusOr<NumberTable> ReadCsv(const std::string& path) {
  RETORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseCsv(text, path);
}

}  // namespace retort
