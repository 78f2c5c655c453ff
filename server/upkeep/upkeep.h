// Care for a coordinator's folder: backup, check, restore, and collection of artifacts that nothing
// refers to. What each does and does not promise is in README.md of this folder.
#ifndef RETORT_SERVER_UPKEEP_UPKEEP_H_
#define RETORT_SERVER_UPKEEP_UPKEEP_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "server/artifacts/artifact_store.h"
#include "server/store/maintenance.h"

namespace retort {

using store::Finding;
using store::FindingCode;

// How far a task came, in all.
struct UpkeepProgress {
  std::string step;            // what is being done, for people: `copying the database`
  int64_t done_bytes = 0;      // read or copied
  int64_t all_bytes = 0;       // 0 until known
  int64_t done_artifacts = 0;  // looked at or copied
  int64_t all_artifacts = 0;   // 0 until known
};

// Whoever asked for a task. All are called on the thread that does the task, the first two often;
// all may be unset. A task that is cancelled ends soon with CANCELLED and leaves nothing behind.
struct UpkeepWatch {
  std::function<void(const UpkeepProgress&)> progress = nullptr;
  std::function<bool()> cancelled = nullptr;
  std::function<void(const Finding&)> finding = nullptr;  // of checks, as they are made
};

// ------------------------------------------------------------------------------------------ backup

// What a backup holds: its file `manifest.json`.
struct Manifest {
  std::string version;         // of the program that made it
  int64_t schema_version = 0;  // of the database
  int64_t time_ms = 0;         // when the database was copied, milliseconds since 1970
  int64_t sweeps = 0;
  int64_t jobs = 0;
  int64_t results = 0;
  int64_t database_bytes = 0;
  std::string database_sha256;
  int64_t artifacts = 0;
  int64_t artifact_bytes = 0;
  int64_t missing = 0;  // artifacts that the database refers to and the coordinator did not hold
  int64_t logs = 0;
  int64_t log_bytes = 0;
};

struct BackupReport {
  std::string target;
  Manifest manifest;
  int64_t linked = 0;  // artifacts that share the disk's blocks with the coordinator's own
};

// ------------------------------------------------------------------------------------------- check

struct CheckOptions {
  // Artifacts are looked for, but not read.
  bool quick = false;
};

struct CheckReport {
  std::vector<Finding> findings;  // none: all is well. At most kMostFindings
  int64_t all_findings = 0;       // with those that were left out
  int64_t errors = 0;             // that are no mere warnings
  store::DatabaseFacts facts;
  int64_t artifacts = 0;     // referred to
  int64_t bytes_read = 0;    // of artifacts
  int64_t unreferenced = 0;  // complete artifacts that nothing refers to; no finding
  int64_t unreferenced_bytes = 0;
};
inline constexpr size_t kMostFindings = 10'000;

// ----------------------------------------------------------------------------------------- collect

struct CollectOptions {
  // Count only.
  bool dry_run = false;
};

struct CollectReport {
  int64_t kept = 0;  // complete artifacts that stay: referred to or pinned
  int64_t kept_bytes = 0;
  int64_t pinned = 0;  // of those: not referred to
  int64_t taken = 0;   // moved to the trash (with dry_run: that would be)
  int64_t taken_bytes = 0;
  int64_t removed = 0;  // from the trash, after an hour there
  int64_t removed_bytes = 0;
  int64_t put_back = 0;         // from the trash, because something refers to them after all
  int64_t partial_removed = 0;  // uploads that nobody went on with for a day
  int64_t partial_bytes = 0;
};

// ------------------------------------------------------------------------------ while it serves

// The tasks of a coordinator that serves. One of each kind runs at a time: a second is refused with
// RESOURCE_EXHAUSTED. Nothing is collected while a backup or a check runs, and the other way round:
// UNAVAILABLE. None blocks the strand. Threads: any.
class Upkeep {
 public:
  // `folder` is the coordinator's; artifacts, clock and folder outlive this.
  Upkeep(std::string folder, ArtifactStore& artifacts, const Clock& clock);
  // Cancels what runs, and waits for its end.
  ~Upkeep();

  // Copies database, artifacts and logs to a new folder `target` (an absolute path on the
  // coordinator's machine), which appears complete or not at all.
  // INVALID_ARGUMENT: a path that is not absolute, or inside the coordinator's folder.
  // ALREADY_EXISTS. RESOURCE_EXHAUSTED: not enough space (says how much is needed).
  absl::StatusOr<BackupReport> Backup(const std::string& target, const UpkeepWatch& watch = {});

  // Reads everything on a snapshot and compares. Findings are no error; an error is that the check
  // could not be done.
  absl::StatusOr<CheckReport> Check(const CheckOptions& options, const UpkeepWatch& watch = {});

  // Takes artifacts that nothing refers to and nobody has pinned (ArtifactStore) for an hour.
  // UNAVAILABLE also: the machine's clock was set within the last hour, so that the age of pins is
  // not known.
  absl::StatusOr<CollectReport> Collect(const CollectOptions& options,
                                        const UpkeepWatch& watch = {});

  const std::string& folder() const { return folder_; }

  // Collects every hour from now on, on a thread of its own, and logs what was taken.
  void StartCollecting();
  // Ends that thread, and cancels what runs.
  void Stop();

 private:
  enum class Kind { kBackup, kCheck, kCollect };
  class Running;  // one task, until it is destroyed

  absl::StatusOr<std::unique_ptr<Running>> Begin(Kind kind);
  // The caller's watch, cancelled also when all ends.
  UpkeepWatch Watched(const UpkeepWatch& watch);
  absl::Status CheckClock();
  void RunCollector();

  const std::string folder_;
  ArtifactStore& artifacts_;
  const Clock& clock_;

  std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable wake_;
  std::set<Kind> running_;
  bool stopping_ = false;
  absl::Duration clock_offset_;  // wall - monotonic
  absl::Duration steady_since_ = -absl::InfiniteDuration();

  std::thread collector_;
};

// ------------------------------------------------------------------------ while none serves there

// Checks a folder that no coordinator uses. FAILED_PRECONDITION: one does (names its process).
// DATA_LOSS: the database cannot be opened at all.
absl::StatusOr<CheckReport> CheckFolder(const std::string& folder, const CheckOptions& options,
                                        const UpkeepWatch& watch = {});

struct RestoreReport {
  Manifest manifest;
  int64_t requeued = 0;  // jobs that were leased or running when the backup was made
  int32_t raised = 0;    // what was added to every job's attempt number
};

// Makes the folder of a coordinator from a backup. `folder` must not exist or be empty; it appears
// complete or not at all. Attempts that workers still run are unknown to the past that comes back,
// and their numbers must never be given again: all attempt numbers are raised (README.md).
// FAILED_PRECONDITION: `folder` is not empty, or `from` is not a complete backup. DATA_LOSS: the
// backup is damaged (says where).
absl::StatusOr<RestoreReport> RestoreBackup(const std::string& from, const std::string& folder,
                                            const Now& now, const UpkeepWatch& watch = {});

}  // namespace retort

#endif  // RETORT_SERVER_UPKEEP_UPKEEP_H_
