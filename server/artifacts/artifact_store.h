// Bytes named by their SHA-256, as files.
//
// `artifacts/<first two hex>/<hash>` holds complete artifacts: a file that is there is whole and
// durable. `artifacts/partial/<hash>` holds what a broken upload reached; another upload may go on
// from there. `artifacts/trash/<hash>` is to be removed, and comes back when anybody asks for it.
// `artifacts/damaged/<hash>` is kept for people to look at.
//
// Pins. Whoever is about to refer to an artifact asks for it first (Has, Progress, Write, the end
// of an upload), and that pins it for an hour: it is not collected before its reference is durable.
// A pin is the file's time of change, so that it survives a restart.
#ifndef RETORT_SERVER_ARTIFACTS_ARTIFACT_STORE_H_
#define RETORT_SERVER_ARTIFACTS_ARTIFACT_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/ids.h"

namespace retort {

// Largest artifact that is taken.
inline constexpr int64_t kMaxArtifactBytes = int64_t{64} << 30;

// How long an artifact is kept after somebody asked for it, and how long in the trash.
inline constexpr absl::Duration kPinTime = absl::Hours(1);

// How far an upload came.
struct UploadProgress {
  int64_t offset = 0;  // bytes held
  bool complete = false;
};

class ArtifactStore;

// One upload in progress. Left without Commit, what was written stays for another upload to go on
// from. Used by one thread at a time; must not outlive its store.
class ArtifactWriter {
 public:
  ~ArtifactWriter();
  ArtifactWriter(const ArtifactWriter&) = delete;
  ArtifactWriter& operator=(const ArtifactWriter&) = delete;

  // Adds bytes. INVALID_ARGUMENT, and everything is discarded: more than were announced.
  // RESOURCE_EXHAUSTED: the disk is full; what was written before stays.
  absl::Status Append(std::string_view data);

  // Checks length and hash, makes the artifact durable and visible. INVALID_ARGUMENT: bytes are
  // missing (what was written stays), or the hash is another (everything is discarded). Once.
  absl::Status Commit();

 private:
  friend class ArtifactStore;
  ArtifactWriter(ArtifactStore& store, const ArtifactHash& hash, int64_t size_bytes,
                 std::string path, bool resumable)
      : store_(store),
        hash_(hash),
        size_bytes_(size_bytes),
        path_(std::move(path)),
        resumable_(resumable) {}

  // Opens the file and hashes the first `offset` bytes of it.
  absl::Status Start(int64_t offset);
  void Discard();

  ArtifactStore& store_;
  const ArtifactHash hash_;
  const int64_t size_bytes_;
  const std::string path_;
  const bool resumable_;  // it owns partial/<hash>
  UniqueFd fd_;
  Sha256 sha_;
  int64_t written_ = 0;
};

// Reads one artifact in order. Used by one thread at a time; must not outlive its store.
class ArtifactReader {
 public:
  int64_t size_bytes() const { return size_bytes_; }

  // The next bytes, at most `limit`; empty at the end. DATA_LOSS: the file is shorter than it was,
  // or, where reading began at 0, its end was reached and its content does not have its hash.
  absl::StatusOr<std::string> Read(size_t limit);

 private:
  friend class ArtifactStore;
  ArtifactReader() = default;

  ArtifactHash hash_;
  std::string path_;
  UniqueFd fd_;
  int64_t size_bytes_ = 0;
  int64_t offset_ = 0;
  std::atomic<int64_t>* bytes_out_ = nullptr;  // the store's
  bool whole_ = false;
  bool checked_ = false;
  Sha256 sha_;
};

// Threads: any.
class ArtifactStore {
 public:
  // Makes the folders where needed. `folder` is the one that holds `<2 hex>/` and `partial/`.
  static absl::StatusOr<std::unique_ptr<ArtifactStore>> Open(const std::string& folder);

  // Whether it is complete; pins it if so. What was there a few seconds ago is taken to be there,
  // unless it was moved away by this store.
  bool Has(const ArtifactHash& hash) const;
  // Bytes of a complete artifact; NOT_FOUND.
  absl::StatusOr<int64_t> SizeOf(const ArtifactHash& hash) const;
  // Pins it if it is complete.
  UploadProgress Progress(const ArtifactHash& hash) const;

