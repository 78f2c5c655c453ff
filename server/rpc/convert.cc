#include "server/rpc/convert.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "common/spec/given_teacher.h"
#include "common/status.h"
#include "server/core/requests.h"

namespace retort {
namespace {

constexpr int kMaxSlots = 1024;
constexpr int kMaxAttempts = 10'000;  // that a worker reports at once
constexpr int kMaxCached = 256;
constexpr int kMaxPoints = 4096;
constexpr int kMaxNames = 10'000;
constexpr size_t kMaxTextBytes = 255;     // host, version, device
constexpr size_t kMaxMessageText = 4096;  // of a failure
constexpr size_t kMaxLogPieceBytes = size_t{64} << 10;

absl::Status Bad(const std::string& field, const std::string& value, const std::string& right) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", absl::CHexEscape(value.substr(0, 200)), "; must be ", right));
}

// A field of an entry of a list: `live[2].id`. Spelled out only for errors, which are rare: there
// are many thousands of entries a second. What follows takes it or a plain name.
struct FieldOf {
  const char* list;
  int index;
  const char* part = "";

  FieldOf operator+(const char* more) const { return {list, index, more}; }
  operator std::string() const { return absl::StrCat(list, "[", index, "]", part); }
};

template <typename Field>
absl::Status CheckRange(const Field& field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return Bad(field, absl::StrCat(value), absl::StrCat(least, " to ", most));
}

template <typename Field>
absl::Status CheckLength(const Field& field, const std::string& value, size_t most) {
  if (value.size() <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(field), ": ", value.size(), " bytes; must be at most ", most));
}

