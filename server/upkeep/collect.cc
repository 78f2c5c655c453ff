// Taking what nothing refers to.
//
// An artifact may be about to be referred to: its bytes come before the row that names it. Whoever
// is going to write such a row pins the artifact first, for an hour (artifact_store.h), and the row
// is durable long before. So here, in this order:
//   1. note the time, and list what has not been pinned for an hour
//   2. read all references from a snapshot that is taken after that
//   3. move what is in the list and not among the references to the trash, unless it was pinned
//      since 1. (checked under the lock that pinning takes)
// A row that the snapshot does not have was written after 1., by somebody who pinned after 1. less
// an hour: then the artifact was not in the list, or 3. sees the pin. Should the hour ever have
// been too short (a process that stood still between pin and row), the trash is read against the
// references again before anything is removed from it, an hour later.
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "common/status.h"
#include "server/upkeep/tasks.h"

namespace retort {
namespace {

using Stored = ArtifactStore::Stored;
using Hashes = absl::flat_hash_set<ArtifactHash>;

constexpr absl::Duration kPartialAge = absl::Hours(24);
// An artifact that was pinned a minute ago is not touched again by another pin.
constexpr absl::Duration kPinSlack = absl::Minutes(2);

// Which of the candidates something refers to.
absl::StatusOr<Hashes> Referenced(const std::string& database, const Hashes& candidates,
                                  const UpkeepWatch& watch) {
  Hashes found;
  if (candidates.empty()) return found;
  RETORT_ASSIGN_OR_RETURN(const auto snapshot, store::Snapshot::Open(database, watch.cancelled));
  RETORT_RETURN_IF_ERROR(snapshot->References([&](const core::Artifact& artifact, bool) {
    if (candidates.contains(artifact.hash)) found.insert(artifact.hash);
  }));
  return found;
}

absl::Status EmptyTrash(ArtifactStore& artifacts, const std::vector<Stored>& trash,
                        const Hashes& referenced, absl::Time before, bool dry_run,
                        CollectReport& report) {
  for (const Stored& stored : trash) {
    if (referenced.contains(stored.hash)) {
      if (dry_run || artifacts.PutBack(stored.hash)) ++report.put_back;
      continue;
    }
    if (stored.pinned >= before) continue;
    bool removed = true;
    if (!dry_run) {
      RETORT_ASSIGN_OR_RETURN(removed, artifacts.RemoveFromTrash(stored.hash));
    }
    if (!removed) continue;
    ++report.removed;
    report.removed_bytes += stored.size_bytes;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CollectReport> CollectArtifacts(const std::string& database,
                                               ArtifactStore& artifacts, absl::Time now,
                                               const CollectOptions& options,
                                               const UpkeepWatch& watch) {
  CollectReport report;
  const absl::Time unpinned_since = now - kPinTime - kPinSlack;
  RETORT_ASSIGN_OR_RETURN(const std::vector<Stored> all, artifacts.List());
  RETORT_ASSIGN_OR_RETURN(const std::vector<Stored> trash, artifacts.ListTrash());
  Hashes candidates;
  for (const Stored& stored : all) candidates.insert(stored.hash);
  for (const Stored& stored : trash) candidates.insert(stored.hash);
  RETORT_ASSIGN_OR_RETURN(const Hashes referenced, Referenced(database, candidates, watch));

  for (const Stored& stored : all) {
    if (watch.cancelled && watch.cancelled()) return absl::CancelledError("cancelled");
    const bool wanted = referenced.contains(stored.hash);
    bool taken = !wanted && stored.pinned < unpinned_since;
    if (taken && !options.dry_run) {
      RETORT_ASSIGN_OR_RETURN(taken, artifacts.MoveToTrash(stored.hash, unpinned_since));
    }
    if (taken) {
      ++report.taken;
      report.taken_bytes += stored.size_bytes;
    } else {
      ++report.kept;
      report.kept_bytes += stored.size_bytes;
      report.pinned += !wanted;
    }
  }
  RETORT_RETURN_IF_ERROR(
      EmptyTrash(artifacts, trash, referenced, unpinned_since, options.dry_run, report));
  RETORT_ASSIGN_OR_RETURN(const ArtifactStore::Removed partials,
                          artifacts.RemovePartials(now - kPartialAge, options.dry_run));
  report.partial_removed = partials.files;
  report.partial_bytes = partials.bytes;
  return report;
}

}  // namespace retort
