// Files that survive a power loss.
#ifndef RETORT_COMMON_FILES_H_
#define RETORT_COMMON_FILES_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace retort {

// An error number as a status with the path: ENOENT is NOT_FOUND, ENOSPC and EDQUOT
// RESOURCE_EXHAUSTED (says how much is free), EACCES, EPERM and EROFS PERMISSION_DENIED, others
// UNAVAILABLE.
absl::Status ErrnoStatus(int error, std::string_view path, std::string_view what);

// Writes the file under a temporary name beside it, flushes it, renames it and flushes the folder:
// afterwards the path holds either what it held before or all of `bytes`.
absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes, int mode = 0644);

absl::StatusOr<std::string> ReadFile(const std::string& path);

// Flushes a folder's entries.
absl::Status SyncFolder(const std::string& path);

// Makes the folder and those above it.
absl::Status MakeFolders(const std::string& path);

// A random UUID (version 4) in the usual spelling.
std::string NewUuid();

// A descriptor that is closed with its owner.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { Reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release();
  void Reset();

 private:
  int fd_ = -1;
};

}  // namespace retort

#endif  // RETORT_COMMON_FILES_H_
