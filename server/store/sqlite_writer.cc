#include "server/store/sqlite_writer.h"

#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"
#include "retort/v1/resources.pb.h"
#include "retort/v1/worker_service.pb.h"

namespace retort::store {
namespace {

using core::Record;

// Binds values one after another. Texts and blobs stay where they are until the statement has run.
class Binder {
 public:
  explicit Binder(Statement& statement) : statement_(statement) {}

  Binder& operator()(int64_t value) { return statement_.Bind(++index_, value), *this; }
  Binder& operator()(double value) { return statement_.Bind(++index_, value), *this; }
  Binder& operator()(const std::string& value) {
    return statement_.BindKept(++index_, value), *this;
  }
  Binder& Blob(const std::string& bytes) { return statement_.BindKeptBlob(++index_, bytes), *this; }

 private:
  Statement& statement_;
  int index_ = 0;
};

void BindSweepRow(Binder& bind, const core::SweepRow& row) {
  bind(static_cast<int64_t>(row.state))(row.reason)(row.end_ms);
  for (const int64_t count : row.counts) bind(count);
  bind(row.known)(row.cost_open)(row.cost_done)(row.done_s)(row.device_s)(
      int64_t{row.budget_spent});
}

// The records of a batch by how and when they are written.
struct Sorted {
  std::vector<const Record*> first;  // sweeps and workers: others refer to them
  BulkRecords bulk;
  std::vector<const Record*> others;
};

class Sorter {
 public:
  Sorted Sort(const std::vector<const Record*>& records) {
    for (const Record* record : records) {
      std::visit([&](const auto& r) { Add(*record, r); }, *record);
    }
    return std::move(sorted_);
  }

 private:
  void Add(const Record&, const core::JobCreated& r) { sorted_.bulk.created.push_back(&r); }
  void Add(const Record&, const core::JobChanged& r) { sorted_.bulk.changed.push_back(&r); }
  void Add(const Record&, const core::MemberAdded& r) { sorted_.bulk.members.push_back(&r); }
  void Add(const Record&, const core::AttemptEnded& r) { sorted_.bulk.attempts.push_back(&r); }
  void Add(const Record&, const core::ResultAccepted& r) { sorted_.bulk.results.push_back(&r); }
  // It is of an earlier batch, or of this one and then not written at all.
  void Add(const Record& record, const core::ResultWithdrawn& r) {
    std::erase_if(sorted_.bulk.results,
                  [&r](const core::ResultAccepted* result) { return result->job == r.job; });
    sorted_.others.push_back(&record);
  }
  void Add(const Record& record, const core::SweepCreated&) { sorted_.first.push_back(&record); }
  void Add(const Record& record, const core::WorkerCreated&) { sorted_.first.push_back(&record); }
  void Add(const Record& record, const core::SweepChanged& r) { Last(record, sweeps_[r.key]); }
  void Add(const Record& record, const core::WorkerChanged& r) { Last(record, workers_[r.key]); }
  template <typename Other>
  void Add(const Record& record, const Other&) {
    sorted_.others.push_back(&record);
  }

  // Each job of a batch changes the counts of its sweep; only the last of them are written.
  void Last(const Record& record, size_t& place) {
    if (place == 0) {
      sorted_.first.push_back(&record);
      place = sorted_.first.size();
    }
    sorted_.first[place - 1] = &record;
  }

