#include "server/core/state.h"

#include <algorithm>
#include <utility>

namespace retort::core {
namespace {

// How often running attempts are counted against budgets of device time.
constexpr absl::Duration kBudgetPeriod = absl::Seconds(60);

}  // namespace

void State::Apply(const Decision& decision) {
  last_applied_ = std::max(last_applied_, decision.at);
  // First: what follows may give reasons to try again.
  if (decision.placed_all) placement_due_ = false;
  for (const Record& record : decision.records) {
    std::visit([this](const auto& r) { Do(r); }, record);
  }
  for (const Effect& effect : decision.effects) {
    std::visit([this](const auto& e) { Take(e); }, effect);
  }
}

void State::Undo(const Decision& decision) {
  for (auto effect = decision.effects.rbegin(); effect != decision.effects.rend(); ++effect) {
    std::visit([this](const auto& e) { TakeBack(e); }, *effect);
  }
  for (auto record = decision.records.rbegin(); record != decision.records.rend(); ++record) {
    std::visit([this](const auto& r) { Unmake(r); }, *record);
  }
  placement_due_ = true;
}

void State::Load(const Record& record) {
  std::visit([this](const auto& r) { Do(r); }, record);
}

void State::Recover(const Now& now) {
  last_applied_ = now.monotonic;
  for (int64_t i = 1; i <= workers(); ++i) {
    const WorkerKey key{i};
    if (!worker(key).row.away || !worker(key).leases.empty()) {
      SetDeadline(key, now.monotonic + options_.lease);
    }
    // A running attempt is known to the worker; one that is only leased may never have reached it.
    for (const JobKey job : worker(key).leases) {
      leases_[job].confirmed = this->job(job).row.state == JobState::kRunning;
    }
  }
  for (const Job& job : jobs_) {
    if (job.row.state != JobState::kSucceeded || !job.row.worker) continue;
    const auto took_ms = static_cast<double>(job.row.end_ms - job.row.lease_ms);
    pace_.Learn(job.expected_cost, took_ms / 1000, MutableWorker(job.row.worker).speed);
  }
  for (const auto& [teacher, children] : children_) chores_[{teacher, {}}] = 0;
  const int64_t now_ms = absl::ToUnixMillis(now.wall);
  for (int64_t i = 1; i <= sweeps(); ++i) {
    const SweepKey key{i};
    Sweep& sweep = MutableSweep(key);
    if (sweep.row.state == SweepState::kCancelled) chores_[{{}, key}] = 0;
    if (sweep.fixed.budget.wall_ms > 0) {
      walls_.erase({sweep.wall_deadline, key});
      sweep.wall_deadline = now.monotonic + absl::Milliseconds(sweep.fixed.create_ms +
                                                               sweep.fixed.budget.wall_ms - now_ms);
    }
    UpdateBudgets(key);
  }
}

absl::Duration State::NextTimer() const {
  absl::Duration next = std::min(next_budget_check_, look_again_);
  if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
  if (!parks_.empty()) next = std::min(next, parks_.begin()->first);
  if (!walls_.empty()) next = std::min(next, walls_.begin()->first);
  return next;
}

absl::Duration State::NextWake() const {
  if (!chores_.empty() || !job_requests_.empty() || placement_due())
    return -absl::InfiniteDuration();
  return NextTimer();
}

JobKey State::FindJob(const JobId& id) const {
  const auto it = job_keys_.find(id);
  return it == job_keys_.end() ? JobKey{} : it->second;
}

SweepKey State::FindSweep(std::string_view name) const {
  const auto it = sweep_keys_.find(absl::string_view(name.data(), name.size()));
  return it == sweep_keys_.end() ? SweepKey{} : it->second;
}

WorkerKey State::FindWorker(std::string_view name) const {
  const auto it = worker_keys_.find(absl::string_view(name.data(), name.size()));
  return it == worker_keys_.end() ? WorkerKey{} : it->second;
}

const RequestAnswer* State::FindRequest(std::string_view request_id) const {
  const auto it = requests_.find(absl::string_view(request_id.data(), request_id.size()));
  return it == requests_.end() ? nullptr : &it->second;
}

const std::vector<JobKey>& State::children(JobKey key) const {
  static const std::vector<JobKey> kNone;
  const auto it = children_.find(key);
  return it == children_.end() ? kNone : it->second;
}

const Artifact* State::weights(JobKey key) const {
  const auto it = weights_.find(key);
  return it == weights_.end() ? nullptr : &it->second;
}

const TrainingCheckpoint* State::checkpoint(JobKey key) const {
  const auto it = checkpoints_.find(key);
  return it == checkpoints_.end() ? nullptr : &it->second;
}

std::vector<JobKey> State::Producers(const ArtifactHash& hash, size_t limit) const {
  std::vector<JobKey> jobs;
  for (auto it = producers_.lower_bound({hash, JobKey{}});
       it != producers_.end() && it->first == hash && jobs.size() < limit; ++it) {
    jobs.push_back(it->second);
  }
  return jobs;
}

// ------------------------------------------------------------------------------- rows and indices

QueueEntry State::EntryOf(JobKey key) const {
  return {static_cast<int64_t>(children(key).size()), job(key).expected_cost, key};
}

void State::Enqueue(JobKey key) {
  const Job& queued = job(key);
  for (const SweepKey sweep : queued.sweeps) {
    MutableSweep(sweep).queue.Insert(EntryOf(key), QueueNeed(queued), queued.teacher);
    UpdatePlaceable(sweep);
  }
  placement_due_ = true;
}

void State::Dequeue(JobKey key) {
  const Job& queued = job(key);
  for (const SweepKey sweep : queued.sweeps) {
    MutableSweep(sweep).queue.Erase(EntryOf(key), QueueNeed(queued), queued.teacher);
    UpdatePlaceable(sweep);
  }
}

void State::SetJob(JobKey key, const JobRow& row) {
  Job& job = MutableJob(key);
  // A queued job lies where its need says.
  const bool moves = row.state != job.row.state || row.memory_bytes != job.row.memory_bytes;
  if (moves && job.row.state == JobState::kQueued) Dequeue(key);
  const JobRow before = std::exchange(job.row, row);
  if (moves && row.state == JobState::kQueued) Enqueue(key);
  if (IsLive(before.state) && (!IsLive(row.state) || before.worker != row.worker)) {
    MutableWorker(before.worker).leases.erase(key);
    leases_.erase(key);
    // Sums of what is added and taken away drift: begin anew when there is nothing.
    live_cost_ = leases_.empty() ? 0 : live_cost_ - job.expected_cost;
    UpdateHungry(before.worker);
  }
  if (IsLive(row.state) && (!IsLive(before.state) || before.worker != row.worker)) {
    MutableWorker(row.worker).leases.insert(key);
    leases_[key] = LeaseInfo{};
    live_cost_ += job.expected_cost;
    UpdateHungry(row.worker);
  }
}

void State::SetSweep(SweepKey key, const SweepRow& row) {
  MutableSweep(key).row = row;
  UpdatePlaceable(key);
  UpdateBudgets(key);
}

void State::SetWorker(WorkerKey key, const WorkerRow& row) {
  Worker& worker = MutableWorker(key);
  // Others may get what this one was not given before.
  if (worker.row.state != row.state || worker.row.away != row.away) placement_due_ = true;
  worker.row = row;
  UpdateHungry(key);
}

void State::UpdatePlaceable(SweepKey key) {
  const Sweep& sweep = this->sweep(key);
  const std::pair<int32_t, SweepKey> entry{-sweep.fixed.priority, key};
  if (sweep.row.state == SweepState::kActive && sweep.queue.size() > 0) {
    if (placeable_.insert(entry).second) placement_due_ = true;
  } else {
    placeable_.erase(entry);
  }
}

void State::UpdateHungry(WorkerKey key) {
  const Worker& worker = this->worker(key);
  const bool hungry = worker.parked != 0 && worker.wanted > 0 && !worker.draining &&
                      worker.row.state == WorkerState::kActive &&
                      worker.leases.size() < worker.row.slots.size();
  if (!hungry) {
    hungry_.erase(key);
  } else if (hungry_.insert(key).second) {
    placement_due_ = true;
  }
}

void State::UpdateBudgets(SweepKey key) {
  const Sweep& sweep = this->sweep(key);
  const bool runs =
      sweep.row.state == SweepState::kActive || sweep.row.state == SweepState::kPaused;
  const bool counts = runs && !sweep.row.budget_spent;
  if (counts && sweep.fixed.budget.wall_ms > 0) {
    walls_.insert({sweep.wall_deadline, key});
  } else {
    walls_.erase({sweep.wall_deadline, key});
  }
  if (counts && sweep.fixed.budget.device_s > 0) {
    metered_.insert(key);
    next_budget_check_ = std::min(next_budget_check_, last_applied_ + kBudgetPeriod);
  } else {
    metered_.erase(key);
    if (metered_.empty()) next_budget_check_ = absl::InfiniteDuration();
  }
}

void State::SetDeadline(WorkerKey key, absl::Duration deadline) {
  Worker& worker = MutableWorker(key);
  deadlines_.erase({worker.deadline, key});
  worker.deadline = deadline;
  if (deadline != absl::InfiniteDuration()) deadlines_.insert({deadline, key});
}

void State::SetParked(WorkerKey key, Token token, absl::Duration until) {
  Worker& worker = MutableWorker(key);
  parks_.erase({worker.parked_until, key});
  worker.parked = token;
  worker.parked_until = until;
  if (token != 0) parks_.insert({until, key});
  UpdateHungry(key);
}

// --------------------------------------------------------------------------------------- records

void State::Do(const JobCreated& record) {
  Job job;
  job.id = record.id;
  job.teacher = record.teacher;
  job.kind = record.kind;
  job.expected_cost = record.expected_cost;
  job.create_ms = record.create_ms;
  jobs_.push_back(std::move(job));
  job_keys_.emplace(record.id, record.key);
  if (record.teacher) {
    // The teacher's place in the queues depends on how many jobs need it.
    const bool queued = this->job(record.teacher).row.state == JobState::kQueued;
    if (queued) Dequeue(record.teacher);
    children_[record.teacher].push_back(record.key);
    if (queued) Enqueue(record.teacher);
  }
  SetJob(record.key, record.row);
}

void State::Unmake(const JobCreated& record) {
  JobRow blocked = record.row;
  blocked.state = JobState::kBlocked;
  SetJob(record.key, blocked);
  if (record.teacher) {
    const bool queued = job(record.teacher).row.state == JobState::kQueued;
    if (queued) Dequeue(record.teacher);
    auto& children = children_[record.teacher];
    children.pop_back();
    if (children.empty()) children_.erase(record.teacher);
    if (queued) Enqueue(record.teacher);
  }
  job_keys_.erase(record.id);
  chores_.erase({record.key, {}});
  jobs_.pop_back();
}

void State::Do(const JobChanged& record) { SetJob(record.key, record.after); }
void State::Unmake(const JobChanged& record) { SetJob(record.key, record.before); }

void State::Do(const SweepCreated& record) {
  auto sweep = std::make_unique<Sweep>();
  sweep->fixed = record.fixed;
  if (record.fixed.budget.wall_ms > 0) {
    sweep->wall_deadline = last_applied_ + absl::Milliseconds(record.fixed.budget.wall_ms);
  }
  sweeps_.push_back(std::move(sweep));
  // At once: grown while the jobs come, a large table would keep everybody waiting.
  job_keys_.reserve(job_keys_.size() + static_cast<size_t>(record.fixed.jobs));
  sweep_keys_.emplace(record.fixed.name, record.key);
  SetSweep(record.key, record.row);
}

void State::Unmake(const SweepCreated& record) {
  SweepRow over = record.row;
  over.state = SweepState::kCancelled;  // leaves all indices
  SetSweep(record.key, over);
  sweep_keys_.erase(record.fixed.name);
  chores_.erase({{}, record.key});
  sweeps_.pop_back();
}

void State::Do(const SweepChanged& record) { SetSweep(record.key, record.after); }
void State::Unmake(const SweepChanged& record) { SetSweep(record.key, record.before); }

void State::Do(const MemberAdded& record) {
  MutableSweep(record.sweep).jobs.push_back(record.job);
  Job& job = MutableJob(record.job);
  job.sweeps.insert(std::lower_bound(job.sweeps.begin(), job.sweeps.end(), record.sweep),
                    record.sweep);
  if (job.row.state == JobState::kQueued) {
    MutableSweep(record.sweep).queue.Insert(EntryOf(record.job), QueueNeed(job), job.teacher);
    UpdatePlaceable(record.sweep);
  }
}

void State::Unmake(const MemberAdded& record) {
  Job& job = MutableJob(record.job);
  if (job.row.state == JobState::kQueued) {
    MutableSweep(record.sweep).queue.Erase(EntryOf(record.job), QueueNeed(job), job.teacher);
    UpdatePlaceable(record.sweep);
  }
  std::erase(job.sweeps, record.sweep);
  MutableSweep(record.sweep).jobs.pop_back();
}

void State::Do(const WorkerCreated& record) {
  workers_.push_back(std::make_unique<Worker>());
  worker_keys_.emplace(record.row.name, record.key);
  SetWorker(record.key, record.row);
}

void State::Unmake(const WorkerCreated& record) {
  SetParked(record.key, 0, absl::InfiniteDuration());
  SetDeadline(record.key, absl::InfiniteDuration());
  worker_keys_.erase(record.row.name);
  workers_.pop_back();
}

void State::Do(const WorkerChanged& record) { SetWorker(record.key, record.after); }
void State::Unmake(const WorkerChanged& record) { SetWorker(record.key, record.before); }

void State::Do(const ResultAccepted& record) {
  weights_[record.job] = record.weights;
  producers_.insert({record.weights.hash, record.job});
}

void State::Unmake(const ResultAccepted& record) {
  weights_.erase(record.job);
  producers_.erase({record.weights.hash, record.job});
}

void State::Do(const ResultWithdrawn& record) {
  Unmake(ResultAccepted{record.job, record.weights, 0, nullptr});
}

void State::Unmake(const ResultWithdrawn& record) {
  Do(ResultAccepted{record.job, record.weights, 0, nullptr});
}

void State::SetCheckpoint(JobKey key, const std::optional<TrainingCheckpoint>& checkpoint) {
  if (checkpoint) {
    checkpoints_[key] = *checkpoint;
  } else {
    checkpoints_.erase(key);
  }
}

void State::SetRequest(const std::string& id, const RequestAnswer& answer) {
  requests_[id] = answer;
  requests_by_time_.insert({answer.time_ms, id});
  if (answer.next >= 0) {
    job_requests_.insert({answer.time_ms, id});
  } else {
    job_requests_.erase({answer.time_ms, id});
  }
}

void State::EraseRequest(const std::string& id, const RequestAnswer& answer) {
  requests_by_time_.erase({answer.time_ms, id});
  job_requests_.erase({answer.time_ms, id});
  requests_.erase(id);
}

void State::Do(const RequestAnswered& record) { SetRequest(record.request_id, record.answer); }

void State::Unmake(const RequestAnswered& record) {
  if (record.before) {
    SetRequest(record.request_id, *record.before);
  } else {
    EraseRequest(record.request_id, record.answer);
  }
}

void State::Do(const RequestForgotten& record) { EraseRequest(record.request_id, record.before); }
void State::Unmake(const RequestForgotten& record) { SetRequest(record.request_id, record.before); }

// --------------------------------------------------------------------------------------- effects

void State::Take(const WorkerHeard& effect) {
  SetDeadline(effect.worker, effect.deadline);
  Worker& worker = MutableWorker(effect.worker);
  worker.number = effect.number;
  worker.wanted = effect.wanted;
  worker.allows_torchscript = effect.allows_torchscript;
  // Others may get what was left to this one.
  if (worker.draining != effect.draining) placement_due_ = true;
  worker.draining = effect.draining;
  worker.cached = effect.cached;
  worker.free_slots = effect.free_slots;
  for (const JobKey job : effect.confirmed) {
    const auto lease = leases_.find(job);
    if (lease != leases_.end()) lease->second.confirmed = true;
  }
  for (const auto& [job, epochs_done] : effect.epochs_done) {
    const auto lease = leases_.find(job);
    if (lease != leases_.end()) lease->second.epochs_done = epochs_done;
  }
  UpdateHungry(effect.worker);
}

void State::Take(const WorkerSilent& effect) {
  SetDeadline(effect.worker, absl::InfiniteDuration());
}

// Its leases are back, and have to end by the same deadline once that can be written.
void State::TakeBack(const WorkerSilent& effect) { SetDeadline(effect.worker, effect.deadline); }

void State::Take(const SyncParked& effect) { SetParked(effect.worker, effect.token, effect.until); }

void State::TakeBack(const SyncParked& effect) {
  if (worker(effect.worker).parked == effect.token) {
    SetParked(effect.worker, 0, absl::InfiniteDuration());
  }
}

void State::Take(const SyncAnswered& effect) {
  SetParked(effect.worker, 0, absl::InfiniteDuration());
}

void State::Take(const LeasesExtended& effect) {
  const std::vector<std::pair<absl::Duration, WorkerKey>> all(deadlines_.begin(), deadlines_.end());
  for (const auto& [deadline, key] : all) SetDeadline(key, deadline + effect.by);
}

void State::Take(const ChoreAdded& effect) { chores_[{effect.teacher, effect.sweep}] = 0; }

void State::Take(const ChoreAdvanced& effect) {
  if (effect.done) {
    chores_.erase({effect.teacher, effect.sweep});
  } else {
    chores_[{effect.teacher, effect.sweep}] = effect.to;
  }
}

void State::TakeBack(const ChoreAdvanced& effect) {
  chores_[{effect.teacher, effect.sweep}] = effect.from;
}

void State::Take(const ResultTimed& effect) {
  pace_.Learn(effect.cost, effect.seconds, MutableWorker(effect.worker).speed);
}

void State::Take(const BudgetsChecked& effect) {
  next_budget_check_ = metered_.empty() ? absl::InfiniteDuration() : effect.next;
}

}  // namespace retort::core
