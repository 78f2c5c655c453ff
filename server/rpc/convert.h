// Between messages of the wire and what the core speaks. All checks of what callers send are here:
// INVALID_ARGUMENT names the field, its value and what would be right. Pure.
#ifndef RETORT_SERVER_RPC_CONVERT_H_
#define RETORT_SERVER_RPC_CONVERT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retort/v1/spec.pb.h"
#include "retort/v1/sweep_service.pb.h"
#include "retort/v1/worker_service.pb.h"
#include "server/core/decide.h"
#include "server/progress.h"

namespace retort {

// Most bytes of a SweepSpec.
inline constexpr size_t kMaxSpecBytes = size_t{4} << 20;

// A UUID in the usual spelling.
absl::Status CheckRequestId(const std::string& request_id);
// A positive attempt of a job.
absl::StatusOr<core::AttemptName> ToAttemptName(const v1::AttemptId& id, const std::string& field);

// Of workers. `weights_held` of finished attempts is left false. An error is about what the worker
// says of itself. Malformed reports are no error: `refused` says what is wrong with them, an
// attempt that can be told has failed with INVALID, and the ids of those that cannot are added to
// `answer` as they were sent (acknowledged, or to be stopped), so that nobody reports them again.
absl::StatusOr<core::Sync> ToSync(const v1::SyncRequest& request, v1::SyncResponse* answer,
                                  std::vector<absl::Status>* refused);
absl::StatusOr<core::Metrics> ToMetrics(v1::MetricBatch&& batch);
absl::StatusOr<core::AttemptName> CheckLogChunk(const v1::LogChunk& chunk);

// Of clients.
absl::StatusOr<core::ChangeSweep> ToChangeSweep(const v1::ChangeSweepRequest& request,
                                                core::ChangeSweep::What what);
absl::StatusOr<core::ChangeJobs> ToChangeJobs(const v1::ChangeJobsRequest& request,
                                              core::ChangeJobs::What what);
absl::StatusOr<core::ChangeWorker> ToChangeWorker(const v1::ChangeWorkerRequest& request,
                                                  core::ChangeWorker::What what);
// Size, name, and the datasets' hashes; what else can be wrong with a sweep core::Expand says.
absl::Status CheckSweepSpec(const v1::SweepSpec& spec);
absl::StatusOr<std::vector<core::JobState>> ToJobStates(
    const google::protobuf::RepeatedField<int>& states);

// To workers.
void FromAttemptName(const core::AttemptName& name, v1::AttemptId* id);
// All but the leases.
void FromSyncReply(const core::SyncReply& reply, v1::SyncResponse* response);
// A lease without its inputs. INTERNAL: `spec` is not a TrainingSpec.
absl::Status FromGrant(const core::Grant& grant, const std::string& spec, v1::Lease* lease);
// Hashes of the artifacts that a job reads and no job makes: its datasets, each once, and its given
// teacher.
std::vector<std::string> FilesOf(const v1::TrainingSpec& spec);
void FromMetricReply(const core::MetricReply& reply, v1::MetricAck* ack);

// To clients: adds what is not written down.
void AddProgress(const Progress& progress, v1::Sweep* sweep);
void AddProgress(const Progress& progress, v1::Job* job);
void AddProgress(const Progress& progress, v1::Worker* worker);

}  // namespace retort

#endif  // RETORT_SERVER_RPC_CONVERT_H_
