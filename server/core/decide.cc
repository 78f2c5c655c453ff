#include "server/core/decide.h"

#include "server/core/concerns.h"

namespace retort::core {
namespace {

struct Dispatch {
  const State& state;
  const Now& now;

  using Result = absl::StatusOr<Decision>;
  Result operator()(const BeginSweep& input) const { return DecideBeginSweep(state, input, now); }
  Result operator()(const SweepChunk& input) const { return DecideSweepChunk(state, input, now); }
  Result operator()(const Sync& input) const { return DecideSync(state, input, now); }
  Result operator()(const SyncGone& input) const { return DecideSyncGone(state, input, now); }
  Result operator()(const Metrics& input) const { return DecideMetrics(state, input, now); }
  Result operator()(const ChangeSweep& input) const { return DecideChangeSweep(state, input, now); }
  Result operator()(const ChangeJobs& input) const { return DecideChangeJobs(state, input, now); }
  Result operator()(const ChangeWorker& input) const {
    return DecideChangeWorker(state, input, now);
  }
  Result operator()(const NoteRequest& input) const { return DecideNoteRequest(state, input, now); }
  Result operator()(const ArtifactLost& input) const {
    return DecideArtifactLost(state, input, now);
  }
  Result operator()(const StoodStill&) const { return DecideStoodStill(state, now); }
  Result operator()(const Wake&) const { return DecideWake(state, now); }
};

}  // namespace

absl::StatusOr<Decision> Decide(const State& state, const Input& input, const Now& now) {
  return std::visit(Dispatch{state, now}, input);
}

}  // namespace retort::core
