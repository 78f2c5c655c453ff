// The coordinator's messages as rows of data. The keys are stable: programs read them.
#ifndef RETORT_CLIENT_CLI_ROWS_H_
#define RETORT_CLIENT_CLI_ROWS_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/context.h"
#include "retort/v1/resources.pb.h"
#include "retort/v1/sweep_service.pb.h"

namespace retort {

// `running`, `succeeded`, …: an enumerator in lower case without its type's prefix; empty if unset.
std::string StateName(v1::JobState state);
std::string StateName(v1::SweepState state);
std::string StateName(v1::WorkerState state);
std::string CauseName(v1::FailureCause cause);
// `teacher`, `student`.
std::string KindName(v1::JobKind kind);
// INVALID_ARGUMENT with the known states.
absl::StatusOr<v1::JobState> ParseJobState(const std::string& name);

// INVALID_ARGUMENT with the known causes. Upper or lower case.
absl::StatusOr<v1::FailureCause> ParseFailureCause(const std::string& name);

// `2026-11-22T18:50:00Z`, or null if unset.
Json TimeJson(const google::protobuf::Timestamp& time, bool is_set);

// A value of a query: integers stay exact; numbers that are not finite become null, and bytes their
// hexadecimal digits.
Json QueryJson(const v1::QueryValue& value);

Json SweepRow(const v1::Sweep& sweep);
Json JobRow(const v1::Job& job);
Json WorkerRow(const v1::Worker& worker);

// Why a job is in its state: `job`, `state`, `attempt`, `reasons` (`code`, `message`, `related`)
// and `budgets` (`cause`, `spent`, `limit`).
Json ExplanationJson(const v1::Explanation& explanation);

// A job with its result, as `retort results -o json` documents it; numbers of a job without a
// result are null. `selected` and `train` are set by ResultRows (results.h).
Json ResultRow(const v1::Job& job);

// A message as JSON, with the names of the protos; its numbers that are not finite become null.
Json MessageJson(const google::protobuf::Message& message);

// One job whole: JobRow with its spec, failure, attempts, latest metrics and result.
Json JobDetails(const v1::Job& job);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_ROWS_H_
