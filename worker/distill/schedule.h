// The course of the learning rate. Pure.
#ifndef RETORT_WORKER_DISTILL_SCHEDULE_H_
#define RETORT_WORKER_DISTILL_SCHEDULE_H_

#include <cstdint>

#include "retort/v1/spec.pb.h"

namespace retort::distill {

// Learning rate of `step` (from 0) of a run of `steps`. One-cycle is that of Smith and Topin as
// PyTorch's OneCycleLR has it: from peak/25 to the peak over the first 30 % of the steps, then down
// to peak/250000, both along a cosine.
double LearningRate(v1::Schedule schedule, double peak, int64_t step, int64_t steps);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_SCHEDULE_H_
