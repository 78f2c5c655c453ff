#include "server/store/sqlite_rows.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"
#include "retort/v1/resources.pb.h"
#include "server/store/sqlite_writer.h"

namespace retort::store {

core::SweepFixed ReadSweepFixed(const Statement& row) {
  core::SweepFixed fixed;
  fixed.name = row.Text(1);
  fixed.priority = static_cast<int32_t>(row.Int(2));
  fixed.jobs = row.Int(3);
  fixed.create_ms = row.Int(4);
  fixed.budget.device_s = row.Real(5);
  fixed.budget.wall_ms = row.Int(6);
  fixed.budget.cancel = row.Int(7) != 0;
  fixed.checkpoint_every_s = row.Real(kSweepColumnCount - 2);
  fixed.wall_limit_s = row.Real(kSweepColumnCount - 1);
  return fixed;
}

core::SweepRow ReadSweepRow(const Statement& row) {
  core::SweepRow out;
  out.state = static_cast<core::SweepState>(row.Int(8));
  out.reason = row.Text(9);
  out.end_ms = row.Int(10);
  int column = 11;
  for (int64_t& count : out.counts) count = row.Int(column++);
  out.known = row.Int(column++);
  out.cost_open = row.Real(column++);
  out.cost_done = row.Real(column++);
  out.done_s = row.Real(column++);
  out.device_s = row.Real(column++);
  out.budget_spent = row.Int(column) != 0;
  return out;
}

core::JobRow ReadJobRow(const Statement& row, int at) {
  core::JobRow out;
  out.state = static_cast<core::JobState>(row.Int(at));
  out.last_cause = static_cast<core::FailureCause>(row.Int(at + 1));
  out.lost = static_cast<uint8_t>(row.Int(at + 2));
  out.crashed = static_cast<uint8_t>(row.Int(at + 3));
  out.artifact = static_cast<uint8_t>(row.Int(at + 4));
  out.attempt = static_cast<int32_t>(row.Int(at + 5));
  out.worker = {row.Int(at + 6)};
  for (int i = 0; i < core::kLostWorkers; ++i) {
    out.lost_on[static_cast<size_t>(i)] = {row.Int(at + 7 + i)};
  }
  out.points = row.Int(at + 10);
  out.lease_ms = row.Int(at + 11);
  out.start_ms = row.Int(at + 12);
  out.end_ms = row.Int(at + 13);
  out.memory_bytes = row.Int(at + 14);
  out.memory_hinted = row.Int(at + 15) != 0;
  out.slot = static_cast<int16_t>(row.Int(at + 16));
  return out;
}

core::WorkerRow ReadWorkerRow(const Statement& row) {
  core::WorkerRow out;
  out.name = row.Text(1);
  out.host = row.Text(2);
  out.version = row.Text(3);
  v1::Worker slots;
  const std::string_view bytes = row.Blob(4);
  slots.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  for (const auto& slot : slots.slots()) {
    out.slots.push_back({slot.index(), slot.device(), slot.memory_bytes()});
  }
  out.incarnation = row.Int(5);
  out.state = static_cast<core::WorkerState>(row.Int(6));
  out.reason = row.Text(7);
  out.away = row.Int(8) != 0;
  out.seen_ms = row.Int(9);
  out.succeeded = row.Int(10);
  out.failed = row.Int(11);
  const std::string streak(row.Text(12));
  for (const absl::string_view mishap : absl::StrSplit(streak, ',', absl::SkipEmpty())) {
    // Version 1 wrote the job alone.
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(mishap, ':');
    core::Mishap read;
    int cause = 0;
    if (!absl::SimpleAtoi(parts.first, &read.job.value)) continue;
    if (absl::SimpleAtoi(parts.second, &cause)) read.cause = static_cast<core::FailureCause>(cause);
    out.streak.push_back(read);
  }
  out.streak_ms = row.Int(13);
  out.last_success_ms = row.Int(14);
  return out;
}

namespace {

// Gives one record for each row of a query.
template <typename Make>
absl::Status Each(const Connection& db, const std::string& sql, Make make,
                  const std::function<void(const core::Record&)>& sink) {
  RETORT_ASSIGN_OR_RETURN(Statement rows, db.Prepare(sql));
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return absl::OkStatus();
    absl::StatusOr<core::Record> record = make(rows);
    if (!record.ok()) return absl::DataLossError(MessageOf(record.status()));
    sink(*record);
  }
}

absl::StatusOr<core::Record> LoadedJob(const Statement& row) {
  core::JobCreated job;
  job.key = {row.Int(0)};
  RETORT_ASSIGN_OR_RETURN(job.id, JobId::FromRaw(row.Blob(1)));
  job.teacher = {row.Int(2)};
  job.kind = static_cast<core::JobKind>(row.Int(3));
  job.expected_cost = row.Real(4);
  job.create_ms = row.Int(5);
  if (row.IsNull(6)) {
    return absl::DataLossError(absl::StrCat("job_states: that of job ", job.key.value, " is lost"));
  }
  job.row = ReadJobRow(row, 6);
  return job;
}

absl::StatusOr<core::Record> LoadedResult(const Statement& row) {
  core::ResultAccepted result;
  result.job = {row.Int(0)};
  result.attempt = static_cast<int32_t>(row.Int(1));
  RETORT_ASSIGN_OR_RETURN(result.weights.hash, ArtifactHash::FromRaw(row.Blob(2)));
  result.weights.size_bytes = row.Int(3);
  return result;
}

absl::StatusOr<core::Record> LoadedCheckpoint(const Statement& row) {
  core::CheckpointChanged checkpoint;
  checkpoint.job = {row.Int(0)};
  core::TrainingCheckpoint& after = checkpoint.after.emplace();
  RETORT_ASSIGN_OR_RETURN(after.file.hash, ArtifactHash::FromRaw(row.Blob(1)));
  after.file.size_bytes = row.Int(2);
  after.epochs_done = static_cast<int32_t>(row.Int(3));
  after.steps_done = row.Int(4);
  return checkpoint;
}

absl::StatusOr<core::Record> LoadedRequest(const Statement& row) {
  core::RequestAnswered request;
  request.request_id = row.Text(0);
  request.answer.method = row.Text(1);
  request.answer.sweep = {row.Int(2)};
  request.answer.worker = {row.Int(3)};
  request.answer.changed = row.Int(4);
  request.answer.time_ms = row.Int(5);
  request.answer.next = row.Int(6);
  request.answer.states = static_cast<uint32_t>(row.Int(7));
  request.answer.causes = static_cast<uint32_t>(row.Int(8));
  request.answer.arguments = row.Text(9);
  request.answer.answer = std::string(row.Blob(10));
  return request;
}

}  // namespace

