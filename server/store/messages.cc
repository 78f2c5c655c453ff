#include "server/store/messages.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/names.h"

namespace retort::store {
namespace {

// Leaves the field unset for 0.
template <typename Message, typename Mutable>
void SetTime(Message& message, Mutable mutable_time, int64_t ms) {
  if (ms == 0) return;
  auto* time = (message.*mutable_time)();
  time->set_seconds(ms / 1000);
  time->set_nanos(static_cast<int32_t>(ms % 1000) * 1'000'000);
}

double EtaSeconds(const core::SweepRow& row, int64_t slots) {
  const bool ended =
      row.state == core::SweepState::kDone || row.state == core::SweepState::kCancelled;
  if (ended) return 0;
  if (row.cost_done <= 0 || row.done_s <= 0 || slots <= 0) return -1;
  return std::max(0.0, row.cost_open) * row.done_s / row.cost_done / static_cast<double>(slots);
}

v1::WorkerState StateOf(const core::WorkerRow& row) {
  return row.away ? v1::WORKER_STATE_AWAY : static_cast<v1::WorkerState>(row.state);
}

}  // namespace

v1::Sweep SweepMessage(const core::SweepFixed& fixed, const core::SweepRow& row, int64_t slots) {
  v1::Sweep out;
  out.set_name(SweepName(fixed.name));
  out.set_state(static_cast<v1::SweepState>(row.state));
  out.set_reason(row.reason);
  SetTime(out, &v1::Sweep::mutable_create_time, fixed.create_ms);
  SetTime(out, &v1::Sweep::mutable_end_time, row.end_ms);
  using core::JobState;
  const auto count = [&row](JobState state) { return row.counts[core::IndexOf(state)]; };
  auto& counts = *out.mutable_counts();
  counts.set_blocked(count(JobState::kBlocked));
  counts.set_queued(count(JobState::kQueued));
  counts.set_leased(count(JobState::kLeased));
  counts.set_running(count(JobState::kRunning));
  counts.set_succeeded(count(JobState::kSucceeded));
  counts.set_failed(count(JobState::kFailed));
  counts.set_skipped(count(JobState::kSkipped));
  counts.set_cancelled(count(JobState::kCancelled));
  out.set_known_jobs(row.known);
  out.set_eta_s(EtaSeconds(row, slots));
  out.set_device_s(row.device_s);
  return out;
}

v1::Job JobMessage(const JobParts& parts) {
  v1::Job out;
  const core::JobRow& row = parts.row;
  out.set_name(JobName(parts.id));
  out.set_state(static_cast<v1::JobState>(row.state));
  out.set_kind(parts.kind == core::JobKind::kTeacher ? v1::JOB_KIND_TEACHER : v1::JOB_KIND_STUDENT);
  out.set_model(parts.model);
  out.set_method(parts.method);
  out.set_teacher(parts.teacher_label);
  out.set_seed(parts.seed);
  out.set_fold(parts.fold);
  out.set_attempt(row.attempt);
  if (core::IsLive(row.state)) out.set_worker(WorkerName(parts.worker));
  out.set_epochs_done(row.state == core::JobState::kSucceeded ? parts.epochs : parts.epochs_done);
  out.set_epochs(parts.epochs);
  if (row.last_cause != core::FailureCause::kNone) {
    out.mutable_failure()->set_cause(static_cast<v1::FailureCause>(row.last_cause));
    out.mutable_failure()->set_message(parts.failure_message);
  }
  SetTime(out, &v1::Job::mutable_create_time, parts.create_ms);
  SetTime(out, &v1::Job::mutable_end_time, row.end_ms);
  if (parts.teacher) out.set_teacher_job(JobName(*parts.teacher));
  out.set_expected_cost(parts.expected_cost);
  out.set_memory_bytes(row.memory_bytes);
  return out;
}

v1::Attempt AttemptMessage(const core::AttemptEnded& attempt, const std::string& worker) {
  v1::Attempt out;
  out.set_number(attempt.number);
  out.set_worker(WorkerName(worker));
  SetTime(out, &v1::Attempt::mutable_lease_time, attempt.lease_ms);
  SetTime(out, &v1::Attempt::mutable_start_time, attempt.start_ms);
  SetTime(out, &v1::Attempt::mutable_end_time, attempt.end_ms);
  if (attempt.cause != core::FailureCause::kNone) {
    out.mutable_failure()->set_cause(static_cast<v1::FailureCause>(attempt.cause));
    out.mutable_failure()->set_message(attempt.message);
  }
  return out;
}

v1::Worker WorkerMessage(const core::WorkerRow& row) {
  v1::Worker out;
  out.set_name(WorkerName(row.name));
  out.set_state(StateOf(row));
  out.set_reason(row.away ? "not heard of for longer than a lease" : row.reason);
  out.set_host(row.host);
  for (const core::Slot& slot : row.slots) {
    auto* added = out.add_slots();
    added->set_index(slot.index);
    added->set_device(slot.device);
    added->set_memory_bytes(slot.memory_bytes);
  }
  out.set_version(row.version);
  SetTime(out, &v1::Worker::mutable_seen_time, row.seen_ms);
  out.set_succeeded(row.succeeded);
  out.set_failed(row.failed);
  return out;
}

std::vector<int64_t> Thinned(int64_t count, int64_t most) {
  std::vector<int64_t> out;
  most = std::max<int64_t>(most, 2);
  const int64_t kept = std::min(count, most);
  out.reserve(static_cast<size_t>(kept));
  for (int64_t i = 0; i < kept; ++i) {
    out.push_back(kept == 1 ? 0 : i * (count - 1) / (kept - 1));
  }
  return out;
}

absl::StatusOr<std::pair<JobId, JobId>> IdRange(std::string_view hex_prefix) {
  const bool digits = std::all_of(hex_prefix.begin(), hex_prefix.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (!digits || hex_prefix.empty() || hex_prefix.size() > 64) {
    return absl::InvalidArgumentError(
        absl::StrCat("job '",
                     absl::CHexEscape(absl::string_view(hex_prefix.data(),
                                                        std::min<size_t>(80, hex_prefix.size()))),
                     "'; must be 1 to 64 lower-case hexadecimal digits"));
  }
  std::string low(hex_prefix), high(hex_prefix);
  low.resize(64, '0');
  high.resize(64, 'f');
  return std::pair{*JobId::FromHex(low), *JobId::FromHex(high)};
}

}  // namespace retort::store
