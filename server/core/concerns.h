// The decisions behind Decide, one for each kind of input; errors are those of decide.h.
#ifndef RETORT_SERVER_CORE_CONCERNS_H_
#define RETORT_SERVER_CORE_CONCERNS_H_

#include "absl/status/statusor.h"
#include "server/core/decide.h"
#include "server/core/state.h"

namespace retort::core {

// submit.cc
absl::StatusOr<Decision> DecideBeginSweep(const State& state, const BeginSweep& begin,
                                          const Now& now);
absl::StatusOr<Decision> DecideSweepChunk(const State& state, const SweepChunk& chunk,
                                          const Now& now);
// sync.cc
absl::StatusOr<Decision> DecideSync(const State& state, const Sync& sync, const Now& now);
absl::StatusOr<Decision> DecideSyncGone(const State& state, const SyncGone& gone, const Now& now);
// metrics.cc
absl::StatusOr<Decision> DecideMetrics(const State& state, const Metrics& metrics, const Now& now);
// sweeps.cc
absl::StatusOr<Decision> DecideChangeSweep(const State& state, const ChangeSweep& change,
                                           const Now& now);
// jobs.cc
absl::StatusOr<Decision> DecideChangeJobs(const State& state, const ChangeJobs& change,
                                          const Now& now);
absl::StatusOr<Decision> DecideArtifactLost(const State& state, const ArtifactLost& lost,
                                            const Now& now);
// workers.cc
absl::StatusOr<Decision> DecideChangeWorker(const State& state, const ChangeWorker& change,
                                            const Now& now);
// requests.cc
absl::StatusOr<Decision> DecideNoteRequest(const State& state, const NoteRequest& note,
                                           const Now& now);
// timers.cc
absl::StatusOr<Decision> DecideStoodStill(const State& state, const Now& now);
absl::StatusOr<Decision> DecideWake(const State& state, const Now& now);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_CONCERNS_H_