absl::Status CheckCount(const std::string& field, int count, int most) {
  if (count <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", count, " entries; must be at most ", most));
}

template <typename Field>
absl::StatusOr<ArtifactHash> ToHash(const std::string& hex, const Field& field) {
  auto hash = ArtifactHash::FromHex(hex);
  if (!hash.ok()) return Bad(field, hex, "64 lower-case hexadecimal digits");
  return hash;
}

absl::Status CheckSeries(const FieldOf& field, const std::string& series) {
  const bool good =
      !series.empty() && series.size() <= 64 &&
      std::all_of(series.begin(), series.end(), [](unsigned char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '.';
      });
  if (good) return absl::OkStatus();
  return Bad(field, series, "1 to 64 of [a-z0-9_.]");
}

absl::StatusOr<core::AttemptName> ToAttempt(const v1::AttemptId& id, const FieldOf& field) {
  const auto job = JobId::FromHex(id.job());
  if (job.ok() && id.attempt() >= 1) return core::AttemptName{*job, id.attempt()};
  return ToAttemptName(id, field);  // says what is wrong
}

// How the attempt ended; its id is there already.
absl::Status ReadOutcome(const v1::FinishedAttempt& message, const FieldOf& field,
                         core::FinishedReport& report) {
  report.device_s = message.device_s();
  if (!std::isfinite(report.device_s) || report.device_s < 0) {
    return Bad(field + ".device_s", absl::StrCat(report.device_s),
               "a number of seconds, not negative");
  }
  if (message.has_result()) {
    const v1::JobResult& result = message.result();
    RETORT_ASSIGN_OR_RETURN(report.weights.hash,
                            ToHash(result.weights().sha256(), field + ".result.weights.sha256"));
    RETORT_RETURN_IF_ERROR(CheckRange(field + ".result.weights.size_bytes",
                                      result.weights().size_bytes(), 0, INT64_MAX));
    RETORT_RETURN_IF_ERROR(
        CheckRange(field + ".result.metric_points", result.metric_points(), 0, INT64_MAX));
    if (result.evaluations().empty())
      return Bad(field + ".result.evaluations", "empty", "one per evaluation set");
    report.weights.size_bytes = result.weights().size_bytes();
    report.result = std::make_shared<const v1::JobResult>(result);
    return absl::OkStatus();
  }
  if (!message.has_failure()) return Bad(field + ".outcome", "unset", "a result or a failure");
  RETORT_RETURN_IF_ERROR(CheckRange(field + ".failure.cause", message.failure().cause(),
                                    v1::FAILURE_CAUSE_LOST, v1::FAILURE_CAUSE_INVALID));
  report.cause = static_cast<core::FailureCause>(message.failure().cause());
  // Cut rather than refused: the worker could do nothing about it. Not in the middle of a
  // character.
  size_t end = std::min(message.failure().message().size(), kMaxMessageText);
  while (end < message.failure().message().size() &&
         (message.failure().message()[end] & 0xC0) == 0x80)
    --end;
  report.message = message.failure().message().substr(0, end);
  return absl::OkStatus();
}

void ReadLive(const v1::SyncRequest& request, core::Sync& sync, v1::SyncResponse* answer,
              std::vector<absl::Status>* refused) {
  for (int i = 0; i < request.live_size(); ++i) {
    const v1::LiveAttempt& live = request.live(i);
    const FieldOf field{"live", i};
    const auto id = ToAttempt(live.id(), field + ".id");
    if (!id.ok()) {
      refused->push_back(id.status());
      if (live.id().job().size() <= kMaxTextBytes) *answer->add_stop() = live.id();
      continue;
    }
    // The attempt is there all the same: it must not be taken for lost.
    const absl::Status epochs =
        CheckRange(field + ".epochs_done", live.epochs_done(), 0, INT32_MAX);
    if (!epochs.ok()) refused->push_back(epochs);
    const absl::Status slot = CheckRange(field + ".slot", live.slot(), 0, kMaxSlots);
    if (!slot.ok()) refused->push_back(slot);
    sync.live.push_back({*id, live.running(), std::max(0, live.epochs_done()),
                         std::clamp(live.slot(), 0, kMaxSlots)});
  }
}

void ReadFinished(const v1::SyncRequest& request, core::Sync& sync, v1::SyncResponse* answer,
                  std::vector<absl::Status>* refused) {
  for (int i = 0; i < request.finished_size(); ++i) {
    const v1::FinishedAttempt& finished = request.finished(i);
    const FieldOf field{"finished", i};
    const auto id = ToAttempt(finished.id(), field + ".id");
    if (!id.ok()) {
      refused->push_back(id.status());
      if (finished.id().job().size() <= kMaxTextBytes) *answer->add_acknowledged() = finished.id();
      continue;
    }
    core::FinishedReport report;
    report.id = *id;
    const absl::Status outcome = ReadOutcome(finished, field, report);
    if (!outcome.ok()) {
      refused->push_back(outcome);
      report = {};
      report.id = *id;
      report.cause = core::FailureCause::kInvalid;
      report.message = absl::StrCat("what the worker reported was refused: ", MessageOf(outcome));
    }
    sync.finished.push_back(std::move(report));
  }
}

// A checkpoint only saves time: one that is malformed is refused, and nothing else with it.
void ReadCheckpoints(const v1::SyncRequest& request, core::Sync& sync,
                     std::vector<absl::Status>* refused) {
  for (int i = 0; i < request.checkpoints_size(); ++i) {
    const v1::AttemptCheckpoint& message = request.checkpoints(i);
    const FieldOf field{"checkpoints", i};
    const auto id = ToAttempt(message.id(), field + ".id");
    const auto hash = ToHash(message.file().sha256(), field + ".file.sha256");
    absl::Status status = id.ok() ? hash.status() : id.status();
    if (status.ok()) {
      status = CheckRange(field + ".file.size_bytes", message.file().size_bytes(), 0, INT64_MAX);
    }
    if (status.ok()) {
      status = CheckRange(field + ".epochs_done", message.epochs_done(), 0, INT32_MAX);
    }
    if (status.ok()) status = CheckRange(field + ".steps_done", message.steps_done(), 0, INT64_MAX);
    if (status.ok()) {
      status = CheckRange(field + ".metric_points", message.metric_points(), 0, INT64_MAX);
    }
    if (!status.ok()) {
      refused->push_back(status);
      continue;
    }
    sync.checkpoints.push_back(
        {*id,
         {{*hash, message.file().size_bytes()}, message.epochs_done(), message.steps_done()},
         message.metric_points(),
         false});
  }
}

absl::Status CheckSyncSizes(const v1::SyncRequest& request) {
  RETORT_RETURN_IF_ERROR(Annotate(CheckWorkerId(request.worker()), "worker"));
  RETORT_RETURN_IF_ERROR(CheckRange("incarnation", request.incarnation(), 1, INT64_MAX));
  RETORT_RETURN_IF_ERROR(CheckRange("number", request.number(), 0, INT64_MAX));
  RETORT_RETURN_IF_ERROR(CheckLength("host", request.host(), kMaxTextBytes));
  RETORT_RETURN_IF_ERROR(CheckLength("version", request.version(), kMaxTextBytes));
  RETORT_RETURN_IF_ERROR(CheckCount("slots", request.slots_size(), kMaxSlots));
  RETORT_RETURN_IF_ERROR(CheckCount("live", request.live_size(), kMaxAttempts));
  RETORT_RETURN_IF_ERROR(CheckCount("finished", request.finished_size(), kMaxAttempts));
  RETORT_RETURN_IF_ERROR(CheckCount("checkpoints", request.checkpoints_size(), kMaxAttempts));
  RETORT_RETURN_IF_ERROR(CheckCount("cached", request.cached_size(), kMaxCached));
  RETORT_RETURN_IF_ERROR(CheckCount("free_slots", request.free_slots_size(), kMaxSlots));
  return CheckRange("wanted", request.wanted(), 0, kMaxSlots);
}

google::protobuf::Duration ToDuration(absl::Duration duration) {
  google::protobuf::Duration message;
  message.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  message.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return message;
}

}  // namespace

