#include "worker/agent/artifact_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/status.h"

namespace retort {
namespace {

struct FileFacts {
  int64_t size = 0;
  int64_t modified_ns = 0;
};

absl::StatusOr<FileFacts> Facts(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, path, "cannot be looked at");
  return FileFacts{info.st_size,
                   info.st_mtim.tv_sec * int64_t{1'000'000'000} + info.st_mtim.tv_nsec};
}

absl::Status CheckHash(const ArtifactHash& hash, const std::string& path) {
  RETORT_ASSIGN_OR_RETURN(const ArtifactHash found, HashFile(path));
  if (found == hash) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(path, ": has SHA-256 ", found.hex(), "; expected ", hash.hex()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArtifactCache>> ArtifactCache::Create(const std::string& folder,
                                                                     int64_t most_bytes) {
  RETORT_RETURN_IF_ERROR(MakeFolders(folder));
  std::unique_ptr<ArtifactCache> cache(new ArtifactCache(folder, most_bytes));
  cache->Scan();
  return cache;
}

void ArtifactCache::Scan() {
  std::vector<std::pair<int64_t, ArtifactHash>> by_age;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(folder_, error)) {
    const auto hash = ArtifactHash::FromHex(file.path().filename().string());
    const auto facts = Facts(file.path().string());
    if (!hash.ok() || !facts.ok()) continue;
    entries_[*hash] = {facts->size, facts->modified_ns, 0, 0, false};
    bytes_ += facts->size;
    by_age.emplace_back(facts->modified_ns, *hash);
  }
  std::sort(by_age.begin(), by_age.end());
  for (const auto& [age, hash] : by_age) entries_[hash].used = ++uses_;
  Evict();
}

absl::StatusOr<std::string> ArtifactCache::Keep(const ArtifactHash& hash) {
  const std::string path = PathOf(hash);
  const auto facts = Facts(path);
  {
    std::lock_guard lock(mutex_);
    const auto it = entries_.find(hash);
    if (it == entries_.end()) return absl::NotFoundError(hash.hex() + ": not at hand");
    Entry& entry = it->second;
    entry.used = ++uses_;
    ++entry.kept;  // so that it stays while it is hashed
    const bool same =
        facts.ok() && facts->size == entry.size && facts->modified_ns == entry.modified_ns;
    if (same && entry.verified) return path;
  }
  // Hashing a large file takes a while: not under the lock.
  const absl::Status status = facts.ok() ? CheckHash(hash, path) : facts.status();
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[hash];
  if (status.ok()) {
    bytes_ += facts->size - entry.size;
    entry.size = facts->size;
    entry.modified_ns = facts->modified_ns;
    entry.verified = true;
    return path;
  }
  spdlog::warn("artifact is fetched again: {}", MessageOf(status));
  unlink(path.c_str());
  bytes_ -= entry.size;
  entries_.erase(hash);
  return absl::NotFoundError(MessageOf(status));
}

void ArtifactCache::Release(const ArtifactHash& hash) {
  std::lock_guard lock(mutex_);
  const auto it = entries_.find(hash);
  if (it == entries_.end() || it->second.kept == 0) return;
  --it->second.kept;
  Evict();
}

std::string ArtifactCache::PartPath(const ArtifactHash& hash) const {
  return PathOf(hash) + ".part";
}

absl::Status ArtifactCache::Adopt(const ArtifactHash& hash, const std::string& path) {
  const absl::Status checked = CheckHash(hash, path);
  if (!checked.ok()) {
    unlink(path.c_str());
    return checked;
  }
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, path, "cannot be opened");
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, path, "cannot be flushed");
  const std::string target = PathOf(hash);
  RETORT_ASSIGN_OR_RETURN(const FileFacts facts, Facts(path));
  std::lock_guard lock(mutex_);
  if (rename(path.c_str(), target.c_str()) != 0) {
    return ErrnoStatus(errno, target, "cannot be renamed into place");
  }
  Entry& entry = entries_[hash];
  bytes_ += facts.size - entry.size;
  entry.size = facts.size;
  entry.modified_ns = facts.modified_ns;
  entry.used = ++uses_;
  entry.verified = true;
  Evict();
  return SyncFolder(folder_);
}

// Called under the lock. The file that was used last stays in any case.
void ArtifactCache::Evict() {
  while (bytes_ > most_bytes_) {
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->second.kept > 0 || it->second.used == uses_) continue;
      if (oldest == entries_.end() || it->second.used < oldest->second.used) oldest = it;
    }
    if (oldest == entries_.end()) return;
    unlink(PathOf(oldest->first).c_str());
    bytes_ -= oldest->second.size;
    entries_.erase(oldest);
  }
}

std::vector<std::string> ArtifactCache::Held(int most) const {
  std::vector<std::pair<uint64_t, ArtifactHash>> by_use;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [hash, entry] : entries_) by_use.emplace_back(entry.used, hash);
  }
  std::sort(by_use.rbegin(), by_use.rend());
  if (static_cast<int>(by_use.size()) > most) by_use.resize(static_cast<size_t>(most));
  std::vector<std::string> hashes;
  for (const auto& [used, hash] : by_use) hashes.push_back(hash.hex());
  return hashes;
}

int64_t ArtifactCache::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace retort
