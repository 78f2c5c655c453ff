// Resource names, parsed and made in this one file: `sweeps/{name}`, `jobs/{64 hex}`, `jobs/{64
// hex}/attempts/{n}`, `workers/{id}`.
#ifndef RETORT_COMMON_NAMES_H_
#define RETORT_COMMON_NAMES_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/ids.h"

namespace retort {

// INVALID_ARGUMENT unless 1..63 characters of [a-z0-9-], beginning with a letter or digit.
absl::Status CheckSweepName(std::string_view name);
// INVALID_ARGUMENT unless 1..63 characters of [a-z0-9.-], beginning with a letter or digit.
absl::Status CheckWorkerId(std::string_view id);

std::string SweepName(std::string_view sweep);
std::string JobName(const JobId& job);
std::string WorkerName(std::string_view worker);

// The part behind `sweeps/`.
absl::StatusOr<std::string> ParseSweepName(std::string_view name);
absl::StatusOr<JobId> ParseJobName(std::string_view name);
// The 6 to 64 digits behind `jobs/`.
absl::StatusOr<std::string> ParseJobPrefix(std::string_view name);
absl::StatusOr<std::string> ParseWorkerName(std::string_view name);

}  // namespace retort

#endif  // RETORT_COMMON_NAMES_H_
