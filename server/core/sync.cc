#include "server/core/sync.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/core/concerns.h"
#include "server/core/placement.h"
#include "server/core/retry.h"

namespace retort::core {
namespace {

// How old the durable time of the last word from a worker may be.
constexpr int64_t kSeenPeriodMs = 60'000;
// When a worker should report a result again that could not be accepted yet.
constexpr absl::Duration kSoon = absl::Milliseconds(200);

class SyncDecision {
 public:
  SyncDecision(const State& state, const Sync& sync, const Now& now)
      : state_(state), sync_(sync), draft_(state, now) {}

  absl::StatusOr<Decision> Run() {
    const absl::Status admitted = Admit();
    if (!admitted.ok()) return admitted;
    for (const CheckpointReport& report : sync_.checkpoints) TakeCheckpoint(report);
    for (const FinishedReport& report : sync_.finished) TakeFinished(report);
    if (restarted_) GiveUpAll();
    for (const LiveReport& report : sync_.live) TakeLive(report);
    LookForMissing();
    Place();
    Answer();
    return draft_.Finish();
  }

 private:
  // Knows the worker, or refuses the request. Answers the Sync that it sent before.
  absl::Status Admit();
  void UpdateRow();
  void TakeCheckpoint(const CheckpointReport& report);
  void TakeFinished(const FinishedReport& report);
  void Accept(JobKey key, const FinishedReport& report);
  // A newer incarnation has none of what the older had.
  void GiveUpAll();
  void TakeLive(const LiveReport& report);
  void LearnSlot(JobKey key, int16_t slot);
  // Leases that the worker does not report: granted again if it never did, else lost.
  void LookForMissing();
  void Place();
  // Says what there is to say, or parks the Sync.
  void Answer();

  // True if the job's latest attempt is this one.
  bool IsCurrent(JobKey key, int32_t attempt) const {
    const JobRow& row = draft_.job(key);
    return row.attempt == attempt && row.worker == worker_;
  }

