#include "server/store/sqlite_reader.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "common/status.h"
#include "server/core/job_state.h"
#include "server/store/messages.h"
#include "server/store/sqlite_rows.h"

namespace retort::store {
namespace {

constexpr size_t kMostIdle = 16;

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

absl::StatusOr<int64_t> ActiveSlots(ReadConnection& db) {
  RETORT_ASSIGN_OR_RETURN(
      Statement * sum,
      db.Get("SELECT coalesce(sum(slot_count), 0) FROM worker_rows WHERE state=1 AND away=0"));
  RETORT_RETURN_IF_ERROR(sum->Step().status());
  return sum->Int(0);
}

// The key of a sweep by name.
absl::StatusOr<int64_t> SweepKeyOf(ReadConnection& db, std::string_view name) {
  RETORT_ASSIGN_OR_RETURN(Statement * find, db.Get("SELECT key FROM sweep_rows WHERE name=?"));
  find->Bind(1, name);
  RETORT_ASSIGN_OR_RETURN(const bool found, find->Step());
  if (!found) return absl::NotFoundError(absl::StrCat(SweepName(name), ": no such sweep"));
  return find->Int(0);
}

std::string JobSelect(bool full) {
  return absl::StrCat(
      "SELECT ", kJobColumns,
      ", j.key, j.id, t.id, j.kind, j.cost, j.create_ms, d.model, d.method, d.teacher, d.seed, "
      "d.fold, d.epochs, k.name, "
      "CASE WHEN now.cause = 0 THEN '' ELSE (SELECT message FROM attempt_rows a "
      "WHERE a.job = j.key AND a.cause != 0 ORDER BY number DESC LIMIT 1) END, "
      "CASE WHEN now.state != 4 THEN 0 ELSE (SELECT max(step) + 1 FROM latest_points p "
      "WHERE p.job = j.key) END",
      full ? ", d.spec, r.result" : "");
}

std::string JobJoins(bool full) {
  return absl::StrCat(
      " JOIN job_states now ON now.job = j.key JOIN job_specs d ON d.key = j.key "
      "LEFT JOIN job_rows t ON t.key = j.teacher LEFT JOIN worker_rows k ON k.key = now.worker",
      full ? " LEFT JOIN result_messages r ON r.job = j.key" : "");
}

absl::StatusOr<v1::Job> ReadJob(const Statement& row, bool full) {
  JobParts parts;
  parts.row = ReadJobRow(row, 0);
  int at = kJobColumnCount + 1;  // behind the key
  RETORT_ASSIGN_OR_RETURN(parts.id, JobId::FromRaw(row.Blob(at++)));
  if (!row.IsNull(at)) {
    RETORT_ASSIGN_OR_RETURN(parts.teacher, JobId::FromRaw(row.Blob(at)));
  }
  ++at;
  parts.kind = static_cast<core::JobKind>(row.Int(at++));
  parts.expected_cost = row.Real(at++);
  parts.create_ms = row.Int(at++);
  parts.model = row.Text(at++);
  parts.method = row.Text(at++);
  parts.teacher_label = row.Text(at++);
  parts.seed = row.Int(at++);
  parts.fold = static_cast<int32_t>(row.Int(at++));
  parts.epochs = static_cast<int32_t>(row.Int(at++));
  parts.worker = row.Text(at++);
  parts.failure_message = row.Text(at++);
  parts.epochs_done = std::min(parts.epochs, static_cast<int32_t>(row.Int(at++)));
  v1::Job job = JobMessage(parts);
  if (!full) return job;
  const std::string_view spec = row.Blob(at++);
  if (!job.mutable_spec()->ParseFromArray(spec.data(), static_cast<int>(spec.size()))) {
    return absl::DataLossError(absl::StrCat(job.name(), ": its spec is damaged"));
  }
  if (row.IsNull(at)) return job;
  const std::string_view result = row.Blob(at);
  if (!job.mutable_result()->ParseFromArray(result.data(), static_cast<int>(result.size()))) {
    return absl::DataLossError(absl::StrCat(job.name(), ": its result is damaged"));
  }
  return job;
}

v1::MetricPoint ReadPoint(const Statement& row) {
  v1::MetricPoint point;
  point.set_series(std::string(row.Text(0)));
  point.set_step(row.Int(1));
  point.set_value(row.IsNull(2) ? std::numeric_limits<double>::quiet_NaN() : row.Real(2));
  point.set_unix_ms(row.Int(3));
  return point;
}

// A series' points (step, value, time), those of them that are to be kept. Of a long one most are
// left out, so that messages are made of the rest alone.
absl::Status AddThinned(Statement& rows, const std::string& series, int max_points,
                        std::vector<v1::MetricPoint>& out) {
  struct Point {
    int64_t step;
    double value;
    int64_t unix_ms;
  };
  std::vector<Point> points;
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) break;
    const double value = rows.IsNull(1) ? std::numeric_limits<double>::quiet_NaN() : rows.Real(1);
    points.push_back({rows.Int(0), value, rows.Int(2)});
  }
  for (const int64_t i : Thinned(static_cast<int64_t>(points.size()), max_points)) {
    const Point& kept = points[static_cast<size_t>(i)];
    v1::MetricPoint& point = out.emplace_back();
    point.set_series(series);
    point.set_step(kept.step);
    point.set_value(kept.value);
    point.set_unix_ms(kept.unix_ms);
  }
  return absl::OkStatus();
}