absl::Status LoadRecords(const Connection& db,
                         const std::function<void(const core::Record&)>& sink) {
  using core::Record;
  using Loaded = absl::StatusOr<Record>;
  RETORT_RETURN_IF_ERROR(Each(
      db, absl::StrCat("SELECT ", kSweepColumns, " FROM sweep_rows ORDER BY key"),
      [](const Statement& row) -> Loaded {
        return core::SweepCreated{{row.Int(0)}, ReadSweepFixed(row), ReadSweepRow(row), nullptr};
      },
      sink));
  RETORT_RETURN_IF_ERROR(Each(
      db, absl::StrCat("SELECT ", kWorkerColumns, " FROM worker_rows ORDER BY key"),
      [](const Statement& row) -> Loaded {
        return core::WorkerCreated{{row.Int(0)}, ReadWorkerRow(row)};
      },
      sink));
  RETORT_RETURN_IF_ERROR(Each(
      db,
      absl::StrCat("SELECT j.key, j.id, j.teacher, j.kind, j.cost, j.create_ms, ", kJobColumns,
                   " FROM job_rows j LEFT JOIN job_states now ON now.job = j.key ORDER BY j.key"),
      LoadedJob, sink));
  RETORT_RETURN_IF_ERROR(
      Each(db, "SELECT job, attempt, weights, weights_size FROM result_rows ORDER BY job",
           LoadedResult, sink));
  RETORT_RETURN_IF_ERROR(
      Each(db, "SELECT job, file, size, epochs_done, steps_done FROM job_checkpoints ORDER BY job",
           LoadedCheckpoint, sink));
  RETORT_RETURN_IF_ERROR(Each(
      db, "SELECT sweep, job, position FROM members ORDER BY sweep, position",
      [](const Statement& row) -> Loaded {
        return core::MemberAdded{{row.Int(0)}, {row.Int(1)}, row.Int(2)};
      },
      sink));
  return Each(db,
              "SELECT id, method, sweep, worker, changed, time_ms, next, states, causes, "
              "arguments, answer FROM requests ORDER BY id",
              LoadedRequest, sink);
}

}  // namespace retort::store
