// A backup of a folder whose coordinator goes on.
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/status.h"
#include "server/upkeep/files_tree.h"
#include "server/upkeep/manifest.h"
#include "server/upkeep/tasks.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

absl::Status CheckTarget(const std::string& folder, const std::string& target) {
  if (!fs::path(target).is_absolute()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "folder: '", target, "'; must be an absolute path on the coordinator's machine"));
  }
  std::error_code error;
  const std::string home = fs::weakly_canonical(folder, error).string();
  const std::string wanted = fs::weakly_canonical(target, error).string();
  if (wanted == home || wanted.rfind(home + "/", 0) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "folder: '", target, "' lies inside the coordinator's folder; must be outside of it"));
  }
  return absl::OkStatus();
}

// Artifacts that a database refers to, with their sizes here; without those that are not held.
struct Wanted {
  absl::flat_hash_map<ArtifactHash, int64_t> sizes;
  int64_t bytes = 0;
  int64_t missing = 0;
};

absl::StatusOr<Wanted> FindArtifacts(store::Snapshot& snapshot, const std::string& artifacts) {
  Wanted wanted;
  const absl::Status status =
      snapshot.References([&wanted](const core::Artifact& artifact, bool certain) {
        if (certain) wanted.sizes.emplace(artifact.hash, 0);
      });
  RETORT_RETURN_IF_ERROR(status);
  for (auto it = wanted.sizes.begin(); it != wanted.sizes.end();) {
    struct stat info;
    if (stat(absl::StrCat(artifacts, "/", ArtifactPath(it->first)).c_str(), &info) != 0) {
      ++wanted.missing;
      wanted.sizes.erase(it++);
      continue;
    }
    it->second = info.st_size;
    wanted.bytes += info.st_size;
    ++it;
  }
  return wanted;
}

bool OnOneDisk(const std::string& a, const std::string& b) {
  struct stat first, second;
  return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev;
}

absl::Status CopyDatabasePart(const std::string& folder, const std::string& to, Copier& copier,
                              const UpkeepWatch& watch, Manifest& manifest) {
  copier.progress().step = "copying the database";
  absl::Status told;
  RETORT_RETURN_IF_ERROR(store::CopyDatabase(
      folder + "/retort.db", to,
      [&](int64_t done, int64_t all) {
        copier.progress().done_bytes = done;
        manifest.database_bytes = all;
        if (watch.progress) watch.progress(copier.progress());
      },
      watch.cancelled));
  struct stat info;
  if (stat(to.c_str(), &info) != 0) return ErrnoStatus(errno, to, "cannot be read");
  manifest.database_bytes = info.st_size;
  RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash, HashFile(to));
  manifest.database_sha256 = hash.hex();
  return copier.Tell();
}

// Files `retort.db-wal` and `-shm` that reading a copy may have made.
void RemoveSideFiles(const std::string& database) {
  for (const char* suffix : {"-wal", "-shm", "-journal"}) unlink((database + suffix).c_str());
}

}  // namespace

absl::StatusOr<BackupReport> BackUpFolder(const std::string& folder, const std::string& target,
                                          absl::Time now, const UpkeepWatch& watch) {
  RETORT_RETURN_IF_ERROR(CheckTarget(folder, target));
  BackupReport report;
  report.target = target;
  Manifest& manifest = report.manifest;
  manifest.version = RETORT_VERSION;
  manifest.time_ms = absl::ToUnixMillis(now);
  RETORT_ASSIGN_OR_RETURN(
      PartialFolder partial,
      PartialFolder::Make(target.back() == '/' ? target.substr(0, target.size() - 1) : target,
                          false));
  const std::string above = fs::path(target).parent_path().string();
  struct stat database;
  if (stat((folder + "/retort.db").c_str(), &database) != 0)
    return ErrnoStatus(errno, folder + "/retort.db", "cannot be read");
  RETORT_RETURN_IF_ERROR(NeedSpace(above, database.st_size));

  // The database first: every artifact that it refers to was there before.
  Copier copier(watch, {});
  const std::string copy = partial.path() + "/retort.db";
  RETORT_RETURN_IF_ERROR(CopyDatabasePart(folder, copy, copier, watch, manifest));
  const std::string artifacts = folder + "/artifacts";
  Wanted wanted;
  {
    RETORT_ASSIGN_OR_RETURN(const auto snapshot, store::Snapshot::Open(copy, watch.cancelled));
    RETORT_ASSIGN_OR_RETURN(const store::DatabaseFacts facts, snapshot->Facts());
    manifest.schema_version = facts.schema_version;
    manifest.sweeps = facts.sweeps;
    manifest.jobs = facts.jobs;
    manifest.results = facts.results;
    RETORT_ASSIGN_OR_RETURN(wanted, FindArtifacts(*snapshot, artifacts));
  }
  RemoveSideFiles(copy);
  RETORT_ASSIGN_OR_RETURN(const std::vector<TreeFile> logs, ListTree(folder + "/logs"));
  int64_t log_bytes = 0;
  for (const TreeFile& log : logs) log_bytes += log.size_bytes;
  const bool may_link = OnOneDisk(artifacts, partial.path());
  RETORT_RETURN_IF_ERROR(NeedSpace(above, log_bytes + (may_link ? 0 : wanted.bytes)));

  UpkeepProgress& progress = copier.progress();
  progress.all_bytes = manifest.database_bytes + wanted.bytes + log_bytes;
  progress.all_artifacts = static_cast<int64_t>(wanted.sizes.size());
  progress.step = "copying artifacts";
  RETORT_RETURN_IF_ERROR(MakeFolders(partial.path() + "/artifacts"));
  for (const auto& [hash, size] : wanted.sizes) {
    const std::string path = "/artifacts/" + ArtifactPath(hash);
    const auto linked = copier.Artifact(folder + path, partial.path() + path, size, may_link);
    // Set aside meanwhile, because it turned out to be damaged.
    if (absl::IsNotFound(linked.status())) {
      ++manifest.missing;
      continue;
    }
    RETORT_RETURN_IF_ERROR(linked.status());
    report.linked += *linked;
    ++manifest.artifacts;
    manifest.artifact_bytes += size;
  }
  manifest.missing += wanted.missing;

  progress.step = "copying logs";
  RETORT_RETURN_IF_ERROR(MakeFolders(partial.path() + "/logs"));
  for (const TreeFile& log : logs) {
    RETORT_ASSIGN_OR_RETURN(const int64_t copied,
                            copier.Log(folder + "/logs/" + log.path,
                                       partial.path() + "/logs/" + log.path, log.size_bytes));
    ++manifest.logs;
    manifest.log_bytes += copied;
  }
  progress.step = "flushing";
  RETORT_RETURN_IF_ERROR(copier.Tell());
  RETORT_RETURN_IF_ERROR(SyncDisk(partial.path()));
  // Last: a folder without it is no backup.
  RETORT_RETURN_IF_ERROR(
      WriteFileAtomically(partial.path() + "/manifest.json", ManifestText(manifest)));
  RETORT_RETURN_IF_ERROR(partial.Finish());
  return report;
}

}  // namespace retort
