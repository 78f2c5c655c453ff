// All that the coordinator knows while it runs, changed by decisions alone.
//
// Two kinds of content. Durable: jobs, sweeps, workers, answers of requests, what the store holds
// too (without specs, results and metrics). Volatile: deadlines of leases, progress, parked Syncs,
// chores; a restart rebuilds or forgets them.
//
// Threads: none; the strand owns it.
#ifndef RETORT_SERVER_CORE_STATE_H_
#define RETORT_SERVER_CORE_STATE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "server/core/decide.h"
#include "server/core/pace.h"
#include "server/core/queue.h"
#include "server/core/records.h"
#include "server/core/types.h"

namespace retort::core {

struct Options {
  absl::Duration lease = absl::Seconds(60);  // term of leases; a Sync is parked for a quarter of it
  absl::Duration stall =
      absl::Seconds(2);  // a timer that fires so much late means that we stood still
  absl::Duration request_memory = absl::Hours(24 * 7);  // how long answers of requests are kept
  int chore_size = 5000;                                // jobs that one Wake changes at most
  int quarantine_streak = 3;  // distinct jobs that fail in a row before a worker is suspected
};

struct Sweep {
  SweepFixed fixed;
  SweepRow row;
  std::vector<JobKey> jobs;                                 // by position
  JobQueue queue;                                           // its jobs that are QUEUED
  absl::Duration wall_deadline = absl::InfiniteDuration();  // volatile; monotonic
};

// A lease in memory.
struct LeaseInfo {
  bool confirmed = false;  // the worker has reported it
  int32_t epochs_done = 0;
};

struct Worker {
  WorkerRow row;
  // Volatile from here on.
  absl::Duration deadline = absl::InfiniteDuration();  // its leases end; infinite while it is away
  int64_t number = 0;                                  // of the latest Sync
  int32_t wanted = 0;
  bool draining = false;  // it says that it goes away
  std::vector<ArtifactHash> cached;
  std::vector<int32_t> free_slots;  // as reported; empty: those without a lease
  bool allows_torchscript = false;  // as reported
  Token parked = 0;                 // 0: no Sync is held back
  absl::Duration parked_until = absl::InfiniteDuration();
  absl::btree_set<JobKey> leases;  // LEASED or RUNNING here
  JobLeft left;
  Speed speed;  // by its results since the start, and those that rows tell of
};

class State {
 public:
  explicit State(Options options = {}) : options_(options) {}

  // Changes what the decision says. Its records and effects must come from Decide on this state.
  void Apply(const Decision& decision);
  // Takes the latest decision that was not undone back: the durable part is as before; Syncs that
  // it parked are forgotten (their callers got the error).
  void Undo(const Decision& decision);

  // One record from a store, as Load gives them; then Recover.
  void Load(const Record& record);
  // After the last record: leases get a full new term, chores are found.
  void Recover(const Now& now);

  // When Wake should be decided: a moment of Now::monotonic, in the past if at once, infinite if
  // nothing is due.
  absl::Duration NextWake() const;

  // Checks everything that must always hold; INTERNAL with what does not. Reads all jobs: for
  // tests.
  absl::Status CheckInvariants() const;
  // Durable content as text, for comparison of a reloaded state with one in memory.
  std::string Dump() const;

  const Options& options() const { return options_; }

  const Job& job(JobKey key) const { return jobs_[static_cast<size_t>(key.value - 1)]; }
  const Sweep& sweep(SweepKey key) const { return *sweeps_[static_cast<size_t>(key.value - 1)]; }
  const Worker& worker(WorkerKey key) const {
    return *workers_[static_cast<size_t>(key.value - 1)];
  }
  int64_t jobs() const { return static_cast<int64_t>(jobs_.size()); }
  int64_t sweeps() const { return static_cast<int64_t>(sweeps_.size()); }
  int64_t workers() const { return static_cast<int64_t>(workers_.size()); }
  // A key of 0 if there is none.
  JobKey FindJob(const JobId& id) const;
  SweepKey FindSweep(std::string_view name) const;
  WorkerKey FindWorker(std::string_view name) const;
  // Null if the request is not known.
  const RequestAnswer* FindRequest(std::string_view request_id) const;
  // Of a LEASED or RUNNING job.
  const LeaseInfo& lease(JobKey key) const { return leases_.at(key); }
  // Jobs that need this one's weights, in order of key.
  const std::vector<JobKey>& children(JobKey key) const;
  // Weights of a job's accepted result, or null.
  const Artifact* weights(JobKey key) const;
  // Where a job's training can go on, or null.
  const TrainingCheckpoint* checkpoint(JobKey key) const;
  // Of the jobs that have one and did not succeed.
  const absl::btree_map<JobKey, TrainingCheckpoint>& checkpoints() const { return checkpoints_; }
  // Jobs whose result has these weights, in order of key; at most `limit`.
  std::vector<JobKey> Producers(const ArtifactHash& hash, size_t limit) const;