  Sorted sorted_;
  absl::flat_hash_map<core::SweepKey, size_t> sweeps_;    // place in `first`, from 1
  absl::flat_hash_map<core::WorkerKey, size_t> workers_;  // the same
};

}  // namespace

absl::StatusOr<Statement*> SqliteWriter::Get(const char* sql) {
  auto& statement = statements_[sql];
  if (statement == nullptr) {
    auto prepared = db_.Prepare(sql);
    if (!prepared.ok()) return prepared.status();
    statement = std::make_unique<Statement>(*std::move(prepared));
  }
  return statement.get();
}

absl::Status SqliteWriter::Write(const std::vector<const Record*>& records) {
  const Sorted sorted = Sorter().Sort(records);
  for (const Record* record : sorted.first) RETORT_RETURN_IF_ERROR(DoAny(*record));
  RETORT_RETURN_IF_ERROR(bulk_.WriteJobs(sorted.bulk));
  for (const Record* record : sorted.others) RETORT_RETURN_IF_ERROR(DoAny(*record));
  return bulk_.WriteResults(sorted.bulk);
}

absl::Status SqliteWriter::DoAny(const Record& record) {
  return std::visit(
      [this](const auto& r) {
        if constexpr (requires { Do(r); }) {
          return Do(r);
        } else {
          return absl::InternalError("a record that is written in bulk");
        }
      },
      record);
}

absl::Status SqliteWriter::Do(const core::SweepCreated& record) {
  RETORT_ASSIGN_OR_RETURN(
      Statement * row,
      Get("INSERT INTO sweep_rows (key, name, priority, jobs, create_ms, budget_device_s, "
          "budget_wall_ms, budget_cancel, state, reason, end_ms, blocked, queued, leased, running, "
          "succeeded, failed, skipped, cancelled, known, cost_open, cost_done, done_s, device_s, "
          "budget_spent, checkpoint_every_s, wall_limit_s) VALUES "
          "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  Binder bind(*row);
  const core::SweepFixed& fixed = record.fixed;
  bind(record.key.value)(fixed.name)(int64_t{fixed.priority})(fixed.jobs)(fixed.create_ms)(
      fixed.budget.device_s)(fixed.budget.wall_ms)(int64_t{fixed.budget.cancel});
  BindSweepRow(bind, record.row);
  bind(fixed.checkpoint_every_s)(fixed.wall_limit_s);
  RETORT_RETURN_IF_ERROR(row->Run());
  if (record.spec == nullptr) return absl::InternalError("a new sweep without its spec");
  RETORT_ASSIGN_OR_RETURN(Statement * spec,
                          Get("INSERT INTO sweep_specs (key, spec) VALUES (?,?)"));
  const std::string bytes = record.spec->SerializeAsString();
  Binder{*spec}(record.key.value).Blob(bytes);
  return spec->Run();
}

absl::Status SqliteWriter::Do(const core::SweepChanged& record) {
  RETORT_ASSIGN_OR_RETURN(
      Statement * row,
      Get("UPDATE sweep_rows SET state=?, reason=?, end_ms=?, blocked=?, queued=?, leased=?, "
          "running=?, succeeded=?, failed=?, skipped=?, cancelled=?, known=?, cost_open=?, "
          "cost_done=?, done_s=?, device_s=?, budget_spent=? WHERE key=?"));
  Binder bind(*row);
  BindSweepRow(bind, record.after);
  bind(record.key.value);
  return row->Run();
}

absl::Status SqliteWriter::WriteWorker(core::WorkerKey key, const core::WorkerRow& row) {
  RETORT_ASSIGN_OR_RETURN(
      Statement * statement,
      Get("INSERT INTO worker_rows (key, name, host, version, slots, slot_count, incarnation, "
          "state, reason, away, seen_ms, succeeded, failed, streak, streak_ms, last_success_ms) "
          "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (key) DO UPDATE SET "
          "host=excluded.host, version=excluded.version, slots=excluded.slots, "
          "slot_count=excluded.slot_count, incarnation=excluded.incarnation, "
          "state=excluded.state, reason=excluded.reason, away=excluded.away, "
          "seen_ms=excluded.seen_ms, succeeded=excluded.succeeded, failed=excluded.failed, "
          "streak=excluded.streak, streak_ms=excluded.streak_ms, "
          "last_success_ms=excluded.last_success_ms"));
  v1::Worker slots;
  for (const core::Slot& slot : row.slots) {
    auto* added = slots.add_slots();
    added->set_index(slot.index);
    added->set_device(slot.device);
    added->set_memory_bytes(slot.memory_bytes);
  }
  const std::string streak =
      absl::StrJoin(row.streak, ",", [](std::string* out, const core::Mishap& mishap) {
        absl::StrAppend(out, mishap.job.value, ":", static_cast<int>(mishap.cause));
      });
  const std::string slot_bytes = slots.SerializeAsString();
  Binder{*statement}(key.value)(row.name)(row.host)(row.version)
      .Blob(slot_bytes)(static_cast<int64_t>(row.slots.size()))(row.incarnation)(
          static_cast<int64_t>(row.state))(row.reason)(int64_t{row.away})(row.seen_ms)(
          row.succeeded)(row.failed)(streak)(row.streak_ms)(row.last_success_ms);
  return statement->Run();
}

absl::Status SqliteWriter::Do(const core::WorkerCreated& record) {
  return WriteWorker(record.key, record.row);
}

absl::Status SqliteWriter::Do(const core::WorkerChanged& record) {
  return WriteWorker(record.key, record.after);
}

absl::Status SqliteWriter::Do(const core::ResultWithdrawn& record) {
  for (const char* sql :
       {"DELETE FROM result_rows WHERE job=?", "DELETE FROM result_messages WHERE job=?"}) {
    RETORT_ASSIGN_OR_RETURN(Statement * row, Get(sql));
    Binder{*row}(record.job.value);
    RETORT_RETURN_IF_ERROR(row->Run());
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::Do(const core::CheckpointChanged& record) {
  if (!record.after) {
    RETORT_ASSIGN_OR_RETURN(Statement * row, Get("DELETE FROM job_checkpoints WHERE job=?"));
    Binder{*row}(record.job.value);
    return row->Run();
  }
  RETORT_ASSIGN_OR_RETURN(
      Statement * row, Get("INSERT OR REPLACE INTO job_checkpoints (job, file, size, epochs_done, "
                           "steps_done) VALUES (?,?,?,?,?)"));
  const std::string hash = record.after->file.hash.raw();
  Binder{*row}(record.job.value)
      .Blob(hash)(record.after->file.size_bytes)(int64_t{record.after->epochs_done})(
          record.after->steps_done);
  return row->Run();
}

absl::StatusOr<int64_t> SqliteWriter::SeriesKey(const std::string& name) {
  const auto known = series_.find(name);
  if (known != series_.end()) return known->second;
  RETORT_ASSIGN_OR_RETURN(Statement * insert,
                          Get("INSERT INTO series_names (name) VALUES (?) ON CONFLICT DO NOTHING"));
  Binder{*insert}(name);
  RETORT_RETURN_IF_ERROR(insert->Run());
  RETORT_ASSIGN_OR_RETURN(Statement * find, Get("SELECT series FROM series_names WHERE name=?"));
  Binder{*find}(name);
  const auto row = find->Step();
  const int64_t key = row.ok() && *row ? find->Int(0) : 0;
  find->Reset();
  if (!row.ok()) return row.status();
  series_[name] = key;
  return key;
}

absl::Status SqliteWriter::Do(const core::PointsAdded& record) {
  RETORT_ASSIGN_OR_RETURN(Statement * insert,
                          Get("INSERT INTO point_rows (job, series, step, value, unix_ms) VALUES "
                              "(?,?,?,?,?) ON CONFLICT DO NOTHING"));
  RETORT_ASSIGN_OR_RETURN(
      Statement * latest,
      Get("INSERT INTO latest_points (job, series, step, value, unix_ms) VALUES (?,?,?,?,?) ON "
          "CONFLICT (job, series) DO UPDATE SET step=excluded.step, value=excluded.value, "
          "unix_ms=excluded.unix_ms WHERE excluded.step > step"));
  std::map<int64_t, const v1::MetricPoint*> newest;  // by series
  const auto& points = record.batch->points();
  for (int i = record.skip; i < points.size(); ++i) {
    RETORT_ASSIGN_OR_RETURN(const int64_t series, SeriesKey(points[i].series()));
    Binder{*insert}(record.job.value)(series)(points[i].step())(points[i].value())(
        points[i].unix_ms());
    RETORT_RETURN_IF_ERROR(insert->Run());
    const v1::MetricPoint*& kept = newest[series];
    if (kept == nullptr || points[i].step() > kept->step()) kept = &points[i];
  }
  for (const auto& [series, point] : newest) {
    Binder{*latest}(record.job.value)(series)(point->step())(point->value())(point->unix_ms());
    RETORT_RETURN_IF_ERROR(latest->Run());
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::Do(const core::PointsDeleted& record) {
  for (const char* sql : {"DELETE FROM point_rows WHERE job=?1 AND step>=?2",
                          "DELETE FROM latest_points WHERE job=?1 AND step>=?2",
                          "INSERT INTO latest_points (job, series, step, value, unix_ms) "
                          "SELECT job, series, max(step), value, unix_ms FROM point_rows "
                          "WHERE job=?1 AND step<?2 GROUP BY series ON CONFLICT DO NOTHING"}) {
    RETORT_ASSIGN_OR_RETURN(Statement * statement, Get(sql));
    Binder{*statement}(record.job.value)(record.from_step);
    RETORT_RETURN_IF_ERROR(statement->Run());
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::Do(const core::RequestAnswered& record) {
  RETORT_ASSIGN_OR_RETURN(Statement * row,
                          Get("INSERT INTO requests (id, method, sweep, worker, changed, time_ms, "
                              "next, states, causes, arguments, answer) VALUES "
                              "(?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO "
                              "UPDATE SET changed=excluded.changed, next=excluded.next"));
  Binder{*row}(record.request_id)(record.answer.method)(record.answer.sweep.value)(
      record.answer.worker.value)(record.answer.changed)(record.answer.time_ms)(record.answer.next)(
      int64_t{record.answer.states})(int64_t{record.answer.causes})(record.answer.arguments)
      .Blob(record.answer.answer);
  return row->Run();
}

absl::Status SqliteWriter::Do(const core::RequestForgotten& record) {
  RETORT_ASSIGN_OR_RETURN(Statement * row, Get("DELETE FROM requests WHERE id=?"));
  Binder{*row}(record.request_id);
  return row->Run();
}

}  // namespace retort::store
