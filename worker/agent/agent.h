// The agent's state machine: which attempts a worker has, and what is to be done about them.
//
// Pure over the interfaces in ports.h: no threads, no clock, no I/O of its own, and randomness only
// from a seed. Whoever drives it (worker/agent_main.cc, tests, the simulation) hands it events
// with the time, calls Tick after each group of events and at NextWake, and leaves when done().
//
// An attempt's life on the worker:
//
//   lease ─▶ 1 FETCHING ──inputs at hand──▶ 2 RUNNING ──runner finished, failed or died──▶ 3
//   SETTLING
//                │ input missing                                                             │
//                │               result: weights uploaded and points durable                 │
//                ▼               failure: points durable, or the patience for them ends      ▼
//            4 FINISHED, reported in every Sync ◀────────────────────────────────────────────┘
//                │ acknowledged
//                ▼
//            5 ENDED: the rest of its log is sent, then it is forgotten
//
// An attempt that had come to 3 or 4 when the agent was killed goes on from there in the next start
// (`recovered`), without a slot. Such a start reports it as finished from its first Sync on, for
// what a new incarnation does not report at once is given up; the coordinator holds a result that
// lacks points or weights back until they have come. An attempt in 4 goes back to 3, as a recovered
// one, when the coordinator lost the weights that it had: they are published again from the cache.
//
// `stop` from the coordinator, or refused points, forget an attempt from any state. A slot is taken
// from the lease to FINISHED, and after `stop` until its runner is idle or gone.
#ifndef RETORT_WORKER_AGENT_AGENT_H_
#define RETORT_WORKER_AGENT_AGENT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "worker/agent/ports.h"

namespace retort {

struct AgentOptions {
  std::string worker;       // stable name
  int64_t incarnation = 0;  // larger for every start
  std::string host;
  std::string version;
  std::vector<v1::Slot> slots;                       // index i is slot i
  int threads = 1;                                   // CPU threads of each slot
  bool allow_torchscript = false;                    // run code of teachers that are modules
  std::string cache_dir;                             // folder shared by the runners
  uint64_t seed = 0;                                 // of the jitter
  absl::Duration stop_grace = absl::Seconds(10);     // from `stop` to a kill
  absl::Duration drain_timeout = absl::Seconds(30);  // from Leave to stopping what runs
  absl::Duration leave_margin = absl::Seconds(10);   // for the last reports
};

// What an agent did since it began, and what it has.
struct AgentCounts {
  int64_t syncs_answered = 0;
  int64_t syncs_failed = 0;
  int64_t points_spooled = 0;
  int64_t points_durable = 0;  // acknowledged
  int64_t succeeded = 0;       // attempts
  std::map<v1::FailureCause, int64_t> failed;
  int64_t not_wanted = 0;    // attempts that the coordinator had stopped
  int64_t runner_exits = 0;  // of those that had a job

  // Now.
  int slots_busy = 0;
  int slots = 0;
  int fetching = 0, running = 0, settling = 0, reported = 0;  // attempts, by phase
};

// Threads: one. Does not own what it is given.
class Agent {
 public:
  Agent(AgentOptions options, CoordinatorClient& coordinator, RunnerPool& runners,
        Artifacts& artifacts, Spool& spool);

  // ---- Events. `now` never goes back.

  void OnSync(int64_t number, const absl::StatusOr<v1::SyncResponse>& response, Now now);
  void OnMetricAck(const v1::MetricAck& ack, Now now);
  // `status`: how the stream ended.
  void OnMetricsBroken(const absl::Status& status, Now now);
  void OnLogAck(const v1::LogAck& ack, Now now);
  void OnLogsBroken(Now now);
  void OnInputs(const AttemptKey& key, const absl::StatusOr<InputPaths>& paths, Now now);
  void OnPublished(const AttemptKey& key, const absl::StatusOr<v1::ArtifactRef>& weights, Now now);
  void OnCheckpointPublished(const AttemptKey& key, const absl::StatusOr<v1::ArtifactRef>& file,
                             Now now);
  void OnRunnerEvent(int slot, const v1::RunnerEvent& event, Now now);
  void OnRunnerOutput(int slot, std::string_view bytes, Now now);
  // `reason` says how it left: a signal, an exit status, that it could not be started.
  void OnRunnerExit(int slot, const std::string& reason, Now now);
  // The worker is asked to go: takes no new jobs, lets those that run go on for the drain timeout,
  // then stops them and reports them as PREEMPTED.
  void Leave(Now now);
  // Leaves as Leave does, but stops what runs now: it is not waited for any longer.
  void Hurry(Now now);

