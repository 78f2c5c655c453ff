// Retrying and cancelling jobs, and jobs whose weights were lost.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "server/core/concerns.h"
#include "server/core/draft.h"
#include "server/core/requests.h"
#include "server/core/retry.h"

namespace retort::core {
namespace {

absl::StatusOr<std::vector<JobKey>> Resolve(const State& state, const ChangeJobs& change) {
  if (!change.sweep.empty()) {
    const SweepKey sweep = state.FindSweep(change.sweep);
    if (!sweep)
      return absl::NotFoundError(absl::StrCat("sweeps/", change.sweep, ": no such sweep"));
    return state.sweep(sweep).jobs;
  }
  std::vector<JobKey> keys;
  for (const JobId& id : change.jobs) {
    const JobKey key = state.FindJob(id);
    if (!key) return absl::NotFoundError(absl::StrCat(JobName(id), ": no such job"));
    keys.push_back(key);
  }
  return keys;
}

bool Matches(const JobRow& row, const ChangeJobs& change) {
  const auto has = [](const auto& list, auto value) {
    return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
  };
  return has(change.states, row.state) && has(change.causes, row.last_cause);
}

// Queues a failed job again, or the teacher without which a job was skipped: the job follows by
// itself.
bool Retry(Draft& draft, JobKey key) {
  const JobState state = draft.job(key).state;
  if (!draft.Wanted(key)) return false;
  if (state == JobState::kFailed) {
    ResetBudgets(draft.EditJob(key));
    draft.Requeue(key);
    return true;
  }
  if (state != JobState::kSkipped) return false;
  const JobKey teacher = draft.state().job(key).teacher;
  const JobState teacher_state = draft.job(teacher).state;
  if (!draft.Wanted(teacher)) return false;
  if (teacher_state == JobState::kFailed || teacher_state == JobState::kCancelled) {
    ResetBudgets(draft.EditJob(teacher));
    draft.Requeue(teacher);
  }
  return true;
}

}  // namespace

absl::StatusOr<Decision> DecideChangeJobs(const State& state, const ChangeJobs& change,
                                          const Now& now) {
  const bool retry = change.what == ChangeJobs::What::kRetry;
  const char* method = retry ? "RetryJobs" : "CancelJobs";
  Draft draft(state, now);
  auto repeated = FindRepeated(state, change.request_id, method, change.arguments);
  if (!repeated.ok()) return repeated.status();
  if (*repeated != nullptr) {
    draft.Say(change.token, JobsReply{(*repeated)->changed});
    return draft.Finish();
  }
  const auto keys = Resolve(state, change);
  if (!keys.ok()) return keys.status();
  RequestAnswer answer;
  std::set<JobKey>
      chosen;  // before anything changes: reviving a teacher must not choose its children
  for (const JobKey key : *keys) {
    if (Matches(state.job(key).row, change)) chosen.insert(key);
  }
  for (const JobKey key : chosen) {
    if (retry) {
      // A teacher may have been queued for one of its children already.
      const bool revived = draft.job(key).state != state.job(key).row.state;
      if (revived || Retry(draft, key)) ++answer.changed;
    } else if (!HasEnded(draft.job(key).state)) {
      draft.CancelJob(key);
      ++answer.changed;
    }
  }
  draft.Say(change.token, JobsReply{answer.changed});
  Remember(draft, change.request_id, method, change.arguments, answer);
  return draft.Finish();
}

absl::StatusOr<Decision> DecideArtifactLost(const State& state, const ArtifactLost& lost,
                                            const Now& now) {
  Draft draft(state, now);
  constexpr size_t kMost = 5000;
  for (const JobKey key : state.Producers(lost.hash, kMost)) {
    if (state.job(key).row.state != JobState::kSucceeded) continue;
    draft.Write(ResultWithdrawn{key, *state.weights(key)});
    draft.Move(key, JobState::kQueued);
    if (!draft.Wanted(key)) draft.CancelJob(key);
  }
  return draft.Finish();
}

}  // namespace retort::core
