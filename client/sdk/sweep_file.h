// Reads sweep files (deploy/sweeps/annotated.yaml shows every key).
#ifndef RETORT_CLIENT_SDK_SWEEP_FILE_H_
#define RETORT_CLIENT_SDK_SWEEP_FILE_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "retort/v1/spec.pb.h"

namespace retort {

// A sweep file that was read and checked, with its datasets.
struct SweepFile {
  v1::SweepSpec spec;
  // Where datasets and given teachers lie on this machine, by their SHA-256 (64 hexadecimal
  // digits).
  std::map<std::string, std::string> file_paths;
};

// Reads the file, and the datasets and teachers that it names. INVALID_ARGUMENT with exactly one
// message `FILE:LINE:COLUMN: key: value; what would be right` (without line and column where the
// file as a whole is wrong or not there). The result passes every check that needs no coordinator.
absl::StatusOr<SweepFile> ReadSweepFile(const std::string& path);

// The same for text that is already here; paths in it are relative to `folder`, and `file` is
// the name shown in errors.
absl::StatusOr<SweepFile> ParseSweepFile(const std::string& text, const std::string& file,
                                         const std::string& folder);

}  // namespace retort

#endif  // RETORT_CLIENT_SDK_SWEEP_FILE_H_
