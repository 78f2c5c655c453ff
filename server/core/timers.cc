// What time brings: leases that expire, parked Syncs, chores, placement, budgets.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/core/concerns.h"
#include "server/core/draft.h"
#include "server/core/jobs.h"
#include "server/core/placement.h"
#include "server/core/retry.h"
#include "server/core/sweeps.h"
#include "server/core/sync.h"

namespace retort::core {
namespace {

constexpr absl::Duration kBudgetPeriod = absl::Seconds(60);

// How long leases have to be extended because we stood still (a suspended machine, a slow disk)
// while workers could not reach us.
absl::Duration StallOf(const State& state, const Now& now) {
  const absl::Duration late = now.monotonic - state.NextTimer();
  if (late <= state.options().stall) return absl::ZeroDuration();
  return std::max(absl::ZeroDuration(), now.monotonic - state.last_applied());
}

class WakeDecision {
 public:
  WakeDecision(const State& state, const Now& now)
      : state_(state), now_(now), draft_(state, now), left_(state.options().chore_size) {}

  absl::StatusOr<Decision> Run() {
    const absl::Duration stall = StallOf(state_, now_);
    if (stall > absl::ZeroDuration()) draft_.Effect(LeasesExtended{stall});
    Expire(stall);
    DoRequests();
    DoChores();
    CheckBudgets();
    // What the chores made ready is placed by the next Wake.
    if (state_.placement_due() || state_.look_again() <= now_.monotonic) PlaceOnParked();
    AnswerDue();
    return draft_.Finish();
  }

 private:
  void Expire(absl::Duration stall);
  void DoRequests();
  void DoChores();
  // Brings the children of a job into the state that follows from the job's.
  int64_t SettleChildren(JobKey teacher, int64_t from);
  void SettleChild(JobKey child, JobState teacher);
  // Cancels the jobs of a cancelled sweep that nobody else wants.
  int64_t SettleCancelled(SweepKey sweep, int64_t from);
  void CheckBudgets();
  double RunningSeconds(SweepKey sweep) const;
  void PlaceOnParked();
  void AnswerDue();

