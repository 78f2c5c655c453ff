// What a coordinator finds when it looks after itself: facts, and what is to be said of them.
#ifndef RETORT_SERVER_RPC_DIAGNOSE_H_
#define RETORT_SERVER_RPC_DIAGNOSE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/checkups.h"
#include "server/access/access_folder.h"
#include "server/coordinator.h"

namespace retort {

struct CoordinatorFacts {
  std::string version;
  absl::StatusOr<FolderFacts> folder = absl::UnknownError("");
  int64_t database_bytes = 0;
  int64_t log_bytes = 0;  // of the database's write-ahead log
  int64_t descriptors = 0;
  bool asks_for_tokens = false;
  bool encrypts = false;
  std::vector<std::pair<std::string, mode_t>> secrets;  // below the coordinator's folder
  std::optional<absl::Time> certificate_end;

  struct Worker {
    std::string name;
    std::string version;
    std::string reason = {};  // why it is not active
    bool quarantined = false;
    bool draining = false;
    bool away = false;
  };
  std::vector<Worker> workers;
};

// Reads files and the state; blocks for some milliseconds. `access`: null if nobody asks for
// tokens. UNAVAILABLE: the coordinator ends.
absl::StatusOr<CoordinatorFacts> LookAfter(Coordinator& coordinator, const std::string& folder,
                                           const AccessFolder* access);

// Pure; in a fixed order.
std::vector<v1::Checkup> Judge(const CoordinatorFacts& facts, absl::Time now);

}  // namespace retort

#endif  // RETORT_SERVER_RPC_DIAGNOSE_H_