absl::Status AddAttempts(ReadConnection& db, int64_t key, v1::Job& job) {
  RETORT_ASSIGN_OR_RETURN(
      Statement * rows,
      db.Get("SELECT a.number, k.name, a.lease_ms, a.start_ms, a.end_ms, a.cause, a.message FROM "
             "attempt_rows a JOIN worker_rows k ON k.key = a.worker WHERE a.job=?1 UNION ALL "
             "SELECT now.attempt, k.name, now.lease_ms, now.start_ms, 0, 0, '' FROM job_states now "
             "JOIN worker_rows k ON k.key = now.worker WHERE now.job=?1 AND now.state IN (3, 4) "
             "ORDER BY 1"));
  rows->Bind(1, key);
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return absl::OkStatus();
    core::AttemptEnded attempt;
    attempt.number = static_cast<int32_t>(rows->Int(0));
    attempt.lease_ms = rows->Int(2);
    attempt.start_ms = rows->Int(3);
    attempt.end_ms = rows->Int(4);
    attempt.cause = static_cast<core::FailureCause>(rows->Int(5));
    attempt.message = rows->Text(6);
    *job.add_attempts() = AttemptMessage(attempt, std::string(rows->Text(1)));
  }
}

absl::Status AddLatest(ReadConnection& db, int64_t key, v1::Job& job) {
  RETORT_ASSIGN_OR_RETURN(
      Statement * rows,
      db.Get("SELECT n.name, p.step, p.value, p.unix_ms FROM latest_points p JOIN series_names n "
             "ON n.series = p.series WHERE p.job=? ORDER BY n.name"));
  rows->Bind(1, key);
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return absl::OkStatus();
    *job.add_latest_metrics() = ReadPoint(*rows);
  }
}

}  // namespace

absl::StatusOr<Statement*> ReadConnection::Get(const std::string& sql) {
  auto it = statements_.find(sql);
  if (it == statements_.end()) {
    auto prepared = db_.Prepare(sql);
    if (!prepared.ok()) return prepared.status();
    it = statements_.emplace(sql, *std::move(prepared)).first;
  }
  it->second.Reset();
  return &it->second;
}

void ReadConnection::ResetAll() {
  for (auto& [sql, statement] : statements_) statement.Reset();
  if (sqlite3_get_autocommit(db_.get()) == 0) db_.Execute("ROLLBACK").IgnoreError();
}

ReadPool::Lent::~Lent() {
  if (connection_ == nullptr) return;
  connection_->ResetAll();
  const std::lock_guard lock(pool_->mutex_);
  if (pool_->idle_.size() < kMostIdle) pool_->idle_.push_back(std::move(connection_));
}

