#include "worker/agent/artifact_mover.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/status.h"

namespace retort {

ArtifactMover::ArtifactMover(ArtifactCache& cache, ArtifactRemote& remote, int threads,
                             Answers answers)
    : cache_(cache), remote_(remote), answers_(std::move(answers)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

ArtifactMover::~ArtifactMover() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    tasks_.clear();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ArtifactMover::Work() {
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
      if (stop_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

void ArtifactMover::Post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_all();
}

void ArtifactMover::Fetch(const AttemptKey& key, const std::vector<v1::ArtifactRef>& inputs) {
  {
    std::lock_guard lock(mutex_);
    kept_[key];
  }
  Post([this, key, inputs] { answers_.inputs(key, FetchAll(key, inputs)); });
}

void ArtifactMover::Publish(const AttemptKey& key, const std::string& path) {
  Post([this, key, path] { answers_.published(key, PublishOne(path)); });
}

void ArtifactMover::PublishCheckpoint(const AttemptKey& key, const std::string& path) {
  Post([this, key, path] { answers_.checkpoint(key, PublishOne(path)); });
}

void ArtifactMover::PublishHeld(const AttemptKey& key, const v1::ArtifactRef& artifact) {
  Post([this, key, artifact] { answers_.published(key, PublishOneHeld(artifact)); });
}

void ArtifactMover::Release(const AttemptKey& key) {
  std::vector<ArtifactHash> hashes;
  {
    std::lock_guard lock(mutex_);
    const auto it = kept_.find(key);
    if (it == kept_.end()) return;
    hashes = std::move(it->second);
    kept_.erase(it);
  }
  for (const ArtifactHash& hash : hashes) cache_.Release(hash);
}

std::vector<std::string> ArtifactMover::Held(int most) const { return cache_.Held(most); }

absl::StatusOr<InputPaths> ArtifactMover::FetchAll(const AttemptKey& key,
                                                   const std::vector<v1::ArtifactRef>& inputs) {
  InputPaths paths;
  for (const v1::ArtifactRef& input : inputs) {
    RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash, ArtifactHash::FromHex(input.sha256()));
    RETORT_ASSIGN_OR_RETURN(paths[input.sha256()], FetchOne(input));
    std::lock_guard lock(mutex_);
    const auto kept = kept_.find(key);
    if (kept == kept_.end()) {  // the attempt was released meanwhile
      cache_.Release(hash);
      return absl::CancelledError(absl::StrCat("attempt ", key.ToString(), " is not wanted"));
    }
    kept->second.push_back(hash);
  }
  return paths;
}

// The path of the file, kept in the cache.
absl::StatusOr<std::string> ArtifactMover::FetchOne(const v1::ArtifactRef& input) {
  RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash, ArtifactHash::FromHex(input.sha256()));
  {
    // One thread fetches; others that need the same wait, and then find it.
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_ || !downloading_.contains(hash); });
    if (stop_) return absl::CancelledError("the worker leaves");
    downloading_.insert(hash);
  }
  absl::StatusOr<std::string> path = cache_.Keep(hash);
  if (!path.ok()) {
    // Bytes that came out wrong are fetched once more, from the start.
    absl::Status status = Download(hash, input);
    if (absl::IsDataLoss(status)) {
      spdlog::warn("{}; fetched once more", MessageOf(status));
      status = Download(hash, input);
    }
    path = status.ok() ? cache_.Keep(hash) : status;
  }
  {
    std::lock_guard lock(mutex_);
    downloading_.erase(hash);
  }
  changed_.notify_all();
  return path;
}

absl::Status ArtifactMover::Download(const ArtifactHash& hash, const v1::ArtifactRef& input) {
  const std::string part = cache_.PartPath(hash);
  RETORT_RETURN_IF_ERROR(remote_.Download(input, part));
  return cache_.Adopt(hash, part);
}

absl::StatusOr<v1::ArtifactRef> ArtifactMover::PublishOne(const std::string& path) {
  RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash, HashFile(path));
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, path, "cannot be looked at");
  v1::ArtifactRef artifact;
  artifact.set_sha256(hash.hex());
  artifact.set_size_bytes(info.st_size);
  RETORT_RETURN_IF_ERROR(remote_.Upload(artifact, path));
  // A teacher's weights are likely to be needed here next. Without them in the cache they are
  // fetched, no more.
  const absl::Status adopted = cache_.Adopt(hash, path);
  if (!adopted.ok()) spdlog::warn("weights are not kept in the cache: {}", MessageOf(adopted));
  return artifact;
}

absl::StatusOr<v1::ArtifactRef> ArtifactMover::PublishOneHeld(const v1::ArtifactRef& artifact) {
  RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash, ArtifactHash::FromHex(artifact.sha256()));
  RETORT_ASSIGN_OR_RETURN(const std::string path, cache_.Keep(hash));
  const absl::Status uploaded = remote_.Upload(artifact, path);
  cache_.Release(hash);
  RETORT_RETURN_IF_ERROR(uploaded);
  return artifact;
}

}  // namespace retort
