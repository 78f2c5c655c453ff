// Tables of numbers out of CSV files.
#ifndef RETORT_CLIENT_DATA_CSV_FILE_H_
#define RETORT_CLIENT_DATA_CSV_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace retort {

struct NumberTable {
  std::string path;
  std::vector<std::string> names;  // of columns, without spaces around; `1`, ... if unnamed
  std::vector<std::vector<double>> columns;  // all of one length; NaN for an empty cell or `nan`

  // The column of that name, or with that number from 1. INVALID_ARGUMENT: none or two of it.
  absl::StatusOr<size_t> Find(const std::string& column) const;
};

// Commas or semicolons or tabs, whichever the first line has; a header unless its cells are all
// numbers; empty lines are skipped. Pure. INVALID_ARGUMENT: no row; a row with another number of
// cells; a cell that is no number; names path and line.
absl::StatusOr<NumberTable> ParseCsv(std::string_view text, const std::string& path);

// NOT_FOUND: no such file. INVALID_ARGUMENT: as ParseCsv.
absl::StatusOr<NumberTable> ReadCsv(const std::string& path);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_CSV_FILE_H_