  const State& state_;
  const Sync& sync_;
  Draft draft_;
  WorkerKey worker_;
  bool new_worker_ = false;
  bool restarted_ = false;
  SyncReply reply_;
  std::set<JobKey> held_;  // live at the worker, or finished and not accepted yet
  bool waits_ = false;     // a result for its points or its weights
  WorkerHeard heard_;
  int live_ = 0;  // leases that go on
};

absl::Status SyncDecision::Admit() {
  worker_ = state_.FindWorker(sync_.worker);
  if (!worker_) {
    WorkerRow row;
    row.name = sync_.worker;
    worker_ = draft_.CreateWorker(std::move(row));
    new_worker_ = true;
  } else {
    const Worker& worker = state_.worker(worker_);
    if (sync_.incarnation < worker.row.incarnation) {
      return absl::FailedPreconditionError(absl::StrCat(
          "workers/", sync_.worker, ": incarnation ", sync_.incarnation, " is older than ",
          worker.row.incarnation, ", which has been seen; two agents must not share a name"));
    }
    restarted_ = sync_.incarnation > worker.row.incarnation;
    if (!restarted_ && sync_.number < worker.number) {
      return absl::AbortedError(absl::StrCat("workers/", sync_.worker, ": sync ", sync_.number,
                                             " came after sync ", worker.number));
    }
    draft_.WakeWorker(worker_);
  }
  UpdateRow();
  heard_.worker = worker_;
  heard_.deadline = draft_.now().monotonic + state_.options().lease;
  heard_.number = sync_.number;
  heard_.wanted = sync_.wanted;
  heard_.draining = sync_.draining;
  heard_.cached = sync_.cached;
  heard_.free_slots = sync_.free_slots;
  heard_.allows_torchscript = sync_.allows_torchscript;
  reply_ = draft_.NewSyncReply(worker_, sync_.number);
  return absl::OkStatus();
}

void SyncDecision::UpdateRow() {
  WorkerRow& row = draft_.EditWorker(worker_);
  const bool stale = draft_.now_ms() - row.seen_ms >= kSeenPeriodMs || row.away || restarted_ ||
                     new_worker_ || draft_.now_ms() < row.seen_ms;
  if (stale) row.seen_ms = draft_.now_ms();
  row.away = false;
  row.incarnation = sync_.incarnation;
  if (row.host != sync_.host) row.host = sync_.host;
  if (row.version != sync_.version) row.version = sync_.version;
  if (row.slots != sync_.slots) row.slots = sync_.slots;
}

// Also late, of an attempt that was given up, as long as nobody else has the job. Progress that is
// kept shows that losing the job is not its own doing.
void SyncDecision::TakeCheckpoint(const CheckpointReport& report) {
  const JobKey key = state_.FindJob(report.id.job);
  if (!key || !IsCurrent(key, report.id.attempt)) return;
  const JobState job_state = draft_.job(key).state;
  const bool late = job_state == JobState::kQueued || job_state == JobState::kBlocked;
  if (!IsLive(job_state) && !late) return;
  if (!report.held || draft_.job(key).points < report.points) return;
  const TrainingCheckpoint* known = draft_.checkpoint(key);
  if (known != nullptr && known->steps_done >= report.checkpoint.steps_done) return;
  draft_.SetCheckpoint(key, report.checkpoint);
  if (draft_.job(key).lost == 0) return;
  JobRow& row = draft_.EditJob(key);
  row.lost = 0;
  row.lost_on = {};
}

void SyncDecision::TakeFinished(const FinishedReport& report) {
  const JobKey key = state_.FindJob(report.id.job);
  if (key && IsCurrent(key, report.id.attempt)) {
    const JobState job_state = draft_.job(key).state;
    // A result of the latest attempt is welcome late, as long as nobody else has the job.
    const bool late = job_state == JobState::kQueued || job_state == JobState::kBlocked;
    if (report.result != nullptr && (IsLive(job_state) || late)) {
      if (draft_.job(key).points < report.result->metric_points() || !report.weights_held) {
        waits_ = true;
        if (!report.weights_held) reply_.weights_missing.push_back(report.id);
        if (held_.insert(key).second && IsLive(job_state)) ++live_;
        return;
      }
      Accept(key, report);
    } else if (IsLive(job_state)) {
      FailAttempt(draft_, key, report.cause, report.message, report.device_s);
    }
  }
  reply_.acknowledged.push_back(report.id);
}

void SyncDecision::Accept(JobKey key, const FinishedReport& report) {
  draft_.StartRunning(key);
  draft_.EndAttempt(key, FailureCause::kNone, "", report.device_s);
  draft_.Move(key, JobState::kSucceeded);
  draft_.EditJob(key).last_cause = FailureCause::kNone;
  draft_.Write(ResultAccepted{key, report.weights, report.id.attempt, report.result});
  for (const SweepKey sweep : state_.job(key).sweeps) {
    SweepRow& row = draft_.EditSweep(sweep);
    row.cost_done += state_.job(key).expected_cost;
    row.done_s += report.device_s;
  }
  CountSuccess(draft_, worker_);
  draft_.Effect(ResultTimed{worker_, state_.job(key).expected_cost, report.device_s});
}

void SyncDecision::GiveUpAll() {
  for (const JobKey key : state_.worker(worker_).leases) {
    if (!IsLive(draft_.job(key).state) || held_.contains(key)) continue;
    FailAttempt(draft_, key, FailureCause::kLost,
                absl::StrCat("the agent of workers/", sync_.worker, " was started again"),
                draft_.LeasedFor(key));
  }
}

void SyncDecision::TakeLive(const LiveReport& report) {
  const JobKey key = state_.FindJob(report.id.job);
  if (!key || !IsCurrent(key, report.id.attempt) || !IsLive(draft_.job(key).state)) {
    reply_.stop.push_back(report.id);
    return;
  }
  if (!held_.insert(key).second) return;
  ++live_;
  heard_.confirmed.push_back(key);
  heard_.epochs_done.emplace_back(key, report.epochs_done);
  // An attempt of before slots were remembered.
  if (draft_.job(key).slot < 0 && report.slot >= 0 && report.slot < INT16_MAX) {
    LearnSlot(key, static_cast<int16_t>(report.slot));
  }
  if (report.running) draft_.StartRunning(key);
}

void SyncDecision::LearnSlot(JobKey key, int16_t slot) {
  for (const JobKey other : state_.worker(worker_).leases) {
    if (draft_.job(other).slot == slot) return;  // reported wrongly
  }
  draft_.EditJob(key).slot = slot;
}

void SyncDecision::LookForMissing() {
  if (new_worker_) return;
  for (const JobKey key : state_.worker(worker_).leases) {
    if (held_.contains(key) || !IsLive(draft_.job(key).state)) continue;
    if (state_.lease(key).confirmed) {
      FailAttempt(draft_, key, FailureCause::kLost,
                  absl::StrCat("workers/", sync_.worker, " no longer has it"),
                  draft_.LeasedFor(key));
    } else if (sync_.draining) {
      FailAttempt(draft_, key, FailureCause::kPreempted,
                  absl::StrCat("workers/", sync_.worker, " went away before it began"), 0);
    } else {
      reply_.grants.push_back(GrantOf(draft_, key));
      ++live_;
    }
  }
}

void SyncDecision::Place() {
  const WorkerRow& row = draft_.worker(worker_);
  if (row.state != WorkerState::kActive || sync_.draining) return;
  const int wanted = std::min<int>(sync_.wanted - static_cast<int>(reply_.grants.size()),
                                   static_cast<int>(sync_.slots.size()) - live_);
  if (wanted <= 0) return;
  Outlook outlook(draft_);
  Placement placement(draft_, outlook, worker_, sync_.allows_torchscript, sync_.cached,
                      FreeSlotsOf(draft_, worker_, sync_.free_slots));
  for (int i = 0; i < wanted; ++i) {
    const auto placed = placement.Next();
    if (!placed) break;
    draft_.StartLease(placed->job, worker_, placed->slot);
    reply_.grants.push_back(GrantOf(draft_, placed->job));
  }
  const absl::Duration again = NoteLeft(draft_, worker_, placement);
  if (again < state_.look_again()) draft_.Effect(LookAgain{again});
}

void SyncDecision::Answer() {
  draft_.Effect(heard_);
  if (draft_.now().monotonic - state_.fleet().at >= kFleetAge) {
    draft_.Effect(FleetMeasured{MeasureFleet(draft_)});
  }
  const bool news = !reply_.grants.empty() || !reply_.stop.empty() ||
                    !reply_.acknowledged.empty() || waits_ ||
                    // A worker that asks for no jobs knows, or hears of it when its Sync ends.
                    (reply_.drain && !sync_.draining && sync_.wanted > 0);
  if (!news && sync_.token != 0) {
    const absl::Duration until = draft_.now().monotonic + state_.options().lease / 4;
    draft_.Effect(SyncParked{worker_, sync_.token, until});
    return;
  }
  if (waits_) reply_.next_sync = kSoon;
  draft_.Say(sync_.token, reply_);
}

}  // namespace

Grant GrantOf(const Draft& draft, JobKey key) {
  const State& state = draft.state();
  const Job& job = state.job(key);
  Grant grant;
  grant.key = key;
  grant.id = {job.id, draft.job(key).attempt};
  grant.slot = std::max<int32_t>(0, draft.job(key).slot);
  bool first = true;
  for (const SweepKey sweep : job.sweeps) {
    if (draft.sweep(sweep).state == SweepState::kCancelled) continue;
    const SweepFixed& wish = state.sweep(sweep).fixed;
    const double every = wish.checkpoint_every_s, limit = wish.wall_limit_s;
    if (first) {
      grant.priority = wish.priority;
      grant.checkpoint_every_s = every;
      grant.wall_limit_s = limit;
    } else {
      grant.priority = std::max(grant.priority, wish.priority);
      // 0 is never, and no limit.
      const bool more =
          every > 0 && (grant.checkpoint_every_s == 0 || every < grant.checkpoint_every_s);
      if (more) grant.checkpoint_every_s = every;
      const bool longer = limit == 0 || limit > grant.wall_limit_s;
      if (grant.wall_limit_s > 0 && longer) grant.wall_limit_s = limit;
    }
    first = false;
  }
  if (const TrainingCheckpoint* at = draft.checkpoint(key)) grant.checkpoint = *at;
  if (job.teacher) {
    const Artifact* weights = state.weights(job.teacher);
    if (weights != nullptr) grant.teacher_weights = *weights;
  }
  return grant;
}

absl::StatusOr<Decision> DecideSync(const State& state, const Sync& sync, const Now& now) {
  return SyncDecision(state, sync, now).Run();
}

absl::StatusOr<Decision> DecideSyncGone(const State& state, const SyncGone& gone, const Now& now) {
  Draft draft(state, now);
  const WorkerKey key = state.FindWorker(gone.worker);
  if (key && state.worker(key).parked == gone.token) draft.Effect(SyncAnswered{key});
  return draft.Finish();
}

}  // namespace retort::core
