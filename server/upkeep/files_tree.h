// Copies of folders of files that survive a power loss.
#ifndef RETORT_SERVER_UPKEEP_FILES_TREE_H_
#define RETORT_SERVER_UPKEEP_FILES_TREE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace retort {

// A file below a folder.
struct TreeFile {
  std::string path;  // from the folder
  int64_t size_bytes = 0;
};

// All regular files below a folder, by path; none if the folder does not exist. Files that go
// meanwhile are left out.
absl::StatusOr<std::vector<TreeFile>> ListTree(const std::string& folder);

// Links the file under another name, or copies it where it cannot be linked. True: linked.
// NOT_FOUND: it is no longer there.
absl::StatusOr<bool> LinkOrCopy(const std::string& from, const std::string& to);

// Copies the first `size_bytes` of a file, or fewer if it is shorter; returns how many.
absl::StatusOr<int64_t> CopyFile(const std::string& from, const std::string& to,
                                 int64_t size_bytes);

// Flushes everything on the disk that holds the folder: one call for any number of files.
absl::Status SyncDisk(const std::string& folder);

// Bytes that anybody may still write on the disk that holds the folder.
absl::StatusOr<int64_t> FreeBytes(const std::string& folder);

// Removes a folder with all it holds.
absl::Status RemoveTree(const std::string& folder);

}  // namespace retort

#endif  // RETORT_SERVER_UPKEEP_FILES_TREE_H_
