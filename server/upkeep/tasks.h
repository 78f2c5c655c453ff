// The tasks themselves, without the rules of what runs beside what (upkeep.h).
#ifndef RETORT_SERVER_UPKEEP_TASKS_H_
#define RETORT_SERVER_UPKEEP_TASKS_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/artifacts/artifact_store.h"
#include "server/upkeep/upkeep.h"

namespace retort {

// Upkeep::Backup.
absl::StatusOr<BackupReport> BackUpFolder(const std::string& folder, const std::string& target,
                                          absl::Time now, const UpkeepWatch& watch);

// Upkeep::Check: of a folder whose artifacts nobody collects meanwhile.
absl::StatusOr<CheckReport> CheckContent(const std::string& folder, const CheckOptions& options,
                                         const UpkeepWatch& watch);

// Upkeep::Collect. `database` is read on a snapshot that is taken after the artifacts were listed.
absl::StatusOr<CollectReport> CollectArtifacts(const std::string& database,
                                               ArtifactStore& artifacts, absl::Time now,
                                               const CollectOptions& options,
                                               const UpkeepWatch& watch);

// A folder that takes its name only when it is complete: what is made under NAME.partial goes away
// again unless Finish was called.
class PartialFolder {
 public:
  // ALREADY_EXISTS: NAME exists (and is not an empty folder, where that is allowed), or
  // NAME.partial holds what is none of ours. INVALID_ARGUMENT: the folder above does not exist.
  static absl::StatusOr<PartialFolder> Make(const std::string& name, bool may_be_empty);
  PartialFolder(PartialFolder&& other) noexcept;
  ~PartialFolder();

  const std::string& path() const { return path_; }
  // Flushes everything, and gives the folder its name.
  absl::Status Finish();

 private:
  explicit PartialFolder(std::string name) : name_(std::move(name)), path_(name_ + ".partial") {}

  std::string name_;
  std::string path_;
  bool owned_ = true;
};

// Copies part of a folder and tells the watch; shared by backup and restore.
class Copier {
 public:
  Copier(const UpkeepWatch& watch, UpkeepProgress progress)
      : watch_(watch), progress_(std::move(progress)) {}

  UpkeepProgress& progress() { return progress_; }
  // Tells how far it is. CANCELLED.
  absl::Status Tell();
  // True: linked.
  absl::StatusOr<bool> Artifact(const std::string& from, const std::string& to, int64_t size_bytes,
                                bool may_link);
  // Bytes copied.
  absl::StatusOr<int64_t> Log(const std::string& from, const std::string& to, int64_t size_bytes);

 private:
  const UpkeepWatch& watch_;
  UpkeepProgress progress_;
};

// RESOURCE_EXHAUSTED unless so many bytes, and some for others, are free on the folder's disk.
absl::Status NeedSpace(const std::string& folder, int64_t bytes);

// Path of an artifact below `artifacts/`.
std::string ArtifactPath(const ArtifactHash& hash);

}  // namespace retort

#endif  // RETORT_SERVER_UPKEEP_TASKS_H_