  // ---- Driving.

  // Does what is due: syncs, retries, kills, sends. The first call sends the first Sync.
  void Tick(Now now);
  // When to call Tick at the latest (monotonic).
  absl::Duration NextWake() const;
  // Nothing is left to do: everything was reported, or it took too long, or status() is not OK.
  bool done() const { return done_; }
  // FAILED_PRECONDITION: another agent with this worker's name has started since.
  const absl::Status& status() const { return status_; }
  // Attempts that are fetching, running or settling.
  int live() const;
  AgentCounts counts() const;

 private:
  enum class Phase { kFetching, kRunning, kSettling, kFinished, kEnded };

  // A series of things that are numbered from 0 and sent until they are acknowledged.
  struct Flow {
    int64_t end = 0;    // what there is
    int64_t sent = 0;   // in flight: [acked, sent)
    int64_t acked = 0;  // what the coordinator has
    bool idle() const { return sent == acked; }
    bool complete() const { return acked >= end; }
  };

  // A checkpoint on its way to the coordinator, and the newest that counts there: its file was
  // uploaded, and the points before it are durable. A newer one waits for the one under way, and
  // takes the place of one that waits: were it the other way round, a runner that is faster than
  // its points would never have one that counts.
  struct Checkpoints {
    std::optional<v1::AttemptCheckpoint> under_way;  // without a hash until it was uploaded
    std::optional<v1::AttemptCheckpoint> next;
    std::string next_path;
    std::optional<v1::AttemptCheckpoint> published;
    bool done() const { return !under_way && !next; }
  };

  struct Attempt {
    v1::Lease lease;
    Phase phase = Phase::kFetching;
    int slot = -1;           // none if it is recovered
    absl::Duration taken;    // when it got the slot
    bool recovered = false;  // of an earlier start, or published again: what is left of it
    std::string work_dir;
    bool running = false;  // the runner said `started`
    int32_t epochs_done = 0;
    bool preempting = false;  // stopped because the worker goes
    std::string refused;      // why its points can never be taken; empty: nobody said so
    Flow points;
    Flow log;
    Checkpoints checkpoints;
    std::vector<v1::MetricPoint> held;           // found no room in the spool; the runner waits
    std::optional<v1::RunnerFinished> finished;  // if it settles with a result
    bool published = false;
    absl::Duration settle_by = absl::InfiniteDuration();  // if it settles with a failure
    bool disk_was_full = false;                           // while it ran
    int failures = 0;                                     // of fetching or publishing
    absl::Duration retry = absl::InfiniteDuration();
    v1::FinishedAttempt outcome;
    absl::Duration ended;
  };
  using Attempts = std::map<AttemptKey, Attempt>;

  struct SlotState {
    std::optional<AttemptKey> attempt;
    bool stopping = false;   // `stop` was sent
    bool forgotten = false;  // its attempt is gone, the runner not yet idle
    absl::Duration kill = absl::InfiniteDuration();
  };

