#include "server/upkeep/files_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr size_t kPieceBytes = size_t{8} << 20;

// Copies through this process, where the system cannot do it by itself.
absl::Status CopyPiece(int from, int to, size_t limit, int64_t offset, const std::string& from_path,
                       const std::string& to_path, int64_t& copied) {
  std::string bytes(std::min<size_t>(limit, size_t{1} << 20), '\0');
  const ssize_t n = pread(from, bytes.data(), bytes.size(), offset);
  if (n < 0 && errno != EINTR) return ErrnoStatus(errno, from_path, "cannot be read");
  for (ssize_t done = 0; done < n;) {
    const ssize_t written =
        pwrite(to, bytes.data() + done, static_cast<size_t>(n - done), offset + done);
    if (written < 0 && errno != EINTR) return ErrnoStatus(errno, to_path, "cannot be written");
    done += std::max<ssize_t>(0, written);
  }
  copied = n;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<TreeFile>> ListTree(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<TreeFile> files;
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    struct stat info;
    if (lstat(entries->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    files.push_back({entries->path().lexically_relative(folder).string(), info.st_size});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return ErrnoStatus(error.value(), folder, "cannot be listed");
  }
  std::sort(files.begin(), files.end(),
            [](const TreeFile& a, const TreeFile& b) { return a.path < b.path; });
  return files;
}

absl::StatusOr<bool> LinkOrCopy(const std::string& from, const std::string& to) {
  if (link(from.c_str(), to.c_str()) == 0) return true;
  if (errno == ENOENT || errno == ENOSPC) return ErrnoStatus(errno, from, "cannot be linked");
  // Another disk, or one that knows no links, or too many of them.
  struct stat info;
  if (stat(from.c_str(), &info) != 0) return ErrnoStatus(errno, from, "cannot be read");
  RETORT_RETURN_IF_ERROR(CopyFile(from, to, info.st_size).status());
  chmod(to.c_str(), info.st_mode & 0777);
  return false;
}

absl::StatusOr<int64_t> CopyFile(const std::string& from, const std::string& to,
                                 int64_t size_bytes) {
  UniqueFd source(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source.valid()) return ErrnoStatus(errno, from, "cannot be opened");
  UniqueFd copy(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!copy.valid()) return ErrnoStatus(errno, to, "cannot be created");
  bool by_system = true;
  int64_t done = 0;
  while (done < size_bytes) {
    const size_t limit = std::min(kPieceBytes, static_cast<size_t>(size_bytes - done));
    int64_t copied = 0;
    if (by_system) {
      off_t in = done, out = done;
      copied = copy_file_range(source.get(), &in, copy.get(), &out, limit, 0);
      if (copied < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO)) {
        return ErrnoStatus(errno, to, "cannot be written");
      }
      if (copied < 0 && errno != EINTR) by_system = false;
      if (copied < 0) continue;
    } else {
      RETORT_RETURN_IF_ERROR(CopyPiece(source.get(), copy.get(), limit, done, from, to, copied));
      if (copied < 0) continue;
    }
    if (copied == 0) break;
    done += copied;
  }
  return done;
}

absl::Status SyncDisk(const std::string& folder) {
  UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || syncfs(fd.get()) != 0) return ErrnoStatus(errno, folder, "cannot be flushed");
  return absl::OkStatus();
}

absl::StatusOr<int64_t> FreeBytes(const std::string& folder) {
  struct statvfs info;
  if (statvfs(folder.c_str(), &info) != 0) return ErrnoStatus(errno, folder, "cannot be looked at");
  return static_cast<int64_t>(info.f_bavail * info.f_frsize);
}

absl::Status RemoveTree(const std::string& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error) return ErrnoStatus(error.value(), folder, "cannot be removed");
  return absl::OkStatus();
}

}  // namespace retort
