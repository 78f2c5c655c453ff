// The files under a folder of original recordings.
#ifndef RETORT_CLIENT_DATA_SOURCE_FILES_H_
#define RETORT_CLIENT_DATA_SOURCE_FILES_H_

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace retort {

// Files by name, and where each name was found.
using FilesByName = std::map<std::string, std::vector<std::filesystem::path>>;

// All files under `folder`. `wanted` says in errors what should be in it. NOT_FOUND: no such
// folder. UNAVAILABLE: it cannot be listed.
absl::StatusOr<FilesByName> ListFiles(const std::string& folder, const std::string& wanted);

// INVALID_ARGUMENT: the recording `file` was found at more than one of `paths` under `folder`.
absl::Status CheckOnce(const std::string& folder, const std::string& file,
                       const std::vector<std::filesystem::path>& paths);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_SOURCE_FILES_H_