absl::Status CheckRequestId(const std::string& request_id) {
  bool good = request_id.size() == 36;
  for (size_t i = 0; good && i < request_id.size(); ++i) {
    const auto c = static_cast<unsigned char>(request_id[i]);
    good = i == 8 || i == 13 || i == 18 || i == 23 ? c == '-' : absl::ascii_isxdigit(c);
  }
  if (good) return absl::OkStatus();
  return Bad("request_id", "'" + request_id + "'",
             "a UUID, such as 123e4567-e89b-42d3-a456-426614174000");
}

absl::StatusOr<core::AttemptName> ToAttemptName(const v1::AttemptId& id, const std::string& field) {
  core::AttemptName name;
  auto job = JobId::FromHex(id.job());
  if (!job.ok()) return Bad(field + ".job", id.job(), "64 lower-case hexadecimal digits");
  RETORT_RETURN_IF_ERROR(CheckRange(field + ".attempt", id.attempt(), 1, INT32_MAX));
  return core::AttemptName{*job, id.attempt()};
}

absl::StatusOr<core::Sync> ToSync(const v1::SyncRequest& request, v1::SyncResponse* answer,
                                  std::vector<absl::Status>* refused) {
  RETORT_RETURN_IF_ERROR(CheckSyncSizes(request));
  core::Sync sync;
  sync.worker = request.worker();
  sync.incarnation = request.incarnation();
  sync.number = request.number();
  sync.host = request.host();
  sync.version = request.version();
  sync.wanted = request.wanted();
  sync.draining = request.draining();
  for (int i = 0; i < request.slots_size(); ++i) {
    const v1::Slot& slot = request.slots(i);
    const FieldOf field{"slots", i};
    RETORT_RETURN_IF_ERROR(CheckRange(field + ".index", slot.index(), 0, kMaxSlots));
    RETORT_RETURN_IF_ERROR(CheckLength(field + ".device", slot.device(), kMaxTextBytes));
    RETORT_RETURN_IF_ERROR(CheckRange(field + ".memory_bytes", slot.memory_bytes(), 0, INT64_MAX));
    sync.slots.push_back({slot.index(), slot.device(), slot.memory_bytes()});
  }
  ReadLive(request, sync, answer, refused);
  ReadFinished(request, sync, answer, refused);
  sync.allows_torchscript = request.allows_torchscript();
  ReadCheckpoints(request, sync, refused);
  for (int i = 0; i < request.free_slots_size(); ++i) {
    const absl::Status slot = CheckRange(absl::StrCat("free_slots[", i, "]"), request.free_slots(i),
                                         0, request.slots_size() - 1);
    if (slot.ok()) {
      sync.free_slots.push_back(request.free_slots(i));
    } else {
      refused->push_back(slot);
    }
  }
  for (int i = 0; i < request.cached_size(); ++i) {
    const auto hash = ToHash(request.cached(i), absl::StrCat("cached[", i, "]"));
    if (hash.ok()) {
      sync.cached.push_back(*hash);
    } else {
      refused->push_back(hash.status());
    }
  }
  return sync;
}

absl::StatusOr<core::Metrics> ToMetrics(v1::MetricBatch&& batch) {
  core::Metrics metrics;
  RETORT_RETURN_IF_ERROR(Annotate(CheckWorkerId(batch.worker()), "worker"));
  RETORT_ASSIGN_OR_RETURN(metrics.id, ToAttemptName(batch.id(), "id"));
  RETORT_RETURN_IF_ERROR(CheckRange("first_seq", batch.first_seq(), 0, INT64_MAX - kMaxPoints));
  RETORT_RETURN_IF_ERROR(CheckCount("points", batch.points_size(), kMaxPoints));
  for (int i = 0; i < batch.points_size(); ++i) {
    const FieldOf field{"points", i};
    RETORT_RETURN_IF_ERROR(CheckSeries(field + ".series", batch.points(i).series()));
    RETORT_RETURN_IF_ERROR(CheckRange(field + ".step", batch.points(i).step(), 0, INT64_MAX));
  }
  metrics.batch = std::make_shared<const v1::MetricBatch>(std::move(batch));
  return metrics;
}

