// Artifacts on the local disk: `<folder>/<hash>`, and `<folder>/<hash>.part` while one is fetched.
#ifndef RETORT_WORKER_AGENT_ARTIFACT_CACHE_H_
#define RETORT_WORKER_AGENT_ARTIFACT_CACHE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/ids.h"

namespace retort {

// Threads: any.
class ArtifactCache {
 public:
  // Makes the folder and finds what earlier starts left in it. When it holds more than `most_bytes`
  // the files used longest ago go, but never one that is kept.
  static absl::StatusOr<std::unique_ptr<ArtifactCache>> Create(const std::string& folder,
                                                               int64_t most_bytes);

  // The path of a file that is at hand, which is then kept until Release. Its bytes are hashed when
  // it is first asked for after a start, and when its size or time changed since. NOT_FOUND: not at
  // hand, or it was damaged and has been removed.
  absl::StatusOr<std::string> Keep(const ArtifactHash& hash);
  // Ends one Keep.
  void Release(const ArtifactHash& hash);

  // Where the first bytes of an artifact go while it is fetched; what is there may be continued.
  std::string PartPath(const ArtifactHash& hash) const;
  // Checks the file's hash and moves it into place. DATA_LOSS: another hash; the file is removed.
  absl::Status Adopt(const ArtifactHash& hash, const std::string& path);

  // Hashes, latest used first.
  std::vector<std::string> Held(int most) const;
  int64_t bytes() const;

 private:
  struct Entry {
    int64_t size = 0;
    int64_t modified_ns = 0;
    uint64_t used = 0;  // order of use
    int kept = 0;
    bool verified = false;
  };

  ArtifactCache(std::string folder, int64_t most_bytes)
      : folder_(std::move(folder)), most_bytes_(most_bytes) {}
  std::string PathOf(const ArtifactHash& hash) const { return folder_ + "/" + hash.hex(); }
  void Scan();
  void Evict();

  const std::string folder_;
  const int64_t most_bytes_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<ArtifactHash, Entry> entries_;
  uint64_t uses_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_ARTIFACT_CACHE_H_