absl::StatusOr<ReadPool::Lent> ReadPool::Lend() const {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      return Lent(*this, std::move(connection));
    }
  }
  RETORT_ASSIGN_OR_RETURN(Connection db, Connection::Open(path_, SQLITE_OPEN_READONLY));
  RETORT_RETURN_IF_ERROR(db.Execute("PRAGMA busy_timeout=5000; PRAGMA query_only=1;"));
  return Lent(*this, std::make_unique<ReadConnection>(std::move(db)));
}

absl::StatusOr<v1::Sweep> SqliteReader::Sweep(std::string_view name) const {
  RETORT_ASSIGN_OR_RETURN(const auto db, pool_.Lend());
  RETORT_ASSIGN_OR_RETURN(const int64_t slots, ActiveSlots(*db));
  RETORT_ASSIGN_OR_RETURN(Statement * row,
                          db->Get(absl::StrCat("SELECT ", kSweepColumns,
                                               ", (SELECT spec FROM sweep_specs p WHERE p.key = "
                                               "sweep_rows.key) FROM sweep_rows WHERE name=?")));
  row->Bind(1, name);
  RETORT_ASSIGN_OR_RETURN(const bool found, row->Step());
  if (!found) return absl::NotFoundError(absl::StrCat(SweepName(name), ": no such sweep"));
  v1::Sweep sweep = SweepMessage(ReadSweepFixed(*row), ReadSweepRow(*row), slots);
  const std::string_view spec = row->Blob(kSweepColumnCount);
  if (!sweep.mutable_spec()->ParseFromArray(spec.data(), static_cast<int>(spec.size()))) {
    return absl::DataLossError(absl::StrCat(sweep.name(), ": its spec is damaged"));
  }
  return sweep;
}

absl::StatusOr<SweepPage> SqliteReader::Sweeps(std::optional<int64_t> after, int limit) const {
  RETORT_ASSIGN_OR_RETURN(const auto db, pool_.Lend());
  RETORT_ASSIGN_OR_RETURN(const int64_t slots, ActiveSlots(*db));
  RETORT_ASSIGN_OR_RETURN(Statement * rows,
                          db->Get(absl::StrCat("SELECT ", kSweepColumns, " FROM sweep_rows WHERE ",
                                               "key < ? ORDER BY key DESC LIMIT ?")));
  rows->Bind(1, after.value_or(std::numeric_limits<int64_t>::max())).Bind(2, int64_t{limit} + 1);
  SweepPage page;
  int64_t last = 0;
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return page;
    if (static_cast<int>(page.sweeps.size()) == limit) {
      page.next = last;
      return page;
    }
    last = rows->Int(0);
    page.sweeps.push_back(SweepMessage(ReadSweepFixed(*rows), ReadSweepRow(*rows), slots));
  }
}

absl::StatusOr<JobPage> SqliteReader::Jobs(const JobFilter& filter, std::optional<int64_t> after,
                                           int limit) const {
  RETORT_ASSIGN_OR_RETURN(const auto db, pool_.Lend());
  int64_t sweep = 0;
  if (!filter.sweep.empty()) {
    RETORT_ASSIGN_OR_RETURN(sweep, SweepKeyOf(*db, filter.sweep));
  }
  std::string states, counts;
  for (const core::JobState state : filter.states) {
    absl::StrAppend(&states, states.empty() ? "" : ",", static_cast<int>(state));
    absl::StrAppend(&counts, counts.empty() ? "" : "+", Absl(core::WordFor(state)));
  }
  // A sweep knows how many of its jobs are in these states: once they are found nobody looks
  // through the others, which may be a million.
  const std::string most =
      sweep == 0 || states.empty()
          ? "?2"
          : absl::StrCat("min(?2, (SELECT ", counts, " FROM sweep_rows WHERE key = ?3))");
  const char* place = sweep != 0 ? "m.position" : "j.key";
  const std::string sql = absl::StrCat(
      JobSelect(filter.full), ", ", place,
      sweep != 0 ? " FROM members m CROSS JOIN job_rows j ON j.key = m.job" : " FROM job_rows j",
      JobJoins(filter.full), " WHERE ", place, " > ?1 ", sweep != 0 ? "AND m.sweep = ?3 " : "",
      states.empty() ? "" : absl::StrCat("AND now.state IN (", states, ") "), "ORDER BY ", place,
      " LIMIT ", most);
  RETORT_ASSIGN_OR_RETURN(Statement * rows, db->Get(sql));
  rows->Bind(1, after.value_or(-1)).Bind(2, int64_t{limit} + 1);
  if (sweep != 0) rows->Bind(3, sweep);
  JobPage page;
  int64_t last = 0;
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return page;
    if (static_cast<int>(page.jobs.size()) == limit) {
      page.next = last;
      return page;
    }
    last = rows->Int(sqlite3_column_count(rows->get()) - 1);
    RETORT_ASSIGN_OR_RETURN(v1::Job job, ReadJob(*rows, filter.full));
    page.jobs.push_back(std::move(job));
  }
}