absl::StatusOr<core::AttemptName> CheckLogChunk(const v1::LogChunk& chunk) {
  RETORT_RETURN_IF_ERROR(Annotate(CheckWorkerId(chunk.worker()), "worker"));
  RETORT_RETURN_IF_ERROR(CheckRange("offset", chunk.offset(), 0, int64_t{1} << 60));
  RETORT_RETURN_IF_ERROR(CheckLength("data", chunk.data(), kMaxLogPieceBytes));
  return ToAttemptName(chunk.id(), "id");
}

absl::StatusOr<core::ChangeSweep> ToChangeSweep(const v1::ChangeSweepRequest& request,
                                                core::ChangeSweep::What what) {
  core::ChangeSweep change;
  RETORT_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  RETORT_ASSIGN_OR_RETURN(change.name, ParseSweepName(request.name()));
  change.request_id = request.request_id();
  change.arguments = core::HashOfArguments(request);
  change.what = what;
  return change;
}

absl::StatusOr<core::ChangeJobs> ToChangeJobs(const v1::ChangeJobsRequest& request,
                                              core::ChangeJobs::What what) {
  core::ChangeJobs change;
  RETORT_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  if (request.names().empty() == request.sweep().empty()) {
    return absl::InvalidArgumentError(
        "names: either names of jobs or a sweep must be given, and not both");
  }
  RETORT_RETURN_IF_ERROR(CheckCount("names", request.names_size(), kMaxNames));
  for (int i = 0; i < request.names_size(); ++i) {
    auto job = ParseJobName(request.names(i));
    if (!job.ok()) return Annotate(job.status(), absl::StrCat("names[", i, "]"));
    change.jobs.push_back(*job);
  }
  if (!request.sweep().empty()) {
    RETORT_ASSIGN_OR_RETURN(change.sweep, ParseSweepName(request.sweep()));
  }
  RETORT_ASSIGN_OR_RETURN(change.states, ToJobStates(request.states()));
  for (int i = 0; i < request.causes_size(); ++i) {
    RETORT_RETURN_IF_ERROR(CheckRange(absl::StrCat("causes[", i, "]"), request.causes(i),
                                      v1::FAILURE_CAUSE_LOST, v1::FAILURE_CAUSE_INVALID));
    change.causes.push_back(static_cast<core::FailureCause>(request.causes(i)));
  }
  change.request_id = request.request_id();
  change.arguments = core::HashOfArguments(request);
  change.what = what;
  return change;
}

absl::StatusOr<core::ChangeWorker> ToChangeWorker(const v1::ChangeWorkerRequest& request,
                                                  core::ChangeWorker::What what) {
  core::ChangeWorker change;
  RETORT_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  RETORT_ASSIGN_OR_RETURN(change.name, ParseWorkerName(request.name()));
  change.request_id = request.request_id();
  change.arguments = core::HashOfArguments(request);
  change.what = what;
  return change;
}