  // agent.cc: what happens to attempts
  void TakeUp(const SpooledAttempt& spooled);
  void Begin(const v1::Lease& lease, Now now);
  void Fetch(const AttemptKey& key, Attempt& attempt);
  void KeepResult(const AttemptKey& key, const Attempt& attempt, Now now);
  void Publish(const AttemptKey& key, Attempt& attempt);
  void PublishAgain(const AttemptKey& key, Attempt& attempt);
  void StartRunner(const AttemptKey& key, Attempt& attempt, const InputPaths& paths, Now now);
  void OnProgress(const AttemptKey& key, Attempt& attempt, const v1::RunnerProgress& progress);
  void OnCheckpoint(const AttemptKey& key, Attempt& attempt, const v1::RunnerCheckpoint& written);
  void UploadCheckpoint(const AttemptKey& key, Attempt& attempt);
  void PublishCheckpointIfReady(const AttemptKey& key, Attempt& attempt);
  void Spill(const AttemptKey& key, Attempt& attempt);
  void SettleIfReady(const AttemptKey& key, Attempt& attempt, Now now);
  void Fail(const AttemptKey& key, Attempt& attempt, v1::FailureCause cause,
            const std::string& message, Now now);
  void Finish(const AttemptKey& key, Attempt& attempt, Now now);
  void StopSlot(int slot, Now now);
  void FreeSlot(int slot);
  void KeepOutcome(const AttemptKey& key, const Attempt& attempt);
  void Forget(const AttemptKey& key, Now now);
  void Preempt(Now now);
  Attempt* Find(const AttemptKey& key);
  Attempt* AttemptOf(int slot);

  // agent_sync.cc: what is told to the coordinator
  void TakeResponse(const v1::SyncResponse& response, Now now);
  void TakeSyncError(const absl::Status& error, Now now);
  void DropRefused();
  void ReportAsInvalid(const AttemptKey& key, Attempt& attempt);
  void GiveUpPoints(const AttemptKey& key, Attempt& attempt, const absl::Status& error, Now now);
  static bool IsReported(const Attempt& attempt);
  bool WaitsBeforeFirstSync(Now now);
  void SendSync(Now now);
  v1::SyncRequest MakeRequest() const;
  void PumpMetrics(Now now);
  void PumpLogs(Now now);
  void RetryTransfers(Now now);
  void CheckDeadlines(Now now);
  double Random01();

  const AgentOptions options_;
  CoordinatorClient& coordinator_;
  RunnerPool& runners_;
  Artifacts& artifacts_;
  Spool& spool_;
  std::minstd_rand random_;

  Attempts attempts_;
  std::vector<SlotState> slots_;

  // Syncing.
  int64_t number_ = 0;     // of the last request
  int64_t in_flight_ = 0;  // number that is waited for; 0 if none
  bool news_ = true;       // something to report
  int sync_failures_ = 0;
  absl::Duration sent_at_ = absl::ZeroDuration();
  absl::Duration next_sync_ = -absl::InfiniteDuration();
  absl::Duration lease_ = absl::Seconds(60);
  bool operator_drain_ = false;
  bool careful_ = false;       // a report was refused: one finished attempt at a time
  bool no_room_ = false;       // when the last request was made, and not yet over
  bool said_no_room_ = false;  // as far as the log goes
  absl::Duration no_room_until_ = -absl::InfiniteDuration();  // the disk was full
  absl::Duration first_sync_by_ = absl::InfiniteDuration();   // points of failed attempts go first

  // Streams: when they may be used again, and failures in a row.
  absl::Duration metrics_retry_ = -absl::InfiniteDuration();
  absl::Duration logs_retry_ = -absl::InfiniteDuration();
  absl::Duration spill_retry_ = -absl::InfiniteDuration();  // for points that found no room
  int metrics_failures_ = 0;
  // A stream was refused while these had points on it: one at a time, until it is known whose.
  std::set<AttemptKey> suspects_;
  int logs_failures_ = 0;

  // Leaving.
  bool leaving_ = false;
  bool preempted_ = false;
  absl::Duration preempt_at_ = absl::InfiniteDuration();
  absl::Duration leave_by_ = absl::InfiniteDuration();
  bool done_ = false;
  absl::Status status_;

  AgentCounts counts_;  // without what is made anew when asked for
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_AGENT_H_
