// What sweeps may cost while they run.
#ifndef RETORT_SERVER_CORE_SWEEPS_H_
#define RETORT_SERVER_CORE_SWEEPS_H_

#include "server/core/draft.h"

namespace retort::core {

// Pauses or cancels a sweep whose device time is spent. Counts `running_s` of attempts that have
// not ended.
void CheckDeviceBudget(Draft& draft, SweepKey key, double running_s = 0);
// The same for its time since submission, which has come.
void SpendWallBudget(Draft& draft, SweepKey key);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_SWEEPS_H_
