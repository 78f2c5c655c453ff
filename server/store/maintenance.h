// Looking after a database as a whole: one consistent view of it, what is wrong with it, what it
// refers to, and a copy of it.
#ifndef RETORT_SERVER_STORE_MAINTENANCE_H_
#define RETORT_SERVER_STORE_MAINTENANCE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/types.h"
#include "server/store/sqlite.h"

namespace retort::store {

// How many rows there are.
struct DatabaseFacts {
  int64_t schema_version = 0;
  int64_t sweeps = 0;
  int64_t jobs = 0;
  int64_t results = 0;
  int64_t points = 0;  // 0 where they were not counted
};

// What is wrong. Same numbers as v1::FindingCode.
enum class FindingCode : uint8_t {
  kDatabaseDamaged = 1,
  kRowsInconsistent = 2,
  kArtifactMissing = 3,
  kArtifactDamaged = 4,
  kArtifactSize = 5,
  kStrayFile = 6,
  kUnreadable = 7,
};

// One thing that is wrong.
struct Finding {
  FindingCode code = FindingCode::kDatabaseDamaged;
  bool error = true;    // else a warning: nothing is lost
  std::string subject;  // a hash, a job's id, a table, a path below the coordinator's folder
  std::string message;  // what is wrong and what to do, a sentence
};
using FindingSink = std::function<void(const Finding&)>;

// A read-only view of a database at one moment, beside a writer or without one. While it is open
// the write-ahead log cannot shrink. Threads: one at a time.
class Snapshot {
 public:
  // `cancelled` may be unset; it is asked often, and the call that runs ends with CANCELLED.
  // NOT_FOUND: no database. DATA_LOSS: it cannot be read at all. FAILED_PRECONDITION: of another
  // schema version than this program's.
  static absl::StatusOr<std::unique_ptr<Snapshot>> Open(const std::string& path,
                                                        std::function<bool()> cancelled = nullptr);

  // Numbers of rows.
  absl::StatusOr<DatabaseFacts> Facts();

  // Every artifact that something refers to, some several times: weights of results and datasets of
  // sweeps with `certain`; without it whatever else looks like a SHA-256 in specs of sweeps and
  // jobs, of an unknown size.
  absl::Status References(const std::function<void(const core::Artifact&, bool certain)>& sink);

  // Compares everything: SQLite's own check, references between rows, the core's invariants,
  // attempts, results and points. `quick` leaves out what reads every point.
  absl::Status Check(bool quick, const FindingSink& sink);

 private:
  explicit Snapshot(std::string path) : path_(std::move(path)) {}

  absl::Status CheckSqlite(const FindingSink& sink, bool& sound);
  absl::Status CheckKeys(const FindingSink& sink, bool& sound);
  absl::Status CheckRows(const FindingSink& sink);
  absl::Status CheckState(const FindingSink& sink);
  absl::Status CheckPoints(const FindingSink& sink, bool quick);
  // CANCELLED instead of what SQLite says of an interruption.
  absl::Status Named(const absl::Status& status) const;

  const std::string path_;
  std::function<bool()> cancelled_;
  Connection db_;
};

// Copies the database at `from`, as it is at one moment, to the new file `to`, durably; `to` needs
// no write-ahead log beside it. A writer goes on meanwhile. `progress` (may be unset) is called
// with bytes done and of all.
absl::Status CopyDatabase(const std::string& from, const std::string& to,
                          const std::function<void(int64_t, int64_t)>& progress,
                          const std::function<bool()>& cancelled);

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_MAINTENANCE_H_
