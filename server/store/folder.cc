#include "server/store/folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace retort::store {
namespace {

// Filesystems on which locks and shared memory do not hold between machines (linux/magic.h,
// statfs(2)).
struct NetworkFilesystem {
  uint32_t magic;
  const char* name;
};
constexpr NetworkFilesystem kNetworkFilesystems[] = {
    {0x6969, "NFS"},     {0x517b, "SMB"},      {0xff534d42, "CIFS"},   {0xfe534d42, "SMB2"},
    {0x5346414f, "AFS"}, {0x00c36400, "Ceph"}, {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"}};

}  // namespace

absl::Status RefuseNetworkFilesystem(const std::string& folder, std::optional<uint32_t> pretended) {
  struct statfs info;
  if (statfs(folder.c_str(), &info) != 0) return ErrnoStatus(errno, folder, "statfs");
  const uint32_t found = pretended.value_or(static_cast<uint32_t>(info.f_type));
  for (const auto& [magic, name] : kNetworkFilesystems) {
    if (found == magic) {
      return absl::FailedPreconditionError(absl::StrCat(
          folder, " lies on ", name, ", a network filesystem, on which a database may ",
          "be damaged; must be a folder of a local disk"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> LockFolder(const std::string& folder) {
  const std::string path = folder + "/lock";
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, path, "open");
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, path, "lock");
    const auto holder = ReadFile(path);
    return absl::FailedPreconditionError(
        absl::StrCat(folder, " is used by another coordinator, process ",
                     holder.ok() && !holder->empty() ? *holder : "unknown",
                     "; stop that one, or give this one another folder"));
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(fd.get(), 0) != 0 || pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) {
    return ErrnoStatus(errno, path, "write");
  }
  return fd;
}

}  // namespace retort::store
