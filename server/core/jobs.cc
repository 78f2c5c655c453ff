// Retrying and cancelling jobs, and jobs whose weights were lost.
#include "server/core/jobs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "server/core/concerns.h"
#include "server/core/draft.h"
#include "server/core/requests.h"
#include "server/core/retry.h"

namespace retort::core {
namespace {

constexpr const char* kRetry = "RetryJobs";
constexpr const char* kCancel = "CancelJobs";

// Which jobs a request speaks of: one bit for each; 0 for all.
struct Filter {
  uint32_t states = 0;
  uint32_t causes = 0;

  bool Matches(const JobRow& row) const {
    const auto has = [](uint32_t bits, int bit) { return bits == 0 || (bits >> bit & 1) != 0; };
    return has(states, IndexOf(row.state)) && has(causes, static_cast<int>(row.last_cause));
  }
};

Filter FilterOf(const ChangeJobs& change) {
  Filter filter;
  for (const JobState state : change.states) filter.states |= 1U << IndexOf(state);
  for (const FailureCause cause : change.causes) filter.causes |= 1U << static_cast<int>(cause);
  return filter;
}

// The jobs that are named, in order of key, each once.
absl::StatusOr<std::vector<JobKey>> Resolve(const State& state, const ChangeJobs& change) {
  std::vector<JobKey> keys;
  for (const JobId& id : change.jobs) {
    const JobKey key = state.FindJob(id);
    if (!key) return absl::NotFoundError(absl::StrCat(JobName(id), ": no such job"));
    keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
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

// Changes one job that was chosen by its state before the draft. True if it did.
bool ChangeOne(Draft& draft, JobKey key, bool retry) {
  if (retry) {
    // A teacher may have been queued for one of its children already.
    return draft.job(key).state != draft.state().job(key).row.state || Retry(draft, key);
  }
  if (HasEnded(draft.job(key).state)) return false;
  draft.CancelJob(key);
  return true;
}

}  // namespace

absl::StatusOr<Decision> DecideChangeJobs(const State& state, const ChangeJobs& change,
                                          const Now& now) {
  const bool retry = change.what == ChangeJobs::What::kRetry;
  const char* method = retry ? kRetry : kCancel;
  Draft draft(state, now);
  auto repeated = FindRepeated(state, change.request_id, method, change.arguments);
  if (!repeated.ok()) return repeated.status();
  if (*repeated != nullptr) {
    draft.Say(change.token, JobsReply{(*repeated)->changed, (*repeated)->next >= 0});
    return draft.Finish();
  }
  const Filter filter = FilterOf(change);
  RequestAnswer answer;
  std::vector<JobKey> keys;
  if (!change.sweep.empty()) {
    answer.sweep = state.FindSweep(change.sweep);
    if (!answer.sweep) {
      return absl::NotFoundError(absl::StrCat("sweeps/", change.sweep, ": no such sweep"));
    }
    keys = state.sweep(answer.sweep).jobs;
  } else {
    auto named = Resolve(state, change);
    if (!named.ok()) return named.status();
    keys = *std::move(named);
  }
  if (answer.sweep && keys.size() > static_cast<size_t>(state.options().chore_size)) {
    answer.next = 0;
    answer.states = filter.states;
    answer.causes = filter.causes;
  } else {
    for (const JobKey key : keys) {
      if (filter.Matches(state.job(key).row)) answer.changed += ChangeOne(draft, key, retry);
    }
  }
  draft.Say(change.token, JobsReply{answer.changed, answer.next >= 0});
  Remember(draft, change.request_id, method, change.arguments, answer);
  return draft.Finish();
}

int ContinueChangeJobs(Draft& draft, const std::string& request_id, int most) {
  const RequestAnswer& before = *draft.state().FindRequest(request_id);
  const std::vector<JobKey>& jobs = draft.state().sweep(before.sweep).jobs;
  const Filter filter{before.states, before.causes};
  RequestAnswer after = before;
  const auto end = std::min<int64_t>(static_cast<int64_t>(jobs.size()), before.next + most);
  for (; after.next < end; ++after.next) {
    const JobKey key = jobs[static_cast<size_t>(after.next)];
    if (!filter.Matches(draft.state().job(key).row)) continue;
    after.changed += ChangeOne(draft, key, before.method == kRetry);
  }
  if (after.next >= static_cast<int64_t>(jobs.size())) after.next = -1;
  draft.Write(RequestAnswered{request_id, after, before});
  return static_cast<int>(end - before.next);
}

absl::StatusOr<Decision> DecideArtifactLost(const State& state, const ArtifactLost& lost,
                                            const Now& now) {
  Draft draft(state, now);
  for (const auto& [key, checkpoint] : state.checkpoints()) {
    if (checkpoint.file.hash != lost.hash) continue;
    // Whoever has a lease that has not begun may hold the file already: it goes on from there, and
    // the points before are still needed. If not, it fails for want of it (FailAttempt).
    if (state.job(key).row.state == JobState::kLeased) continue;
    draft.SetCheckpoint(key, std::nullopt);
  }
  constexpr size_t kMost = 5000;
  for (const JobKey key : state.Producers(lost.hash, kMost)) {
    if (state.job(key).row.state != JobState::kSucceeded) continue;
    draft.Write(ResultWithdrawn{key, *state.weights(key)});
    draft.Move(key, JobState::kQueued);
    // Its teacher's weights may have been lost before its own.
    if (draft.WaitingState(state.job(key).teacher) == JobState::kBlocked) draft.Requeue(key);
    if (!draft.Wanted(key)) draft.CancelJob(key);
  }
  return draft.Finish();
}

}  // namespace retort::core
