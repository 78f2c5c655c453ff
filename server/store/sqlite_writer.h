// Records as statements of SQLite.
#ifndef RETORT_SERVER_STORE_SQLITE_WRITER_H_
#define RETORT_SERVER_STORE_SQLITE_WRITER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "server/core/records.h"
#include "server/store/bulk_writer.h"
#include "server/store/sqlite.h"

namespace retort::store {

// Writes records on one connection, inside a transaction of the caller. Threads: one.
class SqliteWriter {
 public:
  explicit SqliteWriter(const Connection& db) : db_(db), bulk_(db) {}

  // Of several changes of a sweep or a worker only the last is written.
  absl::Status Write(const std::vector<const core::Record*>& records);
  // After a transaction that was rolled back: names of series may not be there.
  void Forget() { series_.clear(); }

 private:
  absl::Status DoAny(const core::Record& record);
  absl::Status Do(const core::SweepCreated& record);
  absl::Status Do(const core::SweepChanged& record);
  absl::Status Do(const core::WorkerCreated& record);
  absl::Status Do(const core::WorkerChanged& record);
  absl::Status Do(const core::ResultWithdrawn& record);
  absl::Status Do(const core::CheckpointChanged& record);
  absl::Status Do(const core::PointsAdded& record);
  absl::Status Do(const core::PointsDeleted& record);
  absl::Status Do(const core::RequestAnswered& record);
  absl::Status Do(const core::RequestForgotten& record);
  absl::Status WriteWorker(core::WorkerKey key, const core::WorkerRow& row);
  absl::StatusOr<int64_t> SeriesKey(const std::string& name);
  // A statement prepared once.
  absl::StatusOr<Statement*> Get(const char* sql);

  const Connection& db_;
  BulkWriter bulk_;
  absl::flat_hash_map<const char*, std::unique_ptr<Statement>> statements_;  // by the literal
  absl::flat_hash_map<std::string, int64_t> series_;
};

// Gives all that State holds to the sink, in the order that it needs.
absl::Status LoadRecords(const Connection& db,
                         const std::function<void(const core::Record&)>& sink);

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_SQLITE_WRITER_H_