absl::StatusOr<v1::Job> SqliteReader::Job(std::string_view hex_prefix) const {
  RETORT_ASSIGN_OR_RETURN(const auto range, IdRange(hex_prefix));
  RETORT_ASSIGN_OR_RETURN(const auto db, pool_.Lend());
  RETORT_ASSIGN_OR_RETURN(
      Statement * row,
      db->Get(absl::StrCat(JobSelect(true), " FROM job_rows j", JobJoins(true),
                           " WHERE substr(j.id, 1, 4) BETWEEN substr(?1, 1, 4) AND "
                           "substr(?2, 1, 4) AND j.id BETWEEN ?1 AND ?2 "
                           "LIMIT 2")));
  row->BindBlob(1, range.first.raw()).BindBlob(2, range.second.raw());
  RETORT_ASSIGN_OR_RETURN(const bool found, row->Step());
  if (!found) {
    return absl::NotFoundError(absl::StrCat("jobs/", Absl(hex_prefix), ": no such job"));
  }
  RETORT_ASSIGN_OR_RETURN(v1::Job job, ReadJob(*row, true));
  const int64_t key = row->Int(kJobColumnCount);
  RETORT_ASSIGN_OR_RETURN(const bool second, row->Step());
  if (second) {
    return absl::InvalidArgumentError(
        absl::StrCat("jobs/", Absl(hex_prefix), ": several jobs begin so; give more digits"));
  }
  RETORT_RETURN_IF_ERROR(AddAttempts(*db, key, job));
  RETORT_RETURN_IF_ERROR(AddLatest(*db, key, job));
  return job;
}

absl::StatusOr<std::vector<std::string>> SqliteReader::JobSpecs(
    const std::vector<core::JobKey>& keys) const {
  std::vector<std::string> specs;
  if (keys.empty()) return specs;
  RETORT_ASSIGN_OR_RETURN(const auto db, pool_.Lend());
  // One transaction for all of them: locking and unlocking the log for each takes as long as the
  // reading.
  RETORT_ASSIGN_OR_RETURN(Statement * begin, db->Get("BEGIN"));
  RETORT_RETURN_IF_ERROR(begin->Run());
  for (const core::JobKey key : keys) {
    RETORT_ASSIGN_OR_RETURN(Statement * row, db->Get("SELECT spec FROM job_specs WHERE key=?"));
    row->Bind(1, key.value);
    RETORT_ASSIGN_OR_RETURN(const bool found, row->Step());
    if (!found) return absl::InternalError(absl::StrCat("job ", key.value, " has no spec"));
    specs.emplace_back(row->Blob(0));
  }
  RETORT_ASSIGN_OR_RETURN(Statement * end, db->Get("COMMIT"));
  RETORT_RETURN_IF_ERROR(end->Run());
  return specs;
}

