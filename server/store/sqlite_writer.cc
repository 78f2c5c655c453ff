#include "server/store/sqlite_writer.h"

#include <cmath>
#include <map>
#include <utility>

#include "absl/container/flat_hash_set.h"
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
  Binder& Null() { return statement_.BindNull(++index_), *this; }
  // A reference to a row: null for the key 0.
  template <typename Tag>
  Binder& Ref(core::Key<Tag> key) {
    return key ? (*this)(key.value) : Null();
  }

 private:
  Statement& statement_;
  int index_ = 0;
};

void BindJobRow(Binder& bind, const core::JobRow& row) {
  bind(static_cast<int64_t>(row.state))(static_cast<int64_t>(row.last_cause))(int64_t{row.lost})(
      int64_t{row.crashed})(int64_t{row.artifact})(int64_t{row.attempt})
      .Ref(row.worker);
  for (const core::WorkerKey worker : row.lost_on) bind(worker.value);
  bind(row.points)(row.lease_ms)(row.start_ms)(row.end_ms)(row.memory_bytes)(
      int64_t{row.memory_hinted})(int64_t{row.slot});
}

void BindSweepRow(Binder& bind, const core::SweepRow& row) {
  bind(static_cast<int64_t>(row.state))(row.reason)(row.end_ms);
  for (const int64_t count : row.counts) bind(count);
  bind(row.known)(row.cost_open)(row.cost_done)(row.done_s)(row.device_s)(
      int64_t{row.budget_spent});
}

void BindMetrics(Binder& bind, const v1::HeartRateMetrics& m) {
  bind(m.mae_bpm())(m.mae_argmax_bpm())(m.mae_expectation_bpm())(m.mae_all_channels_bpm())(
      m.rmse_bpm())(m.bias_bpm())(m.loa_low_bpm())(m.loa_high_bpm())(m.p90_bpm())(m.within_5_bpm())(
      m.within_10_bpm())(m.pearson_r())(m.cross_entropy())(m.calibration_error())(
      m.floor_mean_bpm())(m.floor_fft_bpm());
}

// Rows that were met, going through a batch from its end: whatever of one comes again stands before
// what is written last, and need not be written.
class Met {
 public:
  explicit Met(size_t records) { attempts_.reserve(records / 2), jobs_.reserve(records / 2); }

  // True for the first time that a row that is written whole is met, and for all others.
  bool First(const Record& record) {
    return std::visit([this](const auto& r) { return IsFirst(r); }, record);
  }

 private:
  bool IsFirst(const core::JobChanged& r) { return jobs_.insert(r.key).second; }
  bool IsFirst(const core::SweepChanged& r) { return sweeps_.insert(r.key).second; }
  bool IsFirst(const core::WorkerChanged& r) { return workers_.insert(r.key).second; }
  bool IsFirst(const core::AttemptEnded& r) { return attempts_.insert({r.job, r.number}).second; }
  template <typename Other>
  bool IsFirst(const Other&) {
    return true;
  }

  absl::flat_hash_set<core::JobKey> jobs_;
  absl::flat_hash_set<core::SweepKey> sweeps_;
  absl::flat_hash_set<core::WorkerKey> workers_;
  absl::flat_hash_set<std::pair<core::JobKey, int32_t>> attempts_;
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
  Met met(records.size());
  wanted_.clear();
  for (size_t i = records.size(); i-- > 0;) {
    if (met.First(*records[i])) wanted_.push_back(records[i]);
  }
  for (size_t i = wanted_.size(); i-- > 0;) {
    RETORT_RETURN_IF_ERROR(std::visit([this](const auto& r) { return Do(r); }, *wanted_[i]));
  }
  return absl::OkStatus();
}

// Most of a new job's row is as it begins, and stands in the statement.
absl::Status SqliteWriter::WriteNewJobRow(const core::JobCreated& record) {
  core::JobRow begins;
  begins.state = record.row.state;
  begins.memory_bytes = record.row.memory_bytes;
  begins.memory_hinted = record.row.memory_hinted;
  RETORT_ASSIGN_OR_RETURN(
      Statement * row,
      Get("INSERT INTO job_rows (key, id, teacher, kind, cost, create_ms, state, memory_bytes, "
          "memory_hinted, cause, lost, crashed, artifact, attempt, worker, lost_on_1, lost_on_2, "
          "lost_on_3, points, lease_ms, start_ms, end_ms, slot) VALUES "
          "(?,?,?,?,?,?,?,?,?,0,0,0,0,0,NULL,0,0,0,0,0,0,0,-1)"));
  const std::string id = record.id.raw();
  Binder{*row}(record.key.value)
      .Blob(id)
      .Ref(record.teacher)(static_cast<int64_t>(record.kind))(record.expected_cost)(
          record.create_ms)(static_cast<int64_t>(record.row.state))(record.row.memory_bytes)(
          int64_t{record.row.memory_hinted});
  RETORT_RETURN_IF_ERROR(row->Run());
  if (record.row == begins) return absl::OkStatus();
  return Do(core::JobChanged{record.key, begins, record.row});
}