  // The place of a job in the queues of its sweeps.
  QueueEntry EntryOf(JobKey key) const;

  // For placement and timers: ACTIVE sweeps with queued jobs, highest priority first, then oldest.
  const absl::btree_set<std::pair<int32_t, SweepKey>>& placeable() const { return placeable_; }
  const absl::btree_set<WorkerKey>& hungry() const { return hungry_; }
  const absl::btree_set<std::pair<absl::Duration, WorkerKey>>& deadlines() const {
    return deadlines_;
  }
  const absl::btree_set<std::pair<absl::Duration, WorkerKey>>& parks() const { return parks_; }
  const absl::btree_set<std::pair<absl::Duration, SweepKey>>& walls() const { return walls_; }
  const absl::btree_map<std::pair<JobKey, SweepKey>, int64_t>& chores() const { return chores_; }
  // Sweeps that are not over and have a budget of device time.
  const absl::btree_set<SweepKey>& metered() const { return metered_; }
  // Requests that go through the jobs of a sweep, a part at a time; oldest first.
  const absl::btree_set<std::pair<int64_t, std::string>>& job_requests() const {
    return job_requests_;
  }
  absl::Duration next_budget_check() const { return next_budget_check_; }
  const absl::btree_set<std::pair<int64_t, std::string>>& requests_by_time() const {
    return requests_by_time_;
  }
  bool placement_due() const { return placement_due_ && !placeable_.empty() && !hungry_.empty(); }
  // The earliest of deadlines, parked Syncs, budgets and look_again; infinite if there is none.
  absl::Duration NextTimer() const;
  // What jobs take, by their cost and the speeds of workers. Volatile: recovery learns again from
  // the times of jobs that succeeded, roughly; Dump leaves it out.
  const Pace& pace() const { return pace_; }
  const Fleet& fleet() const { return fleet_; }
  // Expected cost of the jobs that are LEASED or RUNNING.
  double live_cost() const { return live_cost_; }
  // When workers that leave jobs to others are looked at again; infinite if there are none.
  absl::Duration look_again() const { return look_again_; }
  // When the latest decision that was applied was made; monotonic.
  absl::Duration last_applied() const { return last_applied_; }

 private:
  // One record, or its opposite.
  void Do(const JobCreated& record);
  void Do(const JobChanged& record);
  void Do(const SweepCreated& record);
  void Do(const SweepChanged& record);
  void Do(const MemberAdded& record);
  void Do(const WorkerCreated& record);
  void Do(const WorkerChanged& record);
  void Do(const AttemptEnded&) {}
  void Do(const ResultAccepted& record);
  void Do(const ResultWithdrawn& record);
  void Do(const CheckpointChanged& record) { SetCheckpoint(record.job, record.after); }
  void Do(const PointsAdded&) {}
  void Do(const PointsDeleted&) {}
  void Do(const RequestAnswered& record);
  void Do(const RequestForgotten& record);
  void Unmake(const JobCreated& record);
  void Unmake(const JobChanged& record);
  void Unmake(const SweepCreated& record);
  void Unmake(const SweepChanged& record);
  void Unmake(const MemberAdded& record);
  void Unmake(const WorkerCreated& record);
  void Unmake(const WorkerChanged& record);
  void Unmake(const AttemptEnded&) {}
  void Unmake(const ResultAccepted& record);
  void Unmake(const ResultWithdrawn& record);
  void Unmake(const CheckpointChanged& record) { SetCheckpoint(record.job, record.before); }
  void Unmake(const PointsAdded&) {}
  void Unmake(const PointsDeleted&) {}
  void Unmake(const RequestAnswered& record);
  void Unmake(const RequestForgotten& record);

