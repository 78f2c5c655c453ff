// Arrays out of NumPy's .npy files (format versions 1 to 3), without Python objects.
#ifndef RETORT_CLIENT_DATA_NPY_FILE_H_
#define RETORT_CLIENT_DATA_NPY_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace retort {

struct NpyArray {
  std::string path;
  std::vector<int64_t> shape;      // empty for a scalar
  std::vector<double> numbers;     // row-major; empty for texts
  std::vector<std::string> texts;  // of dtype U; empty for numbers

  int64_t elements() const;
  std::string ShapeText() const;  // `(3, 200)`
};

// Strict: little-endian or single-byte bool, integers, float32, float64, and texts (U) only; C
// order; exactly the bytes of its shape. Pure. INVALID_ARGUMENT: anything else, by name.
absl::StatusOr<NpyArray> ParseNpy(std::string_view bytes, const std::string& path);

// NOT_FOUND: no such file. INVALID_ARGUMENT: as ParseNpy.
absl::StatusOr<NpyArray> ReadNpy(const std::string& path);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_NPY_FILE_H_
