// What must hold of a sweep before it is expanded.
#ifndef RETORT_SERVER_CORE_SWEEP_CHECK_H_
#define RETORT_SERVER_CORE_SWEEP_CHECK_H_

#include "absl/status/status.h"
#include "retort/v1/spec.pb.h"

namespace retort::core {

// Fields on their own, and names that refer to each other. INVALID_ARGUMENT: names the field, its
// value and what would be right.
absl::Status CheckSweep(const v1::SweepSpec& sweep);

// Index of the dataset of that name; -1 if there is none.
int DatasetIndex(const v1::SweepSpec& sweep, const std::string& name);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_SWEEP_CHECK_H_