absl::StatusOr<v1::SweepSpec> SqliteReader::SweepSpec(core::SweepKey key) const {
  RETORT_ASSIGN_OR_RETURN(const auto db, pool_.Lend());
  RETORT_ASSIGN_OR_RETURN(Statement * row, db->Get("SELECT spec FROM sweep_specs WHERE key=?"));
  row->Bind(1, key.value);
  RETORT_ASSIGN_OR_RETURN(const bool found, row->Step());
  const std::string_view bytes = found ? row->Blob(0) : std::string_view();
  v1::SweepSpec spec;
  if (!found || !spec.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError(absl::StrCat("sweep ", key.value, " has no readable spec"));
  }
  return spec;
}

absl::StatusOr<std::vector<v1::MetricPoint>> SqliteReader::Metrics(
    const JobId& job, const std::vector<std::string>& series, int max_points) const {
  RETORT_ASSIGN_OR_RETURN(const auto db, pool_.Lend());
  RETORT_ASSIGN_OR_RETURN(
      Statement * find,
      db->Get("SELECT key FROM job_rows WHERE substr(id, 1, 4)=substr(?1, 1, 4) AND id=?1"));
  find->BindBlob(1, job.raw());
  RETORT_ASSIGN_OR_RETURN(const bool found, find->Step());
  if (!found) return absl::NotFoundError(absl::StrCat(JobName(job), ": no such job"));
  const int64_t key = find->Int(0);
  RETORT_ASSIGN_OR_RETURN(
      Statement * names,
      db->Get("SELECT p.series, n.name FROM latest_points p JOIN series_names n ON n.series = "
              "p.series WHERE p.job=? ORDER BY n.name"));
  names->Bind(1, key);
  std::vector<v1::MetricPoint> out;
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool more, names->Step());
    if (!more) return out;
    const std::string name(names->Text(1));
    if (!series.empty() && std::find(series.begin(), series.end(), name) == series.end()) continue;
    RETORT_ASSIGN_OR_RETURN(Statement * rows,
                            db->Get("SELECT step, value, unix_ms FROM point_rows WHERE job=? AND "
                                    "series=? ORDER BY step"));
    rows->Bind(1, key).Bind(2, names->Int(0));
    RETORT_RETURN_IF_ERROR(AddThinned(*rows, name, max_points, out));
  }
}

absl::StatusOr<WorkerPage> SqliteReader::Workers(std::string_view after, int limit) const {
  RETORT_ASSIGN_OR_RETURN(const auto db, pool_.Lend());
  RETORT_ASSIGN_OR_RETURN(
      Statement * rows, db->Get(absl::StrCat("SELECT ", kWorkerColumns, " FROM worker_rows WHERE ",
                                             "name > ? ORDER BY name LIMIT ?")));
  rows->Bind(1, after).Bind(2, int64_t{limit} + 1);
  WorkerPage page;
  std::string last;
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return page;
    if (static_cast<int>(page.workers.size()) == limit) {
      page.next = last;
      return page;
    }
    last = rows->Text(1);
    page.workers.push_back(WorkerMessage(ReadWorkerRow(*rows)));
  }
}

absl::StatusOr<v1::Worker> SqliteReader::Worker(std::string_view name) const {
  RETORT_ASSIGN_OR_RETURN(const auto db, pool_.Lend());
  RETORT_ASSIGN_OR_RETURN(Statement * row, db->Get(absl::StrCat("SELECT ", kWorkerColumns,
                                                                " FROM worker_rows WHERE name=?")));
  row->Bind(1, name);
  RETORT_ASSIGN_OR_RETURN(const bool found, row->Step());
  if (!found) return absl::NotFoundError(absl::StrCat(WorkerName(name), ": no such worker"));
  return WorkerMessage(ReadWorkerRow(*row));
}

absl::StatusOr<QueryResult> SqliteReader::Query(
    std::string_view sql, const QueryLimits& limits,
    const std::function<void(const std::vector<std::string>&)>& columns,
    const std::function<bool(const std::vector<Cell>&)>& row) const {
  return RunQuery(path_, sql, limits, columns, row);
}

}  // namespace retort::store
