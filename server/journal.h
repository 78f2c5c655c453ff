// What operators read in the coordinator's log of what was committed.
#ifndef RETORT_SERVER_JOURNAL_H_
#define RETORT_SERVER_JOURNAL_H_

#include <vector>

#include "server/core/records.h"
#include "server/core/state.h"

namespace retort {

// Logs what changed, each line about its sweep, worker, job and attempt (common/log.h):
//   warn   attempts that ended without a result, workers that are quarantined
//   info   states of sweeps, workers that come, go away, drain
//   debug  leases, starts, results
// `state` is the one after the records. Threads: that of the state.
void LogChanges(const core::State& state, const std::vector<const core::Record*>& records);

}  // namespace retort

#endif  // RETORT_SERVER_JOURNAL_H_