  // One effect. Those that matter after Undo have an opposite.
  void Take(const WorkerHeard& effect);
  void Take(const WorkerSilent& effect);
  void Take(const SyncParked& effect);
  void Take(const SyncAnswered& effect);
  void Take(const LeasesExtended& effect);
  void Take(const ChoreAdded& effect);
  void Take(const ChoreAdvanced& effect);
  void Take(const BudgetsChecked& effect);
  void Take(const ResultTimed& effect);
  void Take(const FleetMeasured& effect) { fleet_ = effect.fleet; }
  void Take(const WorkerLeaves& effect) { MutableWorker(effect.worker).left = effect.left; }
  void Take(const LookAgain& effect) { look_again_ = effect.at; }
  void TakeBack(const WorkerSilent& effect);
  void TakeBack(const SyncParked& effect);
  void TakeBack(const ChoreAdvanced& effect);
  template <typename Other>
  void TakeBack(const Other&) {}

  Job& MutableJob(JobKey key) { return jobs_[static_cast<size_t>(key.value - 1)]; }
  Sweep& MutableSweep(SweepKey key) { return *sweeps_[static_cast<size_t>(key.value - 1)]; }
  Worker& MutableWorker(WorkerKey key) { return *workers_[static_cast<size_t>(key.value - 1)]; }
  void SetCheckpoint(JobKey key, const std::optional<TrainingCheckpoint>& checkpoint);
  void SetRequest(const std::string& id, const RequestAnswer& answer);
  void EraseRequest(const std::string& id, const RequestAnswer& answer);
  void Enqueue(JobKey key);
  void Dequeue(JobKey key);
  void SetJob(JobKey key, const JobRow& row);
  void SetSweep(SweepKey key, const SweepRow& row);
  void SetWorker(WorkerKey key, const WorkerRow& row);
  void UpdatePlaceable(SweepKey key);
  void UpdateHungry(WorkerKey key);
  void SetDeadline(WorkerKey key, absl::Duration deadline);
  void SetParked(WorkerKey key, Token token, absl::Duration until);
  void UpdateBudgets(SweepKey key);
  absl::Status CheckJob(JobKey key) const;
  absl::Status CheckSweep(SweepKey key) const;
  absl::Status CheckWorker(WorkerKey key) const;

  Options options_;

  // Durable.
  std::deque<Job> jobs_;  // key - 1
  std::vector<std::unique_ptr<Sweep>> sweeps_;
  std::vector<std::unique_ptr<Worker>> workers_;
  absl::flat_hash_map<JobId, JobKey> job_keys_;
  absl::flat_hash_map<std::string, SweepKey> sweep_keys_;
  absl::flat_hash_map<std::string, WorkerKey> worker_keys_;
  absl::flat_hash_map<std::string, RequestAnswer> requests_;
  absl::flat_hash_map<JobKey, Artifact> weights_;
  absl::btree_map<JobKey, TrainingCheckpoint> checkpoints_;

  // Derived from the durable content.
  absl::flat_hash_map<JobKey, std::vector<JobKey>> children_;
  absl::btree_set<std::pair<ArtifactHash, JobKey>> producers_;
  absl::btree_set<std::pair<int32_t, SweepKey>> placeable_;  // (-priority, key)
  absl::btree_set<SweepKey> metered_;
  absl::btree_set<std::pair<int64_t, std::string>> requests_by_time_;
  absl::btree_set<std::pair<int64_t, std::string>> job_requests_;

  // Volatile.
  absl::flat_hash_map<JobKey, LeaseInfo> leases_;
  absl::btree_set<WorkerKey> hungry_;  // parked and may be given jobs
  absl::btree_set<std::pair<absl::Duration, WorkerKey>> deadlines_;
  absl::btree_set<std::pair<absl::Duration, WorkerKey>> parks_;
  absl::btree_set<std::pair<absl::Duration, SweepKey>> walls_;
  absl::btree_map<std::pair<JobKey, SweepKey>, int64_t> chores_;  // to the next index
  absl::Duration next_budget_check_ = absl::InfiniteDuration();
  absl::Duration look_again_ = absl::InfiniteDuration();
  absl::Duration last_applied_ = absl::ZeroDuration();
  Pace pace_;
  Fleet fleet_;
  double live_cost_ = 0;
  bool placement_due_ = false;
};

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_STATE_H_
