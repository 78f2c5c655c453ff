// Fields of a TrainSpec that speak of each other. Pure.
#ifndef RETORT_COMMON_SPEC_TRAIN_H_
#define RETORT_COMMON_SPEC_TRAIN_H_

#include <string>
#include <vector>

#include "common/spec/expected.h"
#include "retort/v1/spec.pb.h"

namespace retort {

// Whether the fields agree; unset ones count as their defaults. Error: `FIELD: value; must be ...`,
// without the path of the message.
Expected<bool> CheckTrain(const v1::TrainSpec& train);

// Clears what says the same as an unset field, so that it names the same job. `batch` is set.
void ClearNeutral(v1::TrainSpec& train);

// `peak_lr=0.01,precision=bf16`: these fields of a job's TrainSpec; what is unset as what it means.
std::string TrainText(const v1::TrainSpec& train, const std::vector<std::string>& fields);

// The most windows whose gradient is computed at once.
int WindowsAtOnce(const v1::TrainSpec& train);

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_TRAIN_H_
