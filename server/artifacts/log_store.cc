#include "server/artifacts/log_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {

absl::StatusOr<LogProgress> LogStore::Append(const JobId& job, int32_t attempt, int64_t offset,
                                             std::string_view data) {
  if (offset < 0)
    return absl::InvalidArgumentError(absl::StrCat("offset: ", offset, "; must not be negative"));
  std::lock_guard lock(mutex_);
  int64_t size = SizeOf(job, attempt);
  const int64_t end = std::min(offset + static_cast<int64_t>(data.size()), kMaxLogBytes);
  if (offset > size || end <= size) return LogProgress{size, size >= kMaxLogBytes};
  data = data.substr(static_cast<size_t>(size - offset), static_cast<size_t>(end - size));

  const std::string path = PathOf(job, attempt);
  RETORT_RETURN_IF_ERROR(MakeFolders(path.substr(0, path.rfind('/'))));
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, path, "cannot be opened");
  while (!data.empty()) {
    const ssize_t n = pwrite(fd.get(), data.data(), data.size(), size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, path, "cannot be written");
    size += n;
    data.remove_prefix(static_cast<size_t>(n));
  }
  return LogProgress{size, size >= kMaxLogBytes};
}

int64_t LogStore::SizeOf(const JobId& job, int32_t attempt) const {
  struct stat info;
  if (stat(PathOf(job, attempt).c_str(), &info) != 0) return 0;
  return info.st_size;
}

absl::StatusOr<std::string> LogStore::Read(const JobId& job, int32_t attempt, int64_t offset,
                                           size_t limit) const {
  const std::string path = PathOf(job, attempt);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) return std::string();
  if (!fd.valid()) return ErrnoStatus(errno, path, "cannot be opened");
  std::string bytes(limit, '\0');
  ssize_t n;
  do {
    n = pread(fd.get(), bytes.data(), limit, offset);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return ErrnoStatus(errno, path, "cannot be read");
  bytes.resize(static_cast<size_t>(n));
  return bytes;
}

std::string LogStore::PathOf(const JobId& job, int32_t attempt) const {
  return absl::StrCat(folder_, "/", job.hex(), "/", attempt, ".log");
}

}  // namespace retort
