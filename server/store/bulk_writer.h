// The tables that jobs fill, written with one statement each for all that a commit has for them.
#ifndef RETORT_SERVER_STORE_BULK_WRITER_H_
#define RETORT_SERVER_STORE_BULK_WRITER_H_

#include <vector>

#include "absl/status/status.h"
#include "server/core/records.h"
#include "server/store/record_table.h"
#include "server/store/sqlite.h"

namespace retort::store {

// Records by kind, each in the order of the batch: of several that write one row the last holds.
struct BulkRecords {
  std::vector<const core::JobCreated*> created;
  std::vector<const core::JobChanged*> changed;
  std::vector<const core::MemberAdded*> members;
  std::vector<const core::AttemptEnded*> attempts;
  std::vector<const core::ResultAccepted*> results;
};

// Writes on one connection, inside a transaction of the caller, who rolls it back after an error:
// what a statement had written by then is still there (OR FAIL), so that SQLite need not keep the
// pages of before for each. Threads: one.
class BulkWriter {
 public:
  explicit BulkWriter(const Connection& db);

  // Jobs, their sweeps and their attempts; sweeps and workers are there. Errors of SQLite; INTERNAL
  // for a new job without its spec.
  absl::Status WriteJobs(const BulkRecords& records);
  // Results; void ones are gone. Errors of SQLite; INTERNAL for one without its content.
  absl::Status WriteResults(const BulkRecords& records);

 private:
  const Connection& db_;
  RecordTable<core::JobCreated> jobs_;
  RecordTable<core::JobCreated> states_;
  RecordTable<core::JobCreated> specs_;
  RecordTable<core::JobChanged> changes_;
  RecordTable<core::MemberAdded> members_;
  RecordTable<core::AttemptEnded> attempts_;
  RecordTable<core::ResultAccepted> results_;
  RecordTable<core::ResultAccepted> messages_;
};

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_BULK_WRITER_H_
