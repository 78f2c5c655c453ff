#include "server/core/draft.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/core/sweeps.h"

namespace retort::core {
namespace {

int64_t OpenJobs(const JobCounts& counts) {
  int64_t open = 0;
  for (const JobState state :
       {JobState::kBlocked, JobState::kQueued, JobState::kLeased, JobState::kRunning}) {
    open += counts[IndexOf(state)];
  }
  return open;
}

// The row of a key that lies in the overlay, among the created ones, or in the state.
template <typename Map, typename KeyT, typename Created>
auto* FindTouched(Map& edited, KeyT key, int64_t known, Created& created) {
  if (key.value > known) return &created[static_cast<size_t>(key.value - known - 1)].row;
  const auto it = edited.find(key);
  return it == edited.end() ? nullptr : &it->second;
}

}  // namespace

Draft::Draft(const State& state, const Now& now)
    : state_(state), now_(now), now_ms_(absl::ToUnixMillis(now.wall)) {}

const JobRow& Draft::job(JobKey key) const {
  const JobRow* row = FindTouched(jobs_, key, state_.jobs(), created_jobs_);
  return row != nullptr ? *row : state_.job(key).row;
}

const SweepRow& Draft::sweep(SweepKey key) const {
  const SweepRow* row = FindTouched(sweeps_, key, state_.sweeps(), created_sweeps_);
  return row != nullptr ? *row : state_.sweep(key).row;
}

const WorkerRow& Draft::worker(WorkerKey key) const {
  const WorkerRow* row = FindTouched(workers_, key, state_.workers(), created_workers_);
  return row != nullptr ? *row : state_.worker(key).row;
}

JobRow& Draft::EditJob(JobKey key) {
  JobRow* row = FindTouched(jobs_, key, state_.jobs(), created_jobs_);
  return row != nullptr ? *row : jobs_.emplace(key, state_.job(key).row).first->second;
}

SweepRow& Draft::EditSweep(SweepKey key) {
  SweepRow* row = FindTouched(sweeps_, key, state_.sweeps(), created_sweeps_);
  return row != nullptr ? *row : sweeps_.emplace(key, state_.sweep(key).row).first->second;
}

WorkerRow& Draft::EditWorker(WorkerKey key) {
  WorkerRow* row = FindTouched(workers_, key, state_.workers(), created_workers_);
  return row != nullptr ? *row : workers_.emplace(key, state_.worker(key).row).first->second;
}

double Draft::cost(JobKey key) const {
  return key.value > state_.jobs()
             ? created_jobs_[static_cast<size_t>(key.value - state_.jobs() - 1)].expected_cost
             : state_.job(key).expected_cost;
}

void Draft::Move(JobKey key, JobState to) {
  JobRow& row = EditJob(key);
  const JobState from = row.state;
  if (!CanMove(from, to)) {
    broken_ = absl::InternalError(absl::StrCat("job ", state_.job(key).id.short_hex(),
                                               ": no move from ", std::string(WordFor(from)),
                                               " to ", std::string(WordFor(to))));
    return;
  }
  for (const SweepKey sweep : state_.job(key).sweeps) {
    SweepRow& counted = EditSweep(sweep);
    --counted.counts[IndexOf(from)];
    ++counted.counts[IndexOf(to)];
    if (HasEnded(from) && !HasEnded(to)) counted.cost_open += cost(key);
    if (!HasEnded(from) && HasEnded(to)) counted.cost_open -= cost(key);
  }
  // Nobody goes on with it; if it is wanted again, it begins again.
  const bool over = to == JobState::kSucceeded || to == JobState::kCancelled;
  if (over && checkpoint(key) != nullptr) SetCheckpoint(key, std::nullopt);
  row.state = to;
  row.end_ms = HasEnded(to) ? now_ms_ : 0;
  if ((HasEnded(from) || HasEnded(to)) && !state_.children(key).empty()) AddChore(key, {});
}

JobState Draft::WaitingState(JobKey teacher) const {
  return !teacher || job(teacher).state == JobState::kSucceeded ? JobState::kQueued
                                                                : JobState::kBlocked;
}

void Draft::Requeue(JobKey key) {
  const JobKey teacher = state_.job(key).teacher;
  const JobState to = WaitingState(teacher);
  Move(key, to);
  if (to == JobState::kBlocked && HasEnded(job(teacher).state)) AddChore(teacher, {});
}

bool Draft::Wanted(JobKey key) const {
  const auto& sweeps = state_.job(key).sweeps;
  return std::any_of(sweeps.begin(), sweeps.end(), [this](SweepKey sweep) {
    return this->sweep(sweep).state != SweepState::kCancelled;
  });
}

JobKey Draft::CreateJob(const NewJob& job, std::shared_ptr<const NewJob> details, JobKey teacher) {
  JobCreated created;
  created.key = {state_.jobs() + static_cast<int64_t>(created_jobs_.size()) + 1};
  created.id = job.id;
  created.teacher = teacher;
  created.kind = job.kind;
  created.expected_cost = job.expected_cost;
  created.create_ms = now_ms_;
  created.row.state = WaitingState(teacher);
  created.row.memory_bytes = job.memory_bytes;
  created.row.memory_hinted = job.memory_hinted;
  created.details = std::move(details);
  if (teacher && HasEnded(this->job(teacher).state) && created.row.state == JobState::kBlocked) {
    AddChore(teacher, {});
  }
  created_jobs_.push_back(std::move(created));
  return created_jobs_.back().key;
}

SweepKey Draft::CreateSweep(SweepFixed fixed, std::shared_ptr<const v1::SweepSpec> spec) {
  const SweepKey key{state_.sweeps() + static_cast<int64_t>(created_sweeps_.size()) + 1};
  created_sweeps_.push_back({key, std::move(fixed), {}, std::move(spec)});
  return key;
}

WorkerKey Draft::CreateWorker(WorkerRow row) {
  const WorkerKey key{state_.workers() + static_cast<int64_t>(created_workers_.size()) + 1};
  created_workers_.push_back({key, std::move(row)});
  return key;
}

void Draft::AddMember(SweepKey sweep, JobKey key) {
  SweepRow& row = EditSweep(sweep);
  const JobState state = job(key).state;
  ++row.counts[IndexOf(state)];
  if (state == JobState::kSucceeded) ++row.known;
  if (!HasEnded(state)) row.cost_open += cost(key);
  const auto before = static_cast<int64_t>(state_.sweep(sweep).jobs.size());
  members_.push_back({sweep, key, before + static_cast<int64_t>(members_.size())});
}

void Draft::StartLease(JobKey key, WorkerKey worker, int16_t slot) {
  Move(key, JobState::kLeased);
  JobRow& row = EditJob(key);
  ++row.attempt;
  row.worker = worker;
  row.slot = slot;
  row.points = 0;
  row.lease_ms = now_ms_;
  row.start_ms = 0;
}

void Draft::StartRunning(JobKey key) {
  if (job(key).state == JobState::kLeased) Move(key, JobState::kRunning);
  if (job(key).start_ms != 0) return;
  JobRow& row = EditJob(key);
  row.start_ms = now_ms_;
  if (row.attempt == 1) return;
  const TrainingCheckpoint* from = checkpoint(key);
  Write(PointsDeleted{key, from != nullptr ? from->epochs_done : 0});
}

const TrainingCheckpoint* Draft::checkpoint(JobKey key) const {
  const auto changed = checkpoints_.find(key);
  if (changed == checkpoints_.end()) return state_.checkpoint(key);
  return changed->second ? &*changed->second : nullptr;
}

void Draft::SetCheckpoint(JobKey key, std::optional<TrainingCheckpoint> checkpoint) {
  checkpoints_[key] = std::move(checkpoint);
}

void Draft::EndAttempt(JobKey key, FailureCause cause, const std::string& message,
                       double device_s) {
  const JobRow& row = job(key);
  AttemptEnded attempt;
  attempt.job = key;
  attempt.number = row.attempt;
  attempt.worker = row.worker;
  attempt.lease_ms = row.lease_ms;
  attempt.start_ms = row.start_ms;
  attempt.end_ms = now_ms_;
  attempt.device_s = device_s;
  attempt.cause = cause;
  attempt.message = message;
  Write(std::move(attempt));
  for (const SweepKey sweep : state_.job(key).sweeps) EditSweep(sweep).device_s += device_s;
}

double Draft::LeasedFor(JobKey key) const {
  return static_cast<double>(std::max<int64_t>(0, now_ms_ - job(key).lease_ms)) / 1000;
}

void Draft::CancelJob(JobKey key) {
  if (IsLive(job(key).state)) {
    EndAttempt(key, FailureCause::kNone, "cancelled", LeasedFor(key));
    WakeWorker(job(key).worker);
  }
  Move(key, JobState::kCancelled);
}

void Draft::Say(Token token, const ReplyBody& body) {
  if (token != 0) replies_.push_back(Reply{token, body});
}

bool Draft::AnswerParked(WorkerKey worker, const SyncReply& reply) {
  const Worker& known = state_.worker(worker);
  if (known.parked == 0 || !answered_.insert(worker).second) return false;
  Say(known.parked, reply);
  Effect(SyncAnswered{worker});
  return true;
}

void Draft::WakeWorker(WorkerKey worker) {
  AnswerParked(worker, NewSyncReply(worker, state_.worker(worker).number));
}

SyncReply Draft::NewSyncReply(WorkerKey worker, int64_t number) const {
  SyncReply reply;
  reply.worker = worker;
  reply.number = number;
  reply.lease = state_.options().lease;
  reply.next_sync = absl::ZeroDuration();
  reply.drain = this->worker(worker).state == WorkerState::kDraining;
  return reply;
}

void Draft::AddChore(JobKey teacher, SweepKey sweep) {
  if (chores_.insert({teacher, sweep}).second) Effect(ChoreAdded{teacher, sweep});
}

void Draft::SettleSweeps() {
  for (auto& [key, row] : sweeps_) {
    CheckDeviceBudget(*this, key);
    const bool open = OpenJobs(row.counts) > 0;
    if (!open && (row.state == SweepState::kActive || row.state == SweepState::kPaused)) {
      row.state = SweepState::kDone;
      row.reason.clear();
      row.end_ms = now_ms_;
    } else if (open && row.state == SweepState::kDone) {
      row.state = SweepState::kActive;
      row.end_ms = 0;
    } else if (!open && row.state == SweepState::kCancelled && row.end_ms == 0) {
      row.end_ms = now_ms_;
    }
  }
}

absl::StatusOr<Decision> Draft::Finish() {
  SettleSweeps();
  if (!broken_.ok()) return broken_;
  Decision decision;
  decision.at = now_.monotonic;
  decision.placed_all = placed_all_;
  auto& out = decision.records;
  out.reserve(created_sweeps_.size() + created_workers_.size() + created_jobs_.size() +
              members_.size() + jobs_.size() + sweeps_.size() + workers_.size() +
              checkpoints_.size() + others_.size());
  for (auto& created : created_sweeps_) out.emplace_back(std::move(created));
  for (auto& created : created_workers_) out.emplace_back(std::move(created));
  for (auto& created : created_jobs_) out.emplace_back(std::move(created));
  for (const auto& member : members_) out.emplace_back(member);
  for (auto& [key, after] : checkpoints_) {
    const TrainingCheckpoint* known = state_.checkpoint(key);
    std::optional<TrainingCheckpoint> before;
    if (known != nullptr) before = *known;
    if (before != after) out.emplace_back(CheckpointChanged{key, before, std::move(after)});
  }
  for (const auto& [key, row] : jobs_) {
    if (row != state_.job(key).row) out.emplace_back(JobChanged{key, state_.job(key).row, row});
  }
  for (auto& [key, row] : sweeps_) {
    if (row != state_.sweep(key).row) {
      out.emplace_back(SweepChanged{key, state_.sweep(key).row, std::move(row)});
    }
  }
  for (auto& [key, row] : workers_) {
    if (row != state_.worker(key).row) {
      out.emplace_back(WorkerChanged{key, state_.worker(key).row, std::move(row)});
    }
  }
  for (auto& other : others_) out.push_back(std::move(other));
  decision.effects = std::move(effects_);
  decision.replies = std::move(replies_);
  return decision;
}

}  // namespace retort::core
