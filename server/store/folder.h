// The folder of a coordinator belongs to one process at a time, and lies on a local disk.
#ifndef RETORT_SERVER_STORE_FOLDER_H_
#define RETORT_SERVER_STORE_FOLDER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/files.h"

namespace retort::store {

// Takes the folder, by whatever path it is named, until the descriptor is closed; the death of the
// process closes it too. FAILED_PRECONDITION: another process has it (says which).
absl::StatusOr<UniqueFd> LockFolder(const std::string& folder);

// FAILED_PRECONDITION if the folder lies on a network filesystem, on which locks and shared memory
// do not hold between machines. `pretended` replaces the number that statfs(2) gives, for tests.
absl::Status RefuseNetworkFilesystem(const std::string& folder,
                                     std::optional<uint32_t> pretended = std::nullopt);

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_FOLDER_H_
