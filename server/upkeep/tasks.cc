#include "server/upkeep/tasks.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"
#include "server/upkeep/files_tree.h"

namespace retort {
namespace {

// Left for others on the disk.
constexpr int64_t kSpareBytes = int64_t{64} << 20;

bool Exists(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0;
}

// True if nothing else lies there than what a backup or a restore that was killed leaves.
bool IsOurs(const std::string& folder) {
  static const std::set<std::string> kOurs = {"artifacts",     "logs",          "retort.db",
                                              "retort.db-wal", "retort.db-shm", "retort.db-journal",
                                              "lock",          "manifest.json"};
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (!kOurs.contains(entry.path().filename().string())) return false;
  }
  return !error;
}

}  // namespace

absl::StatusOr<PartialFolder> PartialFolder::Make(const std::string& name, bool may_be_empty) {
  std::error_code error;
  const bool empty = may_be_empty && std::filesystem::is_directory(name, error) &&
                     std::filesystem::is_empty(name, error);
  if (Exists(name) && !empty) {
    return absl::AlreadyExistsError(absl::StrCat(name, " exists",
                                                 may_be_empty ? " and is not an empty folder" : "",
                                                 "; name a folder that does not"));
  }
  const std::string above = std::filesystem::path(name).parent_path().string();
  if (!std::filesystem::is_directory(above, error)) {
    return absl::InvalidArgumentError(absl::StrCat(above, " is not a folder; make it first"));
  }
  PartialFolder folder(name);
  if (Exists(folder.path_)) {
    if (!IsOurs(folder.path_)) {
      folder.owned_ = false;
      return absl::AlreadyExistsError(absl::StrCat(
          folder.path_, " exists and holds something else; it is needed while copying"));
    }
    RETORT_RETURN_IF_ERROR(RemoveTree(folder.path_));
  }
  if (mkdir(folder.path_.c_str(), 0755) != 0) {
    folder.owned_ = false;
    return ErrnoStatus(errno, folder.path_, "folder cannot be made");
  }
  return folder;
}

PartialFolder::PartialFolder(PartialFolder&& other) noexcept
    : name_(std::move(other.name_)),
      path_(std::move(other.path_)),
      owned_(std::exchange(other.owned_, false)) {}

PartialFolder::~PartialFolder() {
  // What cannot be removed now is removed by the next try.
  if (owned_) RemoveTree(path_).IgnoreError();
}

absl::Status PartialFolder::Finish() {
  RETORT_RETURN_IF_ERROR(SyncDisk(path_));
  if (rename(path_.c_str(), name_.c_str()) != 0)
    return ErrnoStatus(errno, name_, "cannot be renamed into place");
  owned_ = false;
  return SyncFolder(std::filesystem::path(name_).parent_path().string());
}

absl::Status Copier::Tell() {
  if (watch_.cancelled && watch_.cancelled()) return absl::CancelledError("cancelled");
  if (watch_.progress) watch_.progress(progress_);
  return absl::OkStatus();
}

absl::StatusOr<bool> Copier::Artifact(const std::string& from, const std::string& to,
                                      int64_t size_bytes, bool may_link) {
  RETORT_RETURN_IF_ERROR(Tell());
  RETORT_RETURN_IF_ERROR(MakeFolders(std::filesystem::path(to).parent_path().string()));
  bool linked = false;
  if (may_link) {
    RETORT_ASSIGN_OR_RETURN(linked, LinkOrCopy(from, to));
  } else {
    RETORT_ASSIGN_OR_RETURN(const int64_t copied, CopyFile(from, to, size_bytes));
    if (copied != size_bytes) return absl::DataLossError(from + ": is shorter than it was");
    if (chmod(to.c_str(), 0444) != 0) return ErrnoStatus(errno, to, "cannot be given its mode");
  }
  progress_.done_bytes += size_bytes;
  ++progress_.done_artifacts;
  return linked;
}

absl::StatusOr<int64_t> Copier::Log(const std::string& from, const std::string& to,
                                    int64_t size_bytes) {
  RETORT_RETURN_IF_ERROR(Tell());
  RETORT_RETURN_IF_ERROR(MakeFolders(std::filesystem::path(to).parent_path().string()));
  RETORT_ASSIGN_OR_RETURN(const int64_t copied, CopyFile(from, to, size_bytes));
  progress_.done_bytes += copied;
  return copied;
}

absl::Status NeedSpace(const std::string& folder, int64_t bytes) {
  RETORT_ASSIGN_OR_RETURN(const int64_t free, FreeBytes(folder));
  if (free >= bytes + kSpareBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(folder, ": ", bytes, " bytes are needed, with ",
                                                   kSpareBytes, " to spare for others; ", free,
                                                   " are free"));
}

std::string ArtifactPath(const ArtifactHash& hash) {
  const std::string hex = hash.hex();
  return absl::StrCat(hex.substr(0, 2), "/", hex);
}

}  // namespace retort
