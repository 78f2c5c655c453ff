#include "client/cli/rows.h"

#include <google/protobuf/util/json_util.h>

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/fields.h"

namespace retort {
namespace {

// An enumerator's name behind its type's prefix, in lower case.
std::string Lower(const std::string& name, std::string_view prefix) {
  return absl::AsciiStrToLower(name.substr(std::min(prefix.size(), name.size())));
}

std::string Hex(const std::string& bytes) {
  std::string out;
  for (const char byte : bytes) {
    absl::StrAppendFormat(&out, "%02x", static_cast<unsigned char>(byte));
  }
  return out;
}

Json TextOrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json CountsJson(const v1::JobCounts& counts) {
  return {{"blocked", counts.blocked()},     {"queued", counts.queued()},
          {"leased", counts.leased()},       {"running", counts.running()},
          {"succeeded", counts.succeeded()}, {"failed", counts.failed()},
          {"skipped", counts.skipped()},     {"cancelled", counts.cancelled()}};
}

Json SubjectRow(const v1::SubjectMetrics& subject) {
  const v1::HeartRateMetrics& metrics = subject.metrics();
  return {{"subject", subject.subject()},
          {"windows", metrics.windows()},
          {"mae_bpm", Number(metrics.mae_bpm())},
          {"mae_argmax_bpm", Number(metrics.mae_argmax_bpm())},
          {"mae_expectation_bpm", Number(metrics.mae_expectation_bpm())},
          {"mae_all_channels_bpm", Number(metrics.mae_all_channels_bpm())},
          {"rmse_bpm", Number(metrics.rmse_bpm())},
          {"within_5_bpm", Number(metrics.within_5_bpm())},
          {"within_10_bpm", Number(metrics.within_10_bpm())},
          {"floor_mean_bpm", Number(metrics.floor_mean_bpm())},
          {"floor_fft_bpm", Number(metrics.floor_fft_bpm())}};
}

}  // namespace

Json MessageJson(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return nullptr;
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

std::string StateName(v1::JobState state) {
  return state == 0 ? "" : Lower(v1::JobState_Name(state), "JOB_STATE_");
}
std::string StateName(v1::SweepState state) {
  return state == 0 ? "" : Lower(v1::SweepState_Name(state), "SWEEP_STATE_");
}
std::string StateName(v1::WorkerState state) {
  return state == 0 ? "" : Lower(v1::WorkerState_Name(state), "WORKER_STATE_");
}
std::string CauseName(v1::FailureCause cause) {
  return cause == 0 ? "" : Lower(v1::FailureCause_Name(cause), "FAILURE_CAUSE_");
}
std::string KindName(v1::JobKind kind) {
  return kind == 0 ? "" : Lower(v1::JobKind_Name(kind), "JOB_KIND_");
}

absl::StatusOr<v1::JobState> ParseJobState(const std::string& name) {
  std::vector<std::string> known;
  for (int i = 1; i < v1::JobState_ARRAYSIZE; ++i) {
    const auto state = static_cast<v1::JobState>(i);
    if (StateName(state) == name) return state;
    known.push_back(StateName(state));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--state: '", name, "' is no state of a job", Suggestion(name, known)));
}

absl::StatusOr<v1::FailureCause> ParseFailureCause(const std::string& name) {
  std::vector<std::string> known;
  for (int i = 1; i < v1::FailureCause_ARRAYSIZE; ++i) {
    const auto cause = static_cast<v1::FailureCause>(i);
    if (CauseName(cause) == absl::AsciiStrToLower(name)) return cause;
    known.push_back(absl::AsciiStrToUpper(CauseName(cause)));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--cause: '", name,
                   "' is no cause of failure; expected one of: ", absl::StrJoin(known, ", ")));
}

Json ExplanationJson(const v1::Explanation& explanation) {
  Json reasons = Json::array();
  for (const v1::Reason& reason : explanation.reasons()) {
    Json related = Json::array();
    for (const std::string& name : reason.related()) related.push_back(name);
    reasons.push_back({{"code", Lower(v1::ReasonCode_Name(reason.code()), "REASON_CODE_")},
                       {"message", reason.message()},
                       {"related", related}});
  }
  Json budgets = Json::array();
  for (const v1::FailureBudget& budget : explanation.budgets()) {
    budgets.push_back({{"cause", CauseName(budget.cause())},
                       {"spent", budget.spent()},
                       {"limit", budget.limit()}});
  }
  return {{"job", ShortName(explanation.job())},
          {"state", StateName(explanation.state())},
          {"attempt", explanation.attempt()},
          {"reasons", reasons},
          {"budgets", budgets}};
}

Json TimeJson(const google::protobuf::Timestamp& time, bool is_set) {
  if (!is_set) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

Json QueryJson(const v1::QueryValue& value) {
  switch (value.value_case()) {
    case v1::QueryValue::kInteger:
      return value.integer();
    case v1::QueryValue::kNumber:
      return Number(value.number());
    case v1::QueryValue::kText:
      return value.text();
    case v1::QueryValue::kBlob:
      return Hex(value.blob());
    default:
      return nullptr;
  }
}

Json SweepRow(const v1::Sweep& sweep) {
  const v1::JobCounts& counts = sweep.counts();
  const int64_t jobs = counts.blocked() + counts.queued() + counts.leased() + counts.running() +
                       counts.succeeded() + counts.failed() + counts.skipped() + counts.cancelled();
  Json row = {{"sweep", ShortName(sweep.name())},
              {"state", StateName(sweep.state())},
              {"reason", TextOrNull(sweep.reason())},
              {"jobs", jobs},
              {"known_jobs", sweep.known_jobs()}};
  row.update(CountsJson(counts));
  row["eta_s"] = sweep.eta_s() < 0 ? Json(nullptr) : Number(sweep.eta_s());
  row["device_s"] = Number(sweep.device_s());
  row["create_time"] = TimeJson(sweep.create_time(), sweep.has_create_time());
  row["end_time"] = TimeJson(sweep.end_time(), sweep.has_end_time());
  return row;
}

Json JobRow(const v1::Job& job) {
  return {{"job", ShortName(job.name())},
          {"state", StateName(job.state())},
          {"kind", KindName(job.kind())},
          {"model", job.model()},
          {"method", job.method()},
          {"teacher", TextOrNull(job.teacher())},
          {"seed", job.seed()},
          {"fold", job.fold()},
          {"attempt", job.attempt()},
          {"epochs_done", job.epochs_done()},
          {"epochs", job.epochs()},
          {"worker", TextOrNull(ShortName(job.worker()))},
          {"failure", TextOrNull(CauseName(job.failure().cause()))},
          {"failure_message", TextOrNull(job.failure().message())},
          {"create_time", TimeJson(job.create_time(), job.has_create_time())},
          {"end_time", TimeJson(job.end_time(), job.has_end_time())}};
}

Json WorkerRow(const v1::Worker& worker) {
  Json devices = Json::array();
  for (const v1::Slot& slot : worker.slots()) devices.push_back(slot.device());
  Json jobs = Json::array();
  for (const std::string& job : worker.jobs()) jobs.push_back(ShortName(job));
  return {{"worker", ShortName(worker.name())},
          {"state", StateName(worker.state())},
          {"reason", TextOrNull(worker.reason())},
          {"host", worker.host()},
          {"slots", worker.slots_size()},
          {"busy", worker.jobs_size()},
          {"succeeded", worker.succeeded()},
          {"failed", worker.failed()},
          {"seen_time", TimeJson(worker.seen_time(), worker.has_seen_time())},
          {"version", worker.version()},
          {"devices", devices},
          {"jobs", jobs}};
}

Json ResultRow(const v1::Job& job) {
  const v1::JobResult& result = job.result();
  const bool has = job.has_result() && result.evaluations_size() > 0;
  const v1::HeartRateMetrics overall =
      has ? result.evaluations(0).overall() : v1::HeartRateMetrics();
  const v1::ModelCost& cost = result.cost();
  const auto number = [&](double value) { return has ? Number(value) : Json(nullptr); };
  const auto count = [&](int64_t value) { return has ? Json(value) : Json(nullptr); };
  Json subjects = Json::array();
  if (has) {
    for (const auto& subject : result.evaluations(0).subjects()) {
      subjects.push_back(SubjectRow(subject));
    }
  }
  const Json val_mae =
      result.has_validation() ? Number(result.validation().mae_bpm()) : Json(nullptr);
  return {{"job", ShortName(job.name())},
          {"state", StateName(job.state())},
          {"kind", KindName(job.kind())},
          {"method", job.method()},
          {"teacher", TextOrNull(job.teacher())},
          {"student", job.model()},
          {"seed", job.seed()},
          {"fold", job.fold()},
          {"mae_bpm", number(overall.mae_bpm())},
          {"mae_argmax_bpm", number(overall.mae_argmax_bpm())},
          {"mae_expectation_bpm", number(overall.mae_expectation_bpm())},
          {"mae_all_channels_bpm", number(overall.mae_all_channels_bpm())},
          {"rmse_bpm", number(overall.rmse_bpm())},
          {"within_5_bpm", number(overall.within_5_bpm())},
          {"within_10_bpm", number(overall.within_10_bpm())},
          {"val_mae_bpm", val_mae},
          {"floor_mean_bpm", number(overall.floor_mean_bpm())},
          {"floor_fft_bpm", number(overall.floor_fft_bpm())},
          {"params", count(cost.params())},
          {"params_body", count(cost.params_body())},
          {"macs", count(cost.macs())},
          {"latency_ms", number(cost.latency_ms())},
          {"attempt", job.attempt()},
          {"epochs", job.epochs()},
          {"epochs_trained", count(result.epochs())},
          {"kept_epoch", count(result.kept_epoch())},
          {"microbatch", result.microbatch() > 0 ? Json(result.microbatch()) : Json(nullptr)},
          {"train", nullptr},
          {"selected", has},
          {"windows", count(overall.windows())},
          {"subjects", subjects}};
}

Json JobDetails(const v1::Job& job) {
  Json row = JobRow(job);
  row["teacher_job"] = TextOrNull(ShortName(job.teacher_job()));
  row["memory_bytes"] = job.memory_bytes() > 0 ? Json(job.memory_bytes()) : Json(nullptr);
  Json attempts = Json::array();
  for (const v1::Attempt& attempt : job.attempts()) {
    attempts.push_back({{"attempt", attempt.number()},
                        {"worker", ShortName(attempt.worker())},
                        {"lease_time", TimeJson(attempt.lease_time(), attempt.has_lease_time())},
                        {"start_time", TimeJson(attempt.start_time(), attempt.has_start_time())},
                        {"end_time", TimeJson(attempt.end_time(), attempt.has_end_time())},
                        {"failure", TextOrNull(CauseName(attempt.failure().cause()))},
                        {"failure_message", TextOrNull(attempt.failure().message())}});
  }
  row["attempts"] = attempts;
  Json latest = Json::object();
  for (const v1::MetricPoint& point : job.latest_metrics()) {
    latest[point.series()] = Number(point.value());
  }
  row["latest_metrics"] = latest;
  row["spec"] = MessageJson(job.spec());
  row["result"] = job.has_result() ? ResultRow(job) : Json(nullptr);
  if (job.has_result()) row["result"].erase("train");  // `spec` has all of it
  return row;
}

}  // namespace retort
