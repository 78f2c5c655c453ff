// The store in one SQLite database.
#ifndef RETORT_SERVER_STORE_SQLITE_STORE_H_
#define RETORT_SERVER_STORE_SQLITE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/store/store.h"

namespace retort::store {

struct SqliteOptions {
  // For tests: do not flush at each commit.
  bool synchronous = true;
  // Let SQLite look up every reference that is written: a fifth of the cost of a commit. The core
  // keeps references right, tests hold it to that with this on, and Snapshot::Check compares all.
  bool check_references = false;
  // Pages in the write-ahead log after which they are copied to the database: 16 MB.
  int checkpoint_pages = 2000;
  // For tests: the name of a registered sqlite3_vfs that the writing connection uses; the default
  // one if empty.
  std::string vfs = {};
  // For tests: what statfs(2) would say of the folder's filesystem.
  std::optional<uint32_t> filesystem_magic = std::nullopt;
};

// Opens or makes `FOLDER/retort.db`. FAILED_PRECONDITION: another coordinator has the folder (says
// its process), the folder lies on a network filesystem, or the database was written by a newer
// version. DATA_LOSS: it is damaged. PERMISSION_DENIED, RESOURCE_EXHAUSTED, ... from the system.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& folder,
                                                       const SqliteOptions& options = {});

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_SQLITE_STORE_H_
