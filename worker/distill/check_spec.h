// Refuses what cannot be trained before anything is read. Pure, without LibTorch.
#ifndef RETORT_WORKER_DISTILL_CHECK_SPEC_H_
#define RETORT_WORKER_DISTILL_CHECK_SPEC_H_

#include "common/spec/expected.h"
#include "retort/v1/spec.pb.h"

namespace retort::distill {

// Error, which names the field, its value and what would be right: another trainer version; a field
// of model, method or train that is not set (a job's spec has all defaults written out) or is
// outside the bounds of spec.proto; a teacher that the method does not need or lacks; no dataset to
// test on.
Expected<bool> CheckSpec(const v1::TrainingSpec& spec);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_CHECK_SPEC_H_
