// How students learn: the loss of every method. methods.md says how to add one.
#ifndef RETORT_WORKER_DISTILL_METHODS_H_
#define RETORT_WORKER_DISTILL_METHODS_H_

#include "retort/v1/spec.pb.h"
#include "worker/distill/losses.h"

namespace retort::distill {

// The loss of the method that is set, with all its fields, over a batch, in epoch `epoch` (from 0).
// Failure: INVALID if none is set, or one that this runner does not know.
Loss ComputeLoss(const v1::MethodSpec& method, const LossInputs& inputs, int epoch);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_METHODS_H_