  const State& state_;
  const Now& now_;
  Draft draft_;
  int left_;  // jobs that may still be looked at
};

void WakeDecision::Expire(absl::Duration stall) {
  for (const auto& [deadline, key] : state_.deadlines()) {
    if (deadline + stall > now_.monotonic) break;
    draft_.Effect(WorkerSilent{key, deadline + stall});
    const Worker& worker = state_.worker(key);
    if (!worker.row.away) draft_.EditWorker(key).away = true;
    for (const JobKey job : worker.leases) {
      FailAttempt(draft_, job, FailureCause::kLost,
                  absl::StrCat("its lease expired: no word from workers/", worker.row.name, " for ",
                               absl::FormatDuration(state_.options().lease)),
                  draft_.LeasedFor(job));
    }
  }
}

// A request's choice must not depend on what it changed before: while one goes on, chores wait; the
// next one begins when there are none.
void WakeDecision::DoRequests() {
  for (const auto& [time_ms, id] : state_.job_requests()) {
    const RequestAnswer& answer = *state_.FindRequest(id);
    if (answer.next == 0 && !state_.chores().empty()) return;
    left_ -= ContinueChangeJobs(draft_, id, left_);
    return;  // one at a time, and each Wake makes progress
  }
}

void WakeDecision::DoChores() {
  for (const auto& [time_ms, id] : state_.job_requests()) {
    if (state_.FindRequest(id)->next > 0) return;
  }
  for (const auto& [chore, from] : state_.chores()) {
    if (left_ <= 0) return;
    const auto& [teacher, sweep] = chore;
    const int64_t to = teacher ? SettleChildren(teacher, from) : SettleCancelled(sweep, from);
    const auto all = static_cast<int64_t>(teacher ? state_.children(teacher).size()
                                                  : state_.sweep(sweep).jobs.size());
    draft_.Effect(ChoreAdvanced{teacher, sweep, from, to, to >= all});
  }
}

int64_t WakeDecision::SettleChildren(JobKey teacher, int64_t from) {
  const auto& children = state_.children(teacher);
  const JobState state = draft_.job(teacher).state;
  for (; from < static_cast<int64_t>(children.size()) && left_ > 0; ++from, --left_) {
    SettleChild(children[static_cast<size_t>(from)], state);
  }
  return from;
}

void WakeDecision::SettleChild(JobKey child, JobState teacher) {
  const JobState state = draft_.job(child).state;
  // Nobody waits for it; it follows when it is submitted again.
  if (state == JobState::kSkipped && !draft_.Wanted(child)) return;
  if (teacher == JobState::kSucceeded) {
    if (state == JobState::kSkipped) draft_.Move(child, JobState::kBlocked);
    if (draft_.job(child).state == JobState::kBlocked) draft_.Move(child, JobState::kQueued);
  } else if (HasEnded(teacher)) {
    if (state == JobState::kQueued) draft_.Move(child, JobState::kBlocked);
    if (draft_.job(child).state == JobState::kBlocked) draft_.Move(child, JobState::kSkipped);
  } else if (state == JobState::kSkipped || state == JobState::kQueued) {
    draft_.Move(child, JobState::kBlocked);
  }
}

int64_t WakeDecision::SettleCancelled(SweepKey sweep, int64_t from) {
  const auto& jobs = state_.sweep(sweep).jobs;
  for (; from < static_cast<int64_t>(jobs.size()) && left_ > 0; ++from, --left_) {
    const JobKey key = jobs[static_cast<size_t>(from)];
    if (!HasEnded(draft_.job(key).state) && !draft_.Wanted(key)) draft_.CancelJob(key);
  }
  return from;
}

double WakeDecision::RunningSeconds(SweepKey sweep) const {
  double seconds = 0;
  for (int64_t i = 1; i <= state_.workers(); ++i) {
    for (const JobKey job : state_.worker({i}).leases) {
      const auto& sweeps = state_.job(job).sweeps;
      if (std::binary_search(sweeps.begin(), sweeps.end(), sweep)) {
        seconds += draft_.LeasedFor(job);
      }
    }
  }
  return seconds;
}

void WakeDecision::CheckBudgets() {
  for (const auto& [deadline, sweep] : state_.walls()) {
    if (deadline > now_.monotonic) break;
    SpendWallBudget(draft_, sweep);
  }
  if (state_.next_budget_check() > now_.monotonic) return;
  for (const SweepKey sweep : state_.metered()) {
    CheckDeviceBudget(draft_, sweep, RunningSeconds(sweep));
  }
  draft_.Effect(BudgetsChecked{now_.monotonic + kBudgetPeriod});
}

void WakeDecision::PlaceOnParked() {
  struct Parked {
    WorkerKey key;
    Placement placement;
    int32_t room;
    SyncReply reply;
  };
  std::vector<Parked> parked;
  Outlook outlook(draft_);
  // Fast ones first: others would leave to them what they can do sooner.
  std::vector<std::pair<double, WorkerKey>> order;
  order.reserve(state_.hungry().size());
  for (const WorkerKey key : state_.hungry()) order.emplace_back(-outlook.SpeedOf(key), key);
  std::sort(order.begin(), order.end());
  for (const auto& [speed, key] : order) {
    const Worker& worker = state_.worker(key);
    const auto free = static_cast<int32_t>(worker.row.slots.size() - worker.leases.size());
    // Silent workers are judged by Expire, in this same decision.
    if (draft_.worker(key).state != WorkerState::kActive || draft_.worker(key).away) continue;
    parked.push_back({key,
                      Placement(draft_, outlook, key, worker.allows_torchscript, worker.cached,
                                FreeSlotsOf(draft_, key, worker.free_slots)),
                      std::min(worker.wanted, free), draft_.NewSyncReply(key, worker.number)});
  }
  // One job at a time to each, so that work spreads over machines.
  bool any = true;
  int left = state_.options().chore_size;
  while (any && left > 0) {
    any = false;
    for (Parked& worker : parked) {
      if (worker.room <= 0 || left <= 0) continue;
      const auto placed = worker.placement.Next();
      if (!placed) {
        worker.room = 0;
        continue;
      }
      draft_.StartLease(placed->job, worker.key, placed->slot);
      worker.reply.grants.push_back(GrantOf(draft_, placed->job));
      --worker.room;
      --left;
      any = true;
    }
  }
  absl::Duration again = absl::InfiniteDuration();
  for (Parked& worker : parked) {
    again = std::min(again, NoteLeft(draft_, worker.key, worker.placement));
    if (!worker.reply.grants.empty()) draft_.AnswerParked(worker.key, worker.reply);
  }
  if (again != state_.look_again()) draft_.Effect(LookAgain{again});
  if (left > 0) draft_.set_placed_all();
}

void WakeDecision::AnswerDue() {
  for (const auto& [until, key] : state_.parks()) {
    if (until > now_.monotonic) break;
    draft_.WakeWorker(key);
  }
}

}  // namespace

absl::StatusOr<Decision> DecideStoodStill(const State& state, const Now& now) {
  Draft draft(state, now);
  const absl::Duration stall = StallOf(state, now);
  if (stall > absl::ZeroDuration()) draft.Effect(LeasesExtended{stall});
  return draft.Finish();
}

absl::StatusOr<Decision> DecideWake(const State& state, const Now& now) {
  return WakeDecision(state, now).Run();
}

}  // namespace retort::core
