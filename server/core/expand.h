// Expansion of a sweep into jobs. Pure; runs off the strand.
#ifndef RETORT_SERVER_CORE_EXPAND_H_
#define RETORT_SERVER_CORE_EXPAND_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "retort/v1/spec.pb.h"
#include "server/core/expansion.h"

namespace retort::core {

struct ExpandLimits {
  int64_t jobs = 2'000'000;  // of one sweep
};

// The jobs of a sweep: all teachers, then the students in the order of the axes (axes.h), folds
// innermost, without repetitions. Every spec has all defaults written out. A student learns from
// the teacher of its own dataset, fold and seed; of that there is one, which takes the first values
// of the train.FIELD axes that go with its seed. An exclusion that names neither student nor method
// leaves the teacher's training out as well. INVALID_ARGUMENT: names the field, its value and what
// would be right.
absl::StatusOr<Expansion> Expand(const v1::SweepSpec& sweep, const ExpandLimits& limits = {});

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_EXPAND_H_
