// Rows as the messages that clients see. Pure; shared by the stores.
#ifndef RETORT_SERVER_STORE_MESSAGES_H_
#define RETORT_SERVER_STORE_MESSAGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ids.h"
#include "retort/v1/resources.pb.h"
#include "server/core/records.h"
#include "server/core/types.h"

namespace retort::store {

// `slots`: of all workers that take jobs, for the expected end.
v1::Sweep SweepMessage(const core::SweepFixed& fixed, const core::SweepRow& row, int64_t slots);

// A job as a list shows it.
struct JobParts {
  JobId id;
  std::optional<JobId> teacher;
  core::JobKind kind = core::JobKind::kStudent;
  double expected_cost = 0;
  int64_t create_ms = 0;
  core::JobRow row;
  std::string model, method, teacher_label;
  int64_t seed = 0;
  int32_t fold = 0;
  int32_t epochs = 0;
  std::string worker;           // name of that of the latest attempt
  std::string failure_message;  // of the latest failure
  int32_t epochs_done = 0;
};
v1::Job JobMessage(const JobParts& parts);

v1::Attempt AttemptMessage(const core::AttemptEnded& attempt, const std::string& worker);

// Without the jobs that it has.
v1::Worker WorkerMessage(const core::WorkerRow& row);

// Evenly spread positions 0..count-1, first and last included; all if count <= most.
std::vector<int64_t> Thinned(int64_t count, int64_t most);

// Smallest and largest id that begin with these hexadecimal digits. INVALID_ARGUMENT: other
// characters, none, or more than 64.
absl::StatusOr<std::pair<JobId, JobId>> IdRange(std::string_view hex_prefix);

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_MESSAGES_H_
