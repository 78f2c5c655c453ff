#include "server/store/bulk_writer.h"

#include <algorithm>

#include "common/status.h"
#include "retort/v1/result.pb.h"

namespace retort::store {
namespace {

constexpr Column<core::JobCreated> kJobs[] = {
    {"key", [](const core::JobCreated& r, const Out& out) { out.Int(r.key.value); }},
    {"id", [](const core::JobCreated& r,
              const Out& out) { out.Blob(r.id.bytes().data(), r.id.bytes().size()); }},
    {"teacher", [](const core::JobCreated& r, const Out& out) { out.Ref(r.teacher); }},
    {"kind",
     [](const core::JobCreated& r, const Out& out) { out.Int(static_cast<int64_t>(r.kind)); }},
    {"cost", [](const core::JobCreated& r, const Out& out) { out.Real(r.expected_cost); }},
    {"create_ms", [](const core::JobCreated& r, const Out& out) { out.Int(r.create_ms); }},
};

const core::JobRow& RowOf(const core::JobCreated& record) { return record.row; }
const core::JobRow& RowOf(const core::JobChanged& record) { return record.after; }

static_assert(core::kLostWorkers == 3);
template <typename Record>
constexpr Column<Record> kStates[] = {
    {"job", [](const Record& r, const Out& out) { out.Int(r.key.value); }},
    {"state",
     [](const Record& r, const Out& out) { out.Int(static_cast<int64_t>(RowOf(r).state)); }},
    {"cause",
     [](const Record& r, const Out& out) { out.Int(static_cast<int64_t>(RowOf(r).last_cause)); }},
    {"lost", [](const Record& r, const Out& out) { out.Int(RowOf(r).lost); }},
    {"crashed", [](const Record& r, const Out& out) { out.Int(RowOf(r).crashed); }},
    {"artifact", [](const Record& r, const Out& out) { out.Int(RowOf(r).artifact); }},
    {"attempt", [](const Record& r, const Out& out) { out.Int(RowOf(r).attempt); }},
    {"worker", [](const Record& r, const Out& out) { out.Ref(RowOf(r).worker); }},
    {"lost_on_1", [](const Record& r, const Out& out) { out.Int(RowOf(r).lost_on[0].value); }},
    {"lost_on_2", [](const Record& r, const Out& out) { out.Int(RowOf(r).lost_on[1].value); }},
    {"lost_on_3", [](const Record& r, const Out& out) { out.Int(RowOf(r).lost_on[2].value); }},
    {"points", [](const Record& r, const Out& out) { out.Int(RowOf(r).points); }},
    {"lease_ms", [](const Record& r, const Out& out) { out.Int(RowOf(r).lease_ms); }},
    {"start_ms", [](const Record& r, const Out& out) { out.Int(RowOf(r).start_ms); }},
    {"end_ms", [](const Record& r, const Out& out) { out.Int(RowOf(r).end_ms); }},
    {"memory_bytes", [](const Record& r, const Out& out) { out.Int(RowOf(r).memory_bytes); }},
    {"memory_hinted", [](const Record& r, const Out& out) { out.Int(RowOf(r).memory_hinted); }},
    {"slot", [](const Record& r, const Out& out) { out.Int(RowOf(r).slot); }},
};

constexpr Column<core::JobCreated> kSpecs[] = {
    {"key", [](const core::JobCreated& r, const Out& out) { out.Int(r.key.value); }},
    {"spec", [](const core::JobCreated& r, const Out& out) { out.Blob(r.details->spec); }},
    {"model", [](const core::JobCreated& r, const Out& out) { out.Text(r.details->model); }},
    {"method", [](const core::JobCreated& r, const Out& out) { out.Text(r.details->method); }},
    {"teacher",
     [](const core::JobCreated& r, const Out& out) { out.Text(r.details->teacher_label); }},
    {"seed", [](const core::JobCreated& r, const Out& out) { out.Int(r.details->seed); }},
    {"fold", [](const core::JobCreated& r, const Out& out) { out.Int(r.details->fold); }},
    {"epochs", [](const core::JobCreated& r, const Out& out) { out.Int(r.details->epochs); }},
    {"dataset", [](const core::JobCreated& r, const Out& out) { out.Text(r.details->dataset); }},
    {"batch", [](const core::JobCreated& r, const Out& out) { out.Int(r.details->batch); }},
    {"peak_lr", [](const core::JobCreated& r, const Out& out) { out.Real(r.details->peak_lr); }},
};

constexpr Column<core::MemberAdded> kMembers[] = {
    {"sweep", [](const core::MemberAdded& r, const Out& out) { out.Int(r.sweep.value); }},
    {"position", [](const core::MemberAdded& r, const Out& out) { out.Int(r.position); }},
    {"job", [](const core::MemberAdded& r, const Out& out) { out.Int(r.job.value); }},
};

constexpr Column<core::AttemptEnded> kAttempts[] = {
    {"job", [](const core::AttemptEnded& r, const Out& out) { out.Int(r.job.value); }},
    {"number", [](const core::AttemptEnded& r, const Out& out) { out.Int(r.number); }},
    {"worker", [](const core::AttemptEnded& r, const Out& out) { out.Int(r.worker.value); }},
    {"lease_ms", [](const core::AttemptEnded& r, const Out& out) { out.Int(r.lease_ms); }},
    {"start_ms", [](const core::AttemptEnded& r, const Out& out) { out.Int(r.start_ms); }},
    {"end_ms", [](const core::AttemptEnded& r, const Out& out) { out.Int(r.end_ms); }},
    {"device_s", [](const core::AttemptEnded& r, const Out& out) { out.Real(r.device_s); }},
    {"cause",
     [](const core::AttemptEnded& r, const Out& out) { out.Int(static_cast<int64_t>(r.cause)); }},
    {"message", [](const core::AttemptEnded& r, const Out& out) { out.Text(r.message); }},
};

// A late result of the latest attempt writes it again.
constexpr char kAttemptAgain[] =
    "ON CONFLICT (job, number) DO UPDATE SET end_ms=excluded.end_ms, start_ms=excluded.start_ms, "
    "device_s=excluded.device_s, cause=excluded.cause, message=excluded.message";

// Columns of the first evaluation: null for a result without one.
template <double (v1::HeartRateMetrics::*kMetric)() const>
void Metric(const core::ResultAccepted& r, const Out& out) {
  const auto& evaluations = r.result->evaluations();
  evaluations.empty() ? out.Null() : out.Real((evaluations[0].overall().*kMetric)());
}

void WorstSubject(const core::ResultAccepted& r, const Out& out) {
  const auto& evaluations = r.result->evaluations();
  evaluations.empty() ? out.Null() : out.Real(evaluations[0].worst_subject_mae_bpm());
}

void Windows(const core::ResultAccepted& r, const Out& out) {
  const auto& evaluations = r.result->evaluations();
  evaluations.empty() ? out.Null() : out.Int(evaluations[0].overall().windows());
}

void Validation(const core::ResultAccepted& r, const Out& out) {
  r.result->has_validation() ? out.Real(r.result->validation().mae_bpm()) : out.Null();
}

constexpr Column<core::ResultAccepted> kResults[] = {
    {"job", [](const core::ResultAccepted& r, const Out& out) { out.Int(r.job.value); }},
    {"attempt", [](const core::ResultAccepted& r, const Out& out) { out.Int(r.attempt); }},
    {"weights",
     [](const core::ResultAccepted& r, const Out& out) {
       out.Blob(r.weights.hash.bytes().data(), r.weights.hash.bytes().size());
     }},
    {"weights_size",
     [](const core::ResultAccepted& r, const Out& out) { out.Int(r.weights.size_bytes); }},
    {"epochs", [](const core::ResultAccepted& r, const Out& out) { out.Int(r.result->epochs()); }},
    {"kept_epoch",
     [](const core::ResultAccepted& r, const Out& out) { out.Int(r.result->kept_epoch()); }},
    {"train_s",
     [](const core::ResultAccepted& r, const Out& out) { out.Real(r.result->train_s()); }},
    {"samples_per_s",
     [](const core::ResultAccepted& r, const Out& out) { out.Real(r.result->samples_per_s()); }},
    {"numeric_fingerprint", [](const core::ResultAccepted& r,
                               const Out& out) { out.Text(r.result->numeric_fingerprint()); }},
    {"mixed", [](const core::ResultAccepted& r, const Out& out) { out.Int(r.result->mixed()); }},
    {"microbatch",
     [](const core::ResultAccepted& r, const Out& out) { out.Int(r.result->microbatch()); }},
    {"val_mae_bpm", Validation},
    {"params",
     [](const core::ResultAccepted& r, const Out& out) { out.Int(r.result->cost().params()); }},
    {"params_body", [](const core::ResultAccepted& r,
                       const Out& out) { out.Int(r.result->cost().params_body()); }},
    {"macs",
     [](const core::ResultAccepted& r, const Out& out) { out.Int(r.result->cost().macs()); }},
    {"size_bytes",
     [](const core::ResultAccepted& r, const Out& out) { out.Int(r.result->cost().size_bytes()); }},
    {"peak_activation_bytes",
     [](const core::ResultAccepted& r, const Out& out) {
       out.Int(r.result->cost().peak_activation_bytes());
     }},
    {"latency_ms", [](const core::ResultAccepted& r,
                      const Out& out) { out.Real(r.result->cost().latency_ms()); }},
    {"latency_p95_ms", [](const core::ResultAccepted& r,
                          const Out& out) { out.Real(r.result->cost().latency_p95_ms()); }},
    {"latency_machine", [](const core::ResultAccepted& r,
                           const Out& out) { out.Text(r.result->cost().latency_machine()); }},
    {"worst_subject_mae_bpm", WorstSubject},
    {"windows", Windows},
    {"mae_bpm", Metric<&v1::HeartRateMetrics::mae_bpm>},
    {"mae_argmax_bpm", Metric<&v1::HeartRateMetrics::mae_argmax_bpm>},
    {"mae_expectation_bpm", Metric<&v1::HeartRateMetrics::mae_expectation_bpm>},
    {"mae_all_channels_bpm", Metric<&v1::HeartRateMetrics::mae_all_channels_bpm>},
    {"rmse_bpm", Metric<&v1::HeartRateMetrics::rmse_bpm>},
    {"bias_bpm", Metric<&v1::HeartRateMetrics::bias_bpm>},
    {"loa_low_bpm", Metric<&v1::HeartRateMetrics::loa_low_bpm>},
    {"loa_high_bpm", Metric<&v1::HeartRateMetrics::loa_high_bpm>},
    {"p90_bpm", Metric<&v1::HeartRateMetrics::p90_bpm>},
    {"within_5_bpm", Metric<&v1::HeartRateMetrics::within_5_bpm>},
    {"within_10_bpm", Metric<&v1::HeartRateMetrics::within_10_bpm>},
    {"pearson_r", Metric<&v1::HeartRateMetrics::pearson_r>},
    {"cross_entropy", Metric<&v1::HeartRateMetrics::cross_entropy>},
    {"calibration_error", Metric<&v1::HeartRateMetrics::calibration_error>},
    {"floor_mean_bpm", Metric<&v1::HeartRateMetrics::floor_mean_bpm>},
    {"floor_fft_bpm", Metric<&v1::HeartRateMetrics::floor_fft_bpm>},
};

void Serialized(const core::ResultAccepted& r, const Out& out) {
  const size_t size = r.result->ByteSizeLong();
  void* bytes = sqlite3_malloc64(std::max<size_t>(size, 1));
  if (bytes == nullptr) return out.NoMemory();
  r.result->SerializeWithCachedSizesToArray(static_cast<uint8_t*>(bytes));
  out.OwnBlob(bytes, size);
}

constexpr Column<core::ResultAccepted> kMessages[] = {
    {"job", [](const core::ResultAccepted& r, const Out& out) { out.Int(r.job.value); }},
    {"result", Serialized},
};

}  // namespace

BulkWriter::BulkWriter(const Connection& db)
    : db_(db),
      jobs_("INSERT OR FAIL INTO job_rows", "new_jobs", kJobs),
      states_("INSERT OR FAIL INTO job_states", "new_job_states", kStates<core::JobCreated>),
      specs_("INSERT OR FAIL INTO job_specs", "new_job_specs", kSpecs),
      changes_("REPLACE INTO job_states", "changed_job_states", kStates<core::JobChanged>),
      members_("INSERT OR FAIL INTO members", "new_members", kMembers),
      attempts_("INSERT OR FAIL INTO attempt_rows", "ended_attempts", kAttempts, kAttemptAgain),
      results_("INSERT OR FAIL INTO result_rows", "new_results", kResults),
      messages_("INSERT OR FAIL INTO result_messages", "new_result_messages", kMessages) {}

absl::Status BulkWriter::WriteJobs(const BulkRecords& records) {
  for (const core::JobCreated* job : records.created) {
    if (job->details == nullptr) return absl::InternalError("a new job without its spec");
  }
  RETORT_RETURN_IF_ERROR(jobs_.Write(db_, records.created));
  RETORT_RETURN_IF_ERROR(states_.Write(db_, records.created));
  RETORT_RETURN_IF_ERROR(specs_.Write(db_, records.created));
  RETORT_RETURN_IF_ERROR(changes_.Write(db_, records.changed));
  RETORT_RETURN_IF_ERROR(members_.Write(db_, records.members));
  return attempts_.Write(db_, records.attempts);
}

absl::Status BulkWriter::WriteResults(const BulkRecords& records) {
  for (const core::ResultAccepted* result : records.results) {
    if (result->result == nullptr) return absl::InternalError("a result without its content");
  }
  RETORT_RETURN_IF_ERROR(results_.Write(db_, records.results));
  return messages_.Write(db_, records.results);
}

}  // namespace retort::store