  // Starts or resumes an upload. `offset` is 0 or what Progress tells.
  // INVALID_ARGUMENT: a size out of range, or an offset beyond it. FAILED_PRECONDITION: another
  // offset (names what is held). ALREADY_EXISTS: complete already, and pinned. UNAVAILABLE: another
  // caller is
  // just resuming the same upload. Two callers that begin at 0 both get through, each with a file
  // of its own.
  absl::StatusOr<std::unique_ptr<ArtifactWriter>> Write(const ArtifactHash& hash,
                                                        int64_t size_bytes, int64_t offset);

  // Bytes that came in and went out since the start.
  int64_t bytes_in() const { return bytes_in_.load(std::memory_order_relaxed); }
  int64_t bytes_out() const { return bytes_out_.load(std::memory_order_relaxed); }

  // Moves an artifact that turned out to be damaged to `damaged/`, so that it is no longer held and
  // can be uploaded again.
  absl::Status SetAside(const ArtifactHash& hash);

  // NOT_FOUND; INVALID_ARGUMENT: an offset outside 0..size.
  absl::StatusOr<std::unique_ptr<ArtifactReader>> Read(const ArtifactHash& hash,
                                                       int64_t offset) const;

  // For the collector (server/upkeep).
  struct Stored {
    ArtifactHash hash;
    int64_t size_bytes = 0;
    absl::Time pinned;  // when it was last pinned; of the trash: when it was moved there
  };
  // All complete artifacts, or all in the trash, in no order, as far as none comes or goes
  // meanwhile.
  absl::StatusOr<std::vector<Stored>> List() const;
  absl::StatusOr<std::vector<Stored>> ListTrash() const;
  // Moves an artifact to the trash, unless it was pinned at or after `since`: false then, and where
  // it is no longer there.
  absl::StatusOr<bool> MoveToTrash(const ArtifactHash& hash, absl::Time since);
  // Takes an artifact out of the trash again, pinned. False: it is not there.
  bool PutBack(const ArtifactHash& hash) const;
  // Removes an artifact from the trash for good. False: it is not there.
  absl::StatusOr<bool> RemoveFromTrash(const ArtifactHash& hash);
  // Removes what uploads that nobody went on with since `before` reached. With `dry_run` only
  // counts.
  struct Removed {
    int64_t files = 0;
    int64_t bytes = 0;
  };
  absl::StatusOr<Removed> RemovePartials(absl::Time before, bool dry_run);

  const std::string& folder() const { return folder_; }

 private:
  friend class ArtifactWriter;
  explicit ArtifactStore(std::string folder) : folder_(std::move(folder)) {}

  // Size of a complete artifact, which is pinned, or -1. Under mutex_.
  int64_t PinLocked(const ArtifactHash& hash) const;
  bool PutBackLocked(const ArtifactHash& hash) const;
  UploadProgress ProgressLocked(const ArtifactHash& hash) const;
  std::string TrashOf(const ArtifactHash& hash) const;

  std::string PathOf(const ArtifactHash& hash) const;
  std::string PartialOf(const ArtifactHash& hash) const;
  // Renames a checked and flushed file into place.
  absl::Status Publish(const ArtifactHash& hash, const std::string& from);
  void Release(const ArtifactHash& hash);

  const std::string folder_;
  // Also held while an artifact is pinned, and while one is moved to the trash or back: a pin comes
  // before the move, and prevents it, or after it, and undoes it.
  std::atomic<int64_t> bytes_in_{0};
  mutable std::atomic<int64_t> bytes_out_{0};
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  absl::flat_hash_set<ArtifactHash> writing_;  // whose partial/<hash> is being written
  // What Has found, so that many results with the same weights are not as many looks at the disk.
  // It pins beside the file's time.
  struct Found {
    absl::Time looked;  // at the disk
    absl::Time asked;   // the last time
  };
  mutable absl::flat_hash_map<ArtifactHash, Found> found_;
};

}  // namespace retort

#endif  // RETORT_SERVER_ARTIFACTS_ARTIFACT_STORE_H_
