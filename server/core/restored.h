// A state that came back from a backup, made fit to go on.
#ifndef RETORT_SERVER_CORE_RESTORED_H_
#define RETORT_SERVER_CORE_RESTORED_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/core/decide.h"

namespace retort::core {

// What is added to attempt numbers when a backup of that age is restored.
//
// The attempt number is the fencing token, and workers may still hold numbers that were given after
// the backup was made. Such a number must never be given again. A thousand is more than a job ever
// took; a second's worth for each second since the backup keeps several restores of one backup
// apart, as no job begins an attempt a second for long.
int32_t AttemptsToSkip(absl::Duration age);

// For jobs first..last: raises the attempt number by `skip`. Those that were leased or running wait
// again: their attempts may have gone on, ended, or been taken over after the backup, and points
// that were acknowledged meanwhile are gone. That costs no budget. Requests keep their answers.
absl::StatusOr<Decision> DecideRestored(const State& state, JobKey first, JobKey last, int32_t skip,
                                        const Now& now);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_RESTORED_H_
