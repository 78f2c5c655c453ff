// A coordinator's folder from a backup.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/status.h"
#include "server/core/restored.h"
#include "server/core/state.h"
#include "server/store/schema.h"
#include "server/store/sqlite_store.h"
#include "server/upkeep/files_tree.h"
#include "server/upkeep/manifest.h"
#include "server/upkeep/tasks.h"

namespace retort {
namespace {

constexpr int64_t kJobsOfCommit = 5000;

absl::StatusOr<Manifest> ReadManifest(const std::string& from) {
  const auto text = ReadFile(from + "/manifest.json");
  if (absl::IsNotFound(text.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(from, " is not a complete backup: it holds no manifest.json"));
  }
  RETORT_RETURN_IF_ERROR(text.status());
  auto manifest = ParseManifest(*text);
  if (!manifest.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(from, "/manifest.json: ", MessageOf(manifest.status())));
  }
  const auto known = static_cast<int64_t>(store::Migrations().size());
  if (manifest->schema_version > known) {
    return absl::FailedPreconditionError(absl::StrCat(
        from, " has schema version ", manifest->schema_version, ", this program knows up to ",
        known, "; use Retort ", manifest->version, " or newer"));
  }
  return manifest;
}

// `what: n, but the manifest says m` if they differ.
absl::Status Agree(const std::string& from, const char* what, int64_t found, int64_t said) {
  if (found == said) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(from, " is damaged: ", what, ": ", found,
                                          "; its manifest says ", said, "; use another backup"));
}

absl::Status CopyAll(const std::string& from, const Manifest& manifest, const std::string& to,
                     Copier& copier) {
  copier.progress().step = "copying the database";
  RETORT_ASSIGN_OR_RETURN(const int64_t bytes, CopyFile(from + "/retort.db", to + "/retort.db",
                                                        manifest.database_bytes + 1));
  RETORT_RETURN_IF_ERROR(Agree(from, "bytes of retort.db", bytes, manifest.database_bytes));
  RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash, HashFile(to + "/retort.db"));
  if (hash.hex() != manifest.database_sha256) {
    return absl::DataLossError(absl::StrCat(from, " is damaged: retort.db has the SHA-256 ",
                                            hash.hex(), "; its manifest says ",
                                            manifest.database_sha256, "; use another backup"));
  }
  copier.progress().done_bytes = bytes;

  copier.progress().step = "copying artifacts";
  RETORT_ASSIGN_OR_RETURN(const std::vector<TreeFile> artifacts, ListTree(from + "/artifacts"));
  RETORT_RETURN_IF_ERROR(
      Agree(from, "artifacts", static_cast<int64_t>(artifacts.size()), manifest.artifacts));
  copier.progress().all_artifacts = manifest.artifacts;
  for (const char* folder : {"/artifacts", "/logs"})
    RETORT_RETURN_IF_ERROR(MakeFolders(to + folder));
  // Copied even where they could be linked: the backup stays apart from what may happen to them.
  for (const TreeFile& file : artifacts) {
    const std::string path = "/artifacts/" + file.path;
    RETORT_RETURN_IF_ERROR(
        copier.Artifact(from + path, to + path, file.size_bytes, /*may_link=*/false).status());
  }
  copier.progress().step = "copying logs";
  RETORT_ASSIGN_OR_RETURN(const std::vector<TreeFile> logs, ListTree(from + "/logs"));
  RETORT_RETURN_IF_ERROR(Agree(from, "logs", static_cast<int64_t>(logs.size()), manifest.logs));
  for (const TreeFile& log : logs) {
    const std::string path = "/logs/" + log.path;
    RETORT_RETURN_IF_ERROR(copier.Log(from + path, to + path, log.size_bytes).status());
  }
  return absl::OkStatus();
}

// Brings the restored database up to date and makes it fit to go on. How many jobs wait again.
absl::StatusOr<int64_t> MakeFit(const std::string& folder, int32_t skip, const Now& now,
                                const UpkeepWatch& watch) {
  RETORT_ASSIGN_OR_RETURN(const auto store, store::OpenSqliteStore(folder));
  core::State state;
  RETORT_RETURN_IF_ERROR(store->Load([&state](const core::Record& record) { state.Load(record); }));
  state.Recover(now);
  int64_t requeued = 0;
  for (int64_t first = 1; first <= state.jobs(); first += kJobsOfCommit) {
    if (watch.cancelled && watch.cancelled()) return absl::CancelledError("cancelled");
    const int64_t last = std::min(state.jobs(), first + kJobsOfCommit - 1);
    for (int64_t key = first; key <= last; ++key) {
      requeued += core::IsLive(state.job({key}).row.state);
    }
    RETORT_ASSIGN_OR_RETURN(const core::Decision decision,
                            core::DecideRestored(state, {first}, {last}, skip, now));
    state.Apply(decision);
    std::vector<const core::Record*> records;
    for (const core::Record& record : decision.records) records.push_back(&record);
    RETORT_RETURN_IF_ERROR(store->Commit(records).status);
  }
  return requeued;
}

// The new folder has everything, but for artifacts that were missing when the backup was made.
absl::Status CheckRestored(const std::string& folder, const std::string& from, int64_t missing,
                           const UpkeepWatch& watch) {
  UpkeepWatch silent = watch;
  silent.finding = nullptr;
  RETORT_ASSIGN_OR_RETURN(const CheckReport report, CheckContent(folder, {}, silent));
  for (const Finding& finding : report.findings) {
    if (!finding.error) continue;
    if (finding.code == FindingCode::kArtifactMissing && missing-- > 0) {
      if (watch.finding) watch.finding(finding);
      continue;
    }
    return absl::DataLossError(absl::StrCat(from, " is damaged: ", finding.subject, ": ",
                                            finding.message, "; use another backup"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RestoreReport> RestoreBackup(const std::string& from, const std::string& folder,
                                            const Now& now, const UpkeepWatch& watch) {
  RestoreReport report;
  RETORT_ASSIGN_OR_RETURN(report.manifest, ReadManifest(from));
  std::error_code error;
  const std::string target = std::filesystem::absolute(folder, error).lexically_normal().string();
  // Without the slash that a folder's name may end with.
  RETORT_ASSIGN_OR_RETURN(
      PartialFolder partial,
      PartialFolder::Make(target.back() == '/' ? target.substr(0, target.size() - 1) : target,
                          true));
  const Manifest& manifest = report.manifest;
  const int64_t bytes = manifest.database_bytes + manifest.artifact_bytes + manifest.log_bytes;
  RETORT_RETURN_IF_ERROR(NeedSpace(partial.path(), bytes + manifest.database_bytes));
  UpkeepProgress progress;
  progress.all_bytes = bytes;
  Copier copier(watch, progress);
  RETORT_RETURN_IF_ERROR(CopyAll(from, manifest, partial.path(), copier));
  report.raised = core::AttemptsToSkip(now.wall - absl::FromUnixMillis(report.manifest.time_ms));
  RETORT_ASSIGN_OR_RETURN(report.requeued, MakeFit(partial.path(), report.raised, now, watch));
  RETORT_RETURN_IF_ERROR(CheckRestored(partial.path(), from, report.manifest.missing, watch));
  RETORT_RETURN_IF_ERROR(partial.Finish());
  return report;
}

}  // namespace retort
