// Reads of the SQLite store on read-only connections.
#ifndef RETORT_SERVER_STORE_SQLITE_READER_H_
#define RETORT_SERVER_STORE_SQLITE_READER_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/store/sqlite.h"
#include "server/store/store.h"

namespace retort::store {

// One read-only connection with the statements that were prepared on it.
class ReadConnection {
 public:
  explicit ReadConnection(Connection db) : db_(std::move(db)) {}

  const Connection& db() const { return db_; }
  // A statement without bound values; prepared once for each text.
  absl::StatusOr<Statement*> Get(const std::string& sql);
  // Ends what a statement that was not read to its end, or a transaction, keeps open.
  void ResetAll();

 private:
  Connection db_;
  std::map<std::string, Statement> statements_;  // destroyed before the connection
};

// Read-only connections that are lent for one call each. Threads: any.
class ReadPool {
 public:
  explicit ReadPool(std::string path) : path_(std::move(path)) {}

  // Gives itself back.
  class Lent {
   public:
    Lent(const ReadPool& pool, std::unique_ptr<ReadConnection> connection)
        : pool_(&pool), connection_(std::move(connection)) {}
    Lent(Lent&&) = default;
    ~Lent();
    ReadConnection* operator->() const { return connection_.get(); }
    ReadConnection& operator*() const { return *connection_; }

   private:
    const ReadPool* pool_;
    std::unique_ptr<ReadConnection> connection_;
  };
  absl::StatusOr<Lent> Lend() const;

 private:
  const std::string path_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<ReadConnection>> idle_;  // guarded by mutex_
};

class SqliteReader : public Reader {
 public:
  explicit SqliteReader(const std::string& path) : pool_(path), path_(path) {}

  absl::StatusOr<v1::Sweep> Sweep(std::string_view name) const override;
  absl::StatusOr<SweepPage> Sweeps(std::optional<int64_t> after, int limit) const override;
  absl::StatusOr<JobPage> Jobs(const JobFilter& filter, std::optional<int64_t> after,
                               int limit) const override;
  absl::StatusOr<v1::Job> Job(std::string_view hex_prefix) const override;
  absl::StatusOr<std::vector<std::string>> JobSpecs(
      const std::vector<core::JobKey>& keys) const override;
  absl::StatusOr<v1::SweepSpec> SweepSpec(core::SweepKey key) const override;
  absl::StatusOr<std::vector<v1::MetricPoint>> Metrics(const JobId& job,
                                                       const std::vector<std::string>& series,
                                                       int max_points) const override;
  absl::StatusOr<WorkerPage> Workers(std::string_view after, int limit) const override;
  absl::StatusOr<v1::Worker> Worker(std::string_view name) const override;
  absl::StatusOr<QueryResult> Query(
      std::string_view sql, const QueryLimits& limits,
      const std::function<void(const std::vector<std::string>&)>& columns,
      const std::function<bool(const std::vector<Cell>&)>& row) const override;

 private:
  ReadPool pool_;
  const std::string path_;
};

// Query on a connection of its own (sqlite_query.cc).
absl::StatusOr<QueryResult> RunQuery(
    const std::string& path, std::string_view sql, const QueryLimits& limits,
    const std::function<void(const std::vector<std::string>&)>& columns,
    const std::function<bool(const std::vector<Cell>&)>& row);

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_SQLITE_READER_H_