absl::Status SqliteWriter::Do(const core::JobCreated& record) {
  RETORT_RETURN_IF_ERROR(WriteNewJobRow(record));
  if (record.details == nullptr) return absl::InternalError("a new job without its spec");
  const core::NewJob& job = *record.details;
  RETORT_ASSIGN_OR_RETURN(Statement * spec,
                          Get("INSERT INTO job_specs (key, spec, model, method, teacher, seed, "
                              "fold, epochs, dataset, batch, peak_lr) VALUES "
                              "(?,?,?,?,?,?,?,?,?,?,?)"));
  Binder{*spec}(record.key.value)
      .Blob(job.spec)(job.model)(job.method)(job.teacher_label)(job.seed)(int64_t{job.fold})(
          int64_t{job.epochs})(job.dataset)(int64_t{job.batch})(job.peak_lr);
  return spec->Run();
}

absl::Status SqliteWriter::Do(const core::JobChanged& record) {
  RETORT_ASSIGN_OR_RETURN(
      Statement * row,
      Get("UPDATE job_rows SET state=?, cause=?, lost=?, crashed=?, artifact=?, attempt=?, "
          "worker=?, lost_on_1=?, lost_on_2=?, lost_on_3=?, points=?, lease_ms=?, start_ms=?, "
          "end_ms=?, memory_bytes=?, memory_hinted=?, slot=? WHERE key=?"));
  Binder bind(*row);
  BindJobRow(bind, record.after);
  bind(record.key.value);
  return row->Run();
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

absl::Status SqliteWriter::Do(const core::MemberAdded& record) {
  RETORT_ASSIGN_OR_RETURN(Statement * row,
                          Get("INSERT INTO members (sweep, position, job) VALUES (?,?,?)"));
  Binder{*row}(record.sweep.value)(record.position)(record.job.value);
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

absl::Status SqliteWriter::Do(const core::AttemptEnded& record) {
  RETORT_ASSIGN_OR_RETURN(
      Statement * row,
      Get("INSERT INTO attempt_rows (job, number, worker, lease_ms, start_ms, end_ms, device_s, "
          "cause, message) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (job, number) DO UPDATE SET "
          "end_ms=excluded.end_ms, start_ms=excluded.start_ms, device_s=excluded.device_s, "
          "cause=excluded.cause, message=excluded.message"));
  Binder{*row}(record.job.value)(int64_t{record.number})(record.worker.value)(record.lease_ms)(
      record.start_ms)(record.end_ms)(record.device_s)(static_cast<int64_t>(record.cause))(
      record.message);
  return row->Run();
}

absl::Status SqliteWriter::Do(const core::ResultAccepted& record) {
  if (record.result == nullptr) return absl::InternalError("a result without its content");
  RETORT_ASSIGN_OR_RETURN(
      Statement * row,
      Get("INSERT INTO result_rows (job, attempt, weights, weights_size, epochs, kept_epoch, "
          "train_s, samples_per_s, numeric_fingerprint, mixed, microbatch, val_mae_bpm, params, "
          "params_body, macs, size_bytes, peak_activation_bytes, latency_ms, latency_p95_ms, "
          "latency_machine, worst_subject_mae_bpm, windows, mae_bpm, mae_argmax_bpm, "
          "mae_expectation_bpm, "
          "mae_all_channels_bpm, rmse_bpm, bias_bpm, loa_low_bpm, loa_high_bpm, p90_bpm, "
          "within_5_bpm, within_10_bpm, pearson_r, cross_entropy, calibration_error, "
          "floor_mean_bpm, floor_fft_bpm) VALUES "
          "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  const v1::JobResult& result = *record.result;
  const std::string weights = record.weights.hash.raw();
  Binder bind(*row);
  bind(record.job.value)(int64_t{record.attempt})
      .Blob(weights)(record.weights.size_bytes)(int64_t{result.epochs()})(
          int64_t{result.kept_epoch()})(result.train_s())(result.samples_per_s())(
          result.numeric_fingerprint())(int64_t{result.mixed()})(int64_t{result.microbatch()});
  result.has_validation() ? bind(result.validation().mae_bpm()) : bind.Null();
  const v1::ModelCost& cost = result.cost();
  bind(cost.params())(cost.params_body())(cost.macs())(cost.size_bytes())(
      cost.peak_activation_bytes())(cost.latency_ms())(cost.latency_p95_ms())(
      cost.latency_machine());
  // Columns of a result without evaluations stay null.
  if (!result.evaluations().empty()) {
    bind(result.evaluations(0).worst_subject_mae_bpm())(
        int64_t{result.evaluations(0).overall().windows()});
    BindMetrics(bind, result.evaluations(0).overall());
  } else {
    constexpr int kMetricColumns = 18;
    for (int i = 0; i < kMetricColumns; ++i) bind.Null();
  }
  RETORT_RETURN_IF_ERROR(row->Run());
  RETORT_ASSIGN_OR_RETURN(Statement * whole,
                          Get("INSERT INTO result_messages (job, result) VALUES (?,?)"));
  const std::string bytes = result.SerializeAsString();
  Binder{*whole}(record.job.value).Blob(bytes);
  return whole->Run();
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
