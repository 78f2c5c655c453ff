// Numeric matrices out of MAT files of version 5 (what MATLAB's `save` writes unless told
// otherwise).
#ifndef RETORT_CLIENT_DATA_MAT_FILE_H_
#define RETORT_CLIENT_DATA_MAT_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace retort {

// A real matrix, column after column.
struct Matrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<double> values;

  double at(int64_t row, int64_t column) const { return values[column * rows + row]; }
};

// Whether the bytes are a whole MAT file: header, sizes of all elements, every compressed element
// unpacked to its end with its checksum, extents that fit their data. matio believes what a file
// says of itself, so this comes first. `path` names it in errors. Pure. INVALID_ARGUMENT: damaged
// or cut short.
absl::Status CheckMatFile(std::string_view bytes, const std::string& path);

// The variable of that name. NOT_FOUND: no such file. INVALID_ARGUMENT: as CheckMatFile; no such
// variable; not a real numeric matrix.
absl::StatusOr<Matrix> ReadMatrix(const std::string& path, const std::string& variable);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_MAT_FILE_H_
