#include "server/access/roles.h"

#include "absl/strings/str_cat.h"
#include "common/fields.h"

namespace retort {
namespace {

constexpr bool kYes = true;
constexpr bool kNo = false;

}  // namespace

const std::vector<CallRoles>& AllCallRoles() {
  static const auto& table = *new std::vector<CallRoles>{
      // call                            viewer  operator worker
      {"SweepService/CreateSweep", kNo, kYes, kNo},
      {"SweepService/GetSweep", kYes, kYes, kNo},
      {"SweepService/ListSweeps", kYes, kYes, kNo},
      {"SweepService/PauseSweep", kNo, kYes, kNo},
      {"SweepService/ResumeSweep", kNo, kYes, kNo},
      {"SweepService/CancelSweep", kNo, kYes, kNo},
      {"SweepService/WatchSweep", kYes, kYes, kNo},
      {"SweepService/ListJobs", kYes, kYes, kNo},
      {"SweepService/GetJob", kYes, kYes, kNo},
      {"SweepService/ExplainJob", kYes, kYes, kNo},
      {"SweepService/RetryJobs", kNo, kYes, kNo},
      {"SweepService/CancelJobs", kNo, kYes, kNo},
      {"SweepService/ReadMetrics", kYes, kYes, kNo},
      {"SweepService/TailLogs", kYes, kYes, kNo},
      {"SweepService/ListWorkers", kYes, kYes, kNo},
      {"SweepService/DrainWorker", kNo, kYes, kNo},
      {"SweepService/ReleaseWorker", kNo, kYes, kNo},
      {"SweepService/Query", kYes, kYes, kNo},
      {"WorkerService/Sync", kNo, kNo, kYes},
      {"WorkerService/StreamMetrics", kNo, kNo, kYes},
      {"WorkerService/StreamLogs", kNo, kNo, kYes},
      // Artifacts are named by their hash: whoever does not know it cannot ask for it.
      {"ArtifactService/Missing", kNo, kYes, kYes},
      {"ArtifactService/Upload", kNo, kYes, kYes},
      {"ArtifactService/UploadStatus", kNo, kYes, kYes},
      {"ArtifactService/Download", kYes, kYes, kYes},
      {"AdminService/Check", kNo, kNo, kNo},
      {"AdminService/Backup", kNo, kNo, kNo},
      {"AdminService/CollectGarbage", kNo, kNo, kNo},
      {"AdminService/CreateToken", kNo, kNo, kNo},
      {"AdminService/ListTokens", kNo, kNo, kNo},
      {"AdminService/RevokeToken", kNo, kNo, kNo},
      {"AdminService/GetServerInfo", kYes, kYes, kYes},
      {"AdminService/Diagnose", kYes, kYes, kNo},
  };
  return table;
}

bool MayCall(v1::Role role, std::string_view call) {
  for (const CallRoles& row : AllCallRoles()) {
    if (row.call != call) continue;
    return role == v1::ROLE_ADMIN || (role == v1::ROLE_VIEWER && row.viewer) ||
           (role == v1::ROLE_OPERATOR && row.op) || (role == v1::ROLE_WORKER && row.worker);
  }
  return false;
}

std::string RoleWord(v1::Role role) { return EnumWord(*v1::Role_descriptor(), role); }

absl::StatusOr<v1::Role> ParseRole(std::string_view word) {
  for (const v1::Role role : AllRoles()) {
    if (RoleWord(role) == word) return role;
  }
  return absl::InvalidArgumentError(absl::StrCat("role: '",
                                                 absl::string_view(word.data(), word.size()),
                                                 "'; must be viewer, operator, worker or admin"));
}

const std::vector<v1::Role>& AllRoles() {
  static const auto& roles = *new std::vector<v1::Role>{v1::ROLE_VIEWER, v1::ROLE_OPERATOR,
                                                        v1::ROLE_WORKER, v1::ROLE_ADMIN};
  return roles;
}

}  // namespace retort
