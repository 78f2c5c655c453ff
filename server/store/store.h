// Where the coordinator's decisions become durable, and where its content is read.
#ifndef RETORT_SERVER_STORE_STORE_H_
#define RETORT_SERVER_STORE_STORE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "retort/v1/resources.pb.h"
#include "retort/v1/result.pb.h"
#include "server/core/decide.h"
#include "server/core/records.h"
#include "server/core/types.h"

namespace retort::store {

// How a commit ended.
struct CommitResult {
  enum class Outcome {
    kDone,     // durable
    kNotDone,  // nothing was written: RESOURCE_EXHAUSTED (disk full) or UNAVAILABLE (busy,
               // read-only)
    kUnknown,  // it may or may not have been written: Reopen and load again
  };
  Outcome outcome = Outcome::kDone;
  absl::Status status;  // OK exactly if done

  static CommitResult Done() { return {}; }
  static CommitResult NotDone(absl::Status status) {
    return {Outcome::kNotDone, std::move(status)};
  }
  static CommitResult Unknown(absl::Status status) {
    return {Outcome::kUnknown, std::move(status)};
  }
};

// A page by key: `next` is what to give as `after` for the following page, unset on the last.
struct SweepPage {
  std::vector<v1::Sweep> sweeps;  // newest first, without specs
  std::optional<int64_t> next;
};
struct JobPage {
  std::vector<v1::Job> jobs;  // in the order of expansion, or of creation without a sweep
  std::optional<int64_t> next;
};
struct WorkerPage {
  std::vector<v1::Worker> workers;  // by name
  std::optional<std::string> next;
};

struct JobFilter {
  std::string sweep;                   // name without `sweeps/`; empty: all jobs
  std::vector<core::JobState> states;  // all if empty
  bool full = false;                   // with spec and result
};

struct QueryLimits {
  int64_t rows = 100'000;
  absl::Duration time = absl::Seconds(30);    // includes what the receiver of the rows takes
  int64_t memory_bytes = int64_t{256} << 20;  // that sorting, grouping and recursion may hold
  std::function<bool()> stopped;  // asked often while it runs: true ends it. May be empty
};
// Bytes that are no UTF-8.
struct Blob {
  std::string bytes;

  friend bool operator==(const Blob&, const Blob&) = default;
};
// A value of a row: null, a number, a text (UTF-8) or bytes.
using Cell = std::variant<std::monostate, int64_t, double, std::string, Blob>;
struct QueryResult {
  int64_t rows = 0;
  bool truncated = false;  // rows were left out because of the limit
};

// Reads committed content. Threads: any, at the same time; never blocks the writer.
class Reader {
 public:
  virtual ~Reader() = default;

  // One sweep by name (without `sweeps/`), with its spec. NOT_FOUND.
  virtual absl::StatusOr<v1::Sweep> Sweep(std::string_view name) const = 0;
  // Newest first; `after` from the page before, unset for the first.
  virtual absl::StatusOr<SweepPage> Sweeps(std::optional<int64_t> after, int limit) const = 0;
  // NOT_FOUND: no such sweep.
  virtual absl::StatusOr<JobPage> Jobs(const JobFilter& filter, std::optional<int64_t> after,
                                       int limit) const = 0;
  // One job with spec, result, attempts and the latest value of each series, by the digits of its
  // id or a prefix of them. NOT_FOUND; INVALID_ARGUMENT if several jobs begin so.
  virtual absl::StatusOr<v1::Job> Job(std::string_view hex_prefix) const = 0;
  // Serialised v1::TrainingSpec of each job, in the order asked. INTERNAL if one is missing.
  virtual absl::StatusOr<std::vector<std::string>> JobSpecs(
      const std::vector<core::JobKey>& keys) const = 0;
  // The spec that a sweep was submitted with, for expanding it again after a restart.
  virtual absl::StatusOr<v1::SweepSpec> SweepSpec(core::SweepKey key) const = 0;
  // Points of a job by series, then step; at most `max_points` of each series, thinned evenly with
  // first and last kept. All series if `series` is empty. NOT_FOUND: no such job.
  virtual absl::StatusOr<std::vector<v1::MetricPoint>> Metrics(
      const JobId& job, const std::vector<std::string>& series, int max_points) const = 0;
  // By name; `after` from the page before, empty for the first. Which jobs they have the strand
  // knows (server/progress.h).
  virtual absl::StatusOr<WorkerPage> Workers(std::string_view after, int limit) const = 0;
  // One worker by name (without `workers/`). NOT_FOUND.
  virtual absl::StatusOr<v1::Worker> Worker(std::string_view name) const = 0;
  // Runs one SELECT over the documented views (README.md). `columns` is called once, then `row` for
  // each row until it returns false. INVALID_ARGUMENT: not one SELECT, a name that does not exist,
  // or something that is not allowed; DEADLINE_EXCEEDED; RESOURCE_EXHAUSTED: it needs too much
  // memory; CANCELLED: stopped; UNIMPLEMENTED by stores that know no SQL.
  virtual absl::StatusOr<QueryResult> Query(
      std::string_view sql, const QueryLimits& limits,
      const std::function<void(const std::vector<std::string>&)>& columns,
      const std::function<bool(const std::vector<Cell>&)>& row) const = 0;
};

// Threads: one (the strand), but for reader().
class Store {
 public:
  virtual ~Store() = default;

  // Writes all in one transaction; durable when it returns kDone.
  virtual CommitResult Commit(const std::vector<const core::Record*>& records) = 0;
  // What a commit leaves to do, for which nobody has to wait: called once its replies were sent.
  virtual void TidyUp() {}
  // Everything that State holds, as records to State::Load, in an order in which what is referred
  // to comes first. DATA_LOSS: the database is damaged.
  virtual absl::Status Load(const std::function<void(const core::Record&)>& sink) = 0;
  // Closes and opens what may be broken after an unknown outcome. Readers stay valid.
  virtual absl::Status Reopen() = 0;
  // Valid as long as the store.
  virtual const Reader& reader() const = 0;
};

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_STORE_H_
