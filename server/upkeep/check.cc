// Whether database and artifacts are whole, and fit each other.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/status.h"
#include "server/store/folder.h"
#include "server/upkeep/files_tree.h"
#include "server/upkeep/tasks.h"

namespace retort {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

using Sizes = absl::flat_hash_map<ArtifactHash, int64_t>;

class Checker {
 public:
  Checker(std::string folder, const CheckOptions& options, const UpkeepWatch& watch)
      : folder_(std::move(folder)), options_(options), watch_(watch) {}

  absl::StatusOr<CheckReport> Run() {
    RETORT_ASSIGN_OR_RETURN(const Sizes wanted, CheckDatabase());
    RETORT_RETURN_IF_ERROR(LookAround(wanted));
    progress_.step = "checking artifacts";
    progress_.all_artifacts = static_cast<int64_t>(wanted.size());
    for (const auto& [hash, size] : wanted) RETORT_RETURN_IF_ERROR(CheckArtifact(hash, size));
    return std::move(report_);
  }

 private:
  void Add(Finding finding) {
    ++report_.all_findings;
    report_.errors += finding.error;
    if (watch_.finding) watch_.finding(finding);
    if (report_.findings.size() < kMostFindings) report_.findings.push_back(std::move(finding));
  }
  absl::Status Tell() {
    if (watch_.cancelled && watch_.cancelled()) return absl::CancelledError("cancelled");
    if (watch_.progress) watch_.progress(progress_);
    return absl::OkStatus();
  }

  absl::StatusOr<Sizes> CheckDatabase();
  absl::Status LookAround(const Sizes& wanted);
  absl::Status CheckArtifact(const ArtifactHash& hash, int64_t size);
  absl::Status CheckBytes(const ArtifactHash& hash, const std::string& path);

  const std::string folder_;
  const CheckOptions options_;
  const UpkeepWatch& watch_;
  UpkeepProgress progress_;
  CheckReport report_;
};

// What the database refers to, with the size that it says.
absl::StatusOr<Sizes> Checker::CheckDatabase() {
  progress_.step = "checking the database";
  RETORT_RETURN_IF_ERROR(Tell());
  Sizes wanted;
  auto snapshot = store::Snapshot::Open(folder_ + "/retort.db", watch_.cancelled);
  absl::Status status = snapshot.status();
  if (status.ok()) {
    status = (*snapshot)->Check(options_.quick, [this](const Finding& finding) { Add(finding); });
  }
  const bool readable = status.ok() && report_.errors == 0;
  if (readable) {
    RETORT_ASSIGN_OR_RETURN(report_.facts, (*snapshot)->Facts());
    status = (*snapshot)->References([&wanted](const core::Artifact& artifact, bool certain) {
      if (certain) wanted.emplace(artifact.hash, artifact.size_bytes);
    });
  } else if (status.ok()) {
    // A damaged database still says much of what it refers to.
    (*snapshot)
        ->References([&wanted](const core::Artifact& artifact, bool certain) {
          if (certain) wanted.emplace(artifact.hash, artifact.size_bytes);
        })
        .IgnoreError();
  }
  if (absl::IsDataLoss(status)) {
    Add({FindingCode::kDatabaseDamaged, true, "retort.db",
         absl::StrCat(MessageOf(status),
                      "; restore a backup (retort-server restore), and keep this folder aside")});
    return wanted;
  }
  RETORT_RETURN_IF_ERROR(status);
  return wanted;
}

// Files that nothing refers to, and such that do not belong there.
absl::Status Checker::LookAround(const Sizes& wanted) {
  RETORT_ASSIGN_OR_RETURN(const std::vector<TreeFile> files, ListTree(folder_ + "/artifacts"));
  int64_t damaged = 0;
  for (const TreeFile& file : files) {
    if (file.path.rfind("partial/", 0) == 0 || file.path.rfind("trash/", 0) == 0) continue;
    if (file.path.rfind("damaged/", 0) == 0) {
      ++damaged;
      continue;
    }
    const auto hash = ArtifactHash::FromHex(file.path.substr(file.path.rfind('/') + 1));
    if (!hash.ok() || file.path != ArtifactPath(*hash)) {
      Add({FindingCode::kStrayFile, false, "artifacts/" + file.path,
           "the file is no artifact; it can be removed"});
    } else if (!wanted.contains(*hash)) {
      ++report_.unreferenced;
      report_.unreferenced_bytes += file.size_bytes;
    }
  }
  if (damaged > 0) {
    Add({FindingCode::kStrayFile, false, "artifacts/damaged",
         absl::StrCat(damaged,
                      " artifacts turned out to be damaged and were set aside; they can be "
                      "removed when the reason is known (is the disk failing?)")});
  }
  return absl::OkStatus();
}

absl::Status Checker::CheckArtifact(const ArtifactHash& hash, int64_t size) {
  ++progress_.done_artifacts;
  ++report_.artifacts;
  RETORT_RETURN_IF_ERROR(Tell());
  std::string path = folder_ + "/artifacts/" + ArtifactPath(hash);
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    // It comes back when somebody asks for it.
    path = folder_ + "/artifacts/trash/" + hash.hex();
    if (stat(path.c_str(), &info) != 0) {
      Add({FindingCode::kArtifactMissing, true, hash.hex(),
           "the artifact is not held; weights are computed again when a job needs them, a dataset "
           "comes back by submitting its sweep again from where it lies"});
      return absl::OkStatus();
    }
  }
  if (size >= 0 && info.st_size != size) {
    Add({FindingCode::kArtifactSize, true, hash.hex(),
         absl::StrCat("the artifact has ", info.st_size, " bytes, should have ", size,
                      "; remove the file, then it counts as missing, and is made again")});
    return absl::OkStatus();
  }
  return options_.quick ? absl::OkStatus() : CheckBytes(hash, path);
}

absl::Status Checker::CheckBytes(const ArtifactHash& hash, const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string bytes(kPieceBytes, '\0');
  Sha256 sha;
  ssize_t n = fd.valid() ? 1 : -1;
  while (n > 0) {
    n = read(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      n = 1;
    else if (n > 0)
      sha.Update({bytes.data(), static_cast<size_t>(n)});
    progress_.done_bytes += std::max<ssize_t>(0, n);
    report_.bytes_read += std::max<ssize_t>(0, n);
    RETORT_RETURN_IF_ERROR(Tell());
  }
  if (n < 0) {
    Add({FindingCode::kUnreadable, true, hash.hex(),
         MessageOf(ErrnoStatus(errno, path, "cannot be read")) + "; is the disk failing?"});
  } else if (const ArtifactHash found(sha.Finish()); found != hash) {
    Add({FindingCode::kArtifactDamaged, true, hash.hex(),
         "the artifact's bytes have another SHA-256; remove the file, then it counts as missing, "
         "and is made again"});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CheckReport> CheckContent(const std::string& folder, const CheckOptions& options,
                                         const UpkeepWatch& watch) {
  return Checker(folder, options, watch).Run();
}

absl::StatusOr<CheckReport> CheckFolder(const std::string& folder, const CheckOptions& options,
                                        const UpkeepWatch& watch) {
  struct stat info;
  if (stat((folder + "/retort.db").c_str(), &info) != 0) {
    return absl::NotFoundError(
        absl::StrCat(folder, " holds no retort.db; name the folder of a coordinator, or a backup"));
  }
  RETORT_ASSIGN_OR_RETURN(const UniqueFd lock, store::LockFolder(folder));
  return CheckContent(folder, options, watch);
}

}  // namespace retort