absl::Status CheckSweepSpec(const v1::SweepSpec& spec) {
  if (spec.ByteSizeLong() > kMaxSpecBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("spec: ", spec.ByteSizeLong(), " bytes; must be at most ", kMaxSpecBytes));
  }
  RETORT_RETURN_IF_ERROR(Annotate(CheckSweepName(spec.name()), "spec.name"));
  RETORT_RETURN_IF_ERROR(CheckLength("spec.description", spec.description(), 4096));
  for (int i = 0; i < spec.datasets_size(); ++i) {
    RETORT_RETURN_IF_ERROR(
        ToHash(spec.datasets(i).info().sha256(), absl::StrCat("spec.datasets[", i, "].info.sha256"))
            .status());
  }
  for (int i = 0; i < spec.teachers_size(); ++i) {
    if (!spec.teachers(i).has_given()) continue;
    RETORT_RETURN_IF_ERROR(
        ToHash(HashOf(spec.teachers(i).given()), absl::StrCat("spec.teachers[", i, "].given"))
            .status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<core::JobState>> ToJobStates(
    const google::protobuf::RepeatedField<int>& states) {
  std::vector<core::JobState> result;
  for (int i = 0; i < states.size(); ++i) {
    RETORT_RETURN_IF_ERROR(CheckRange(absl::StrCat("states[", i, "]"), states[i],
                                      v1::JOB_STATE_BLOCKED, v1::JOB_STATE_CANCELLED));
    result.push_back(static_cast<core::JobState>(states[i]));
  }
  // Each once and in order: a reader keeps a prepared statement for each list that it is asked for.
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

void FromAttemptName(const core::AttemptName& name, v1::AttemptId* id) {
  id->set_job(name.job.hex());
  id->set_attempt(name.attempt);
}

void FromSyncReply(const core::SyncReply& reply, v1::SyncResponse* response) {
  response->set_number(reply.number);
  for (const core::AttemptName& name : reply.stop) FromAttemptName(name, response->add_stop());
  for (const core::AttemptName& name : reply.weights_missing)
    FromAttemptName(name, response->add_weights_missing());
  for (const core::AttemptName& name : reply.acknowledged)
    FromAttemptName(name, response->add_acknowledged());
  *response->mutable_lease() = ToDuration(reply.lease);
  *response->mutable_next_sync() = ToDuration(reply.next_sync);
  response->set_drain(reply.drain);
}

absl::Status FromGrant(const core::Grant& grant, const std::string& spec, v1::Lease* lease) {
  FromAttemptName(grant.id, lease->mutable_id());
  if (!lease->mutable_spec()->ParseFromString(spec)) {
    return absl::InternalError(
        absl::StrCat("job ", grant.id.job.hex(), ": its stored spec cannot be read"));
  }
  lease->mutable_policy()->set_priority(grant.priority);
  lease->mutable_policy()->set_checkpoint_every_s(grant.checkpoint_every_s);
  lease->mutable_policy()->set_wall_limit_s(grant.wall_limit_s);
  lease->set_slot(grant.slot);
  if (grant.teacher_weights.has_value()) {
    v1::ArtifactRef* input = lease->add_inputs();
    input->set_sha256(grant.teacher_weights->hash.hex());
    input->set_size_bytes(grant.teacher_weights->size_bytes);
    lease->set_teacher_weights_sha256(input->sha256());
  }
  if (lease->spec().has_given_teacher()) {
    lease->set_teacher_weights_sha256(HashOf(lease->spec().given_teacher()));
  }
  if (grant.checkpoint.has_value()) {
    v1::ArtifactRef* input = lease->add_inputs();
    input->set_sha256(grant.checkpoint->file.hash.hex());
    input->set_size_bytes(grant.checkpoint->file.size_bytes);
    lease->set_checkpoint_sha256(input->sha256());
  }
  return absl::OkStatus();
}

std::vector<std::string> FilesOf(const v1::TrainingSpec& spec) {
  std::vector<std::string> hashes = {spec.dataset().sha256()};
  if (spec.has_given_teacher()) hashes.push_back(HashOf(spec.given_teacher()));
  for (const v1::DatasetId& dataset : spec.evaluate()) {
    if (std::find(hashes.begin(), hashes.end(), dataset.sha256()) == hashes.end()) {
      hashes.push_back(dataset.sha256());
    }
  }
  return hashes;
}

void FromMetricReply(const core::MetricReply& reply, v1::MetricAck* ack) {
  FromAttemptName(reply.id, ack->mutable_id());
  ack->set_durable_seq(reply.durable_seq);
  ack->set_refused(reply.refused);
}

void AddProgress(const Progress& progress, v1::Sweep* sweep) {
  const auto eta = progress.eta_s.find(sweep->name());
  const bool over =
      sweep->state() == v1::SWEEP_STATE_DONE || sweep->state() == v1::SWEEP_STATE_CANCELLED;
  sweep->set_eta_s(over ? 0 : eta == progress.eta_s.end() ? -1 : eta->second);
}

void AddProgress(const Progress& progress, v1::Job* job) {
  const auto id = ParseJobName(job->name());
  if (!id.ok()) return;
  const auto epochs = progress.epochs_done.find(*id);
  if (epochs != progress.epochs_done.end()) job->set_epochs_done(epochs->second);
}

void AddProgress(const Progress& progress, v1::Worker* worker) {
  const auto known = progress.workers.find(worker->name());
  if (known == progress.workers.end()) return;
  for (const JobId& job : known->second.jobs) worker->add_jobs(JobName(job));
  if (known->second.seen == absl::InfinitePast()) return;
  const int64_t ms = absl::ToUnixMillis(known->second.seen);
  worker->mutable_seen_time()->set_seconds(ms / 1000);
  worker->mutable_seen_time()->set_nanos(static_cast<int32_t>(ms % 1000 * 1'000'000));
}

}  // namespace retort
