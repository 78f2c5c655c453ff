// A decision in the making: rows as they will be, over a state that does not change meanwhile.
#ifndef RETORT_SERVER_CORE_DRAFT_H_
#define RETORT_SERVER_CORE_DRAFT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "server/core/decide.h"
#include "server/core/state.h"

namespace retort::core {

// Each row that is touched becomes one record with its before-image. References that Edit... return
// stay valid while the draft lives. Lives no longer than the state.
class Draft {
 public:
  Draft(const State& state, const Now& now);

  const State& state() const { return state_; }
  const Now& now() const { return now_; }
  int64_t now_ms() const { return now_ms_; }

  // Rows as they will be.
  const JobRow& job(JobKey key) const;
  const SweepRow& sweep(SweepKey key) const;
  const WorkerRow& worker(WorkerKey key) const;
  SweepRow& EditSweep(SweepKey key);
  WorkerRow& EditWorker(WorkerKey key);
  // For everything but the state, which only Move changes.
  JobRow& EditJob(JobKey key);

  // Moves a job along an edge of the diagram (job_state.h) and keeps the counts of its sweeps.
  // Anything else makes Finish fail with INTERNAL.
  void Move(JobKey key, JobState to);
  // The state in which a job waits: QUEUED if it needs nothing more, else BLOCKED.
  JobState WaitingState(JobKey teacher) const;
  // Moves a job to its WaitingState; if its teacher has ended without success, it is skipped in due
  // course.
  void Requeue(JobKey key);
  // True if some sweep that is not cancelled contains it.
  bool Wanted(JobKey key) const;

  JobKey CreateJob(const NewJob& job, std::shared_ptr<const NewJob> details, JobKey teacher);
  SweepKey CreateSweep(SweepFixed fixed, std::shared_ptr<const v1::SweepSpec> spec);
  WorkerKey CreateWorker(WorkerRow row);
  // At the sweep's next position; `job` is not in it yet.
  void AddMember(SweepKey sweep, JobKey job);

  // QUEUED -> LEASED: a new attempt, on this slot.
  void StartLease(JobKey key, WorkerKey worker, int16_t slot);
  // The latest attempt began to train: LEASED -> RUNNING, and points of older attempts go. It may
  // be heard of when the job is no longer leased, which moves nothing. Nothing if it was known.
  void StartRunning(JobKey key);
  // Where the job's training can go on, or null.
  const TrainingCheckpoint* checkpoint(JobKey key) const;
  // None: at the beginning.
  void SetCheckpoint(JobKey key, std::optional<TrainingCheckpoint> checkpoint);
  // Writes the end of the latest attempt and books its slot time on the sweeps; moves nothing.
  void EndAttempt(JobKey key, FailureCause cause, const std::string& message, double device_s);
  // Seconds since the latest attempt was leased.
  double LeasedFor(JobKey key) const;
  // Cancels a job that has not ended, and wakes the worker that has it.
  void CancelJob(JobKey key);

  void Write(Record record) { others_.push_back(std::move(record)); }
  void Effect(core::Effect effect) { effects_.push_back(std::move(effect)); }
  // Nothing if the token is 0.
  void Say(Token token, const ReplyBody& body);
  // Answers the parked Sync of a worker, once. False if there is none (any more).
  bool AnswerParked(WorkerKey worker, const SyncReply& reply);
  // The same, with nothing to say but to sync again.
  void WakeWorker(WorkerKey worker);
  // What every answer to a Sync begins with.
  SyncReply NewSyncReply(WorkerKey worker, int64_t number) const;

  // A chore was found for the children of a job or the jobs of a cancelled sweep.
  void AddChore(JobKey teacher, SweepKey sweep);
  void set_placed_all() { placed_all_ = true; }

  // The decision; sweeps whose jobs have all ended become DONE, those that are done and have work
  // again ACTIVE, and budgets that are spent take effect. INTERNAL: a move that the diagram does
  // not have.
  absl::StatusOr<Decision> Finish();

 private:
  void SettleSweeps();
  double cost(JobKey key) const;

  const State& state_;
  const Now now_;
  const int64_t now_ms_;

  std::map<JobKey, JobRow> jobs_;
  std::map<SweepKey, SweepRow> sweeps_;
  std::map<WorkerKey, WorkerRow> workers_;
  std::map<JobKey, std::optional<TrainingCheckpoint>> checkpoints_;
  std::vector<JobCreated> created_jobs_;  // keys follow those of the state
  std::vector<SweepCreated> created_sweeps_;
  std::vector<WorkerCreated> created_workers_;
  std::vector<MemberAdded> members_;
  std::vector<Record> others_;
  std::vector<core::Effect> effects_;
  std::vector<Reply> replies_;
  std::set<WorkerKey> answered_;
  std::set<std::pair<JobKey, SweepKey>> chores_;
  bool placed_all_ = false;
  absl::Status broken_;
};

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_DRAFT_H_
