#include "server/core/restored.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/draft.h"

namespace retort::core {
namespace {

constexpr int64_t kLeastSkip = 1000;
constexpr int32_t kMostAttempts = 2'000'000'000;

}  // namespace

int32_t AttemptsToSkip(absl::Duration age) {
  const int64_t seconds = std::max<int64_t>(0, absl::ToInt64Seconds(age));
  return static_cast<int32_t>(std::min<int64_t>(kLeastSkip + seconds, kMostAttempts / 2));
}

absl::StatusOr<Decision> DecideRestored(const State& state, JobKey first, JobKey last, int32_t skip,
                                        const Now& now) {
  Draft draft(state, now);
  for (JobKey key = first; key <= last; ++key.value) {
    const JobRow& row = draft.job(key);
    if (row.attempt > kMostAttempts - skip) {
      return absl::InternalError(absl::StrCat("job ", state.job(key).id.hex(), ": attempt ",
                                              row.attempt, " cannot be raised by ", skip));
    }
    if (IsLive(row.state)) {
      draft.EndAttempt(key, FailureCause::kLost, "the coordinator was restored from a backup", 0);
      draft.Requeue(key);
    }
    draft.EditJob(key).attempt += skip;
  }
  return draft.Finish();
}

}  // namespace retort::core
