// The coordinator's decisions: pure functions from what is known and what came in to what is
// written and answered. The loop that carries them out is server/coordinator.h.
//
//   for each input: decision = Decide(state, input, now); state.Apply(decision)
//   while state.NextWake() <= now.monotonic: the same with Wake
//   store.Commit(records of all decisions), then send the replies; on a known failure
//   state.Undo(decision) in reverse order, and every reply becomes the error
#ifndef RETORT_SERVER_CORE_DECIDE_H_
#define RETORT_SERVER_CORE_DECIDE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/ids.h"
#include "retort/v1/worker_service.pb.h"
#include "server/core/records.h"
#include "server/core/types.h"

namespace retort::core {

class State;

// Names a caller who waits for a reply; chosen by the loop, never used twice while the process
// runs. 0: nobody.
using Token = uint64_t;

// ------------------------------------------------------------------------------------------ inputs

// `arguments` of a request: HashOfArguments (requests.h); a repeat with others is ALREADY_EXISTS.

// The head of a sweep whose expansion is ready (expand.h). Reply: SweepReply at once if the request
// was answered before (then no chunks are wanted), else `expand` is true and SweepChunk inputs
// follow. INVALID_ARGUMENT: a bad name. UNAVAILABLE: this request is being expanded.
// ALREADY_EXISTS: the request id was used for something else.
struct BeginSweep {
  Token token = 0;
  std::string request_id;
  std::shared_ptr<const v1::SweepSpec> spec;
  int64_t jobs = 0;  // that the chunks will hold together
  std::string arguments = {};
};

// Jobs of an EXPANDING sweep, at most kMostJobsInChunk, in the order of expansion. Repeating a
// chunk changes nothing, so that a loop that was restarted expands the stored spec again and sends
// all chunks. Reply to `token` with the last chunk: SweepReply. ABORTED: the sweep was cancelled
// meanwhile.
struct SweepChunk {
  Token token = 0;
  SweepKey sweep;
  int64_t first_position = 0;
  std::shared_ptr<const std::vector<NewJob>> jobs;
};
inline constexpr int64_t kMostJobsInChunk = 5000;

struct AttemptName {
  JobId job;
  int32_t attempt = 0;

  friend auto operator<=>(const AttemptName&, const AttemptName&) = default;
};

// An attempt that the worker has and that has not ended.
struct LiveReport {
  AttemptName id;
  bool running = false;
  int32_t epochs_done = 0;
  int32_t slot = -1;  // index into the worker's; -1 if not known
};

// An attempt that ended on the worker: with a result, or with a cause.
struct FinishedReport {
  AttemptName id;
  std::shared_ptr<const v1::JobResult> result;  // null if it failed
  bool weights_held = false;  // the coordinator holds the result's weights artifact
  Artifact weights;           // of the result
  FailureCause cause = FailureCause::kNone;
  std::string message;
  double device_s = 0;
};

// A checkpoint that the worker has published.
struct CheckpointReport {
  AttemptName id;
  TrainingCheckpoint checkpoint;
  int64_t points = 0;  // of the attempt, that must be durable before it counts
  bool held = false;   // the coordinator holds the file
};

// v1::SyncRequest. The reply comes at once or when the Sync is woken (SyncReply).
// FAILED_PRECONDITION: a newer incarnation was seen. ABORTED: a Sync with a higher number was seen.
struct Sync {
  Token token = 0;
  std::string worker;
  int64_t incarnation = 0;
  int64_t number = 0;
  std::string host;
  std::string version;
  std::vector<Slot> slots;
  std::vector<LiveReport> live;
  std::vector<FinishedReport> finished;
  std::vector<CheckpointReport> checkpoints;
  int32_t wanted = 0;
  bool draining = false;
  std::vector<ArtifactHash> cached;
  std::vector<int32_t> free_slots;  // indices into `slots`; empty: those without a lease
  bool allows_torchscript = false;
};

// The caller of a parked Sync has gone.
struct SyncGone {
  Token token = 0;
  std::string worker;
};

// Metric points. Reply: MetricReply.
struct Metrics {
  Token token = 0;
  AttemptName id;
  std::shared_ptr<const v1::MetricBatch> batch;
};

// Reply: SweepReply. NOT_FOUND; FAILED_PRECONDITION: it has ended, or is not paused, ....
struct ChangeSweep {
  enum class What { kPause, kResume, kCancel };
  Token token = 0;
  std::string request_id;
  What what = What::kPause;
  std::string name;  // without `sweeps/`
  std::string arguments = {};
};

// Retries (FAILED, SKIPPED through their teacher) or cancels jobs. Reply: JobsReply. NOT_FOUND.
// A sweep with more jobs than Options::chore_size is gone through by later Wakes, a part at a time,
// also after a restart: the reply is `pending` until a repeat of the request finds it done.
struct ChangeJobs {
  enum class What { kRetry, kCancel };
  Token token = 0;
  std::string request_id;
  What what = What::kRetry;
  std::vector<JobId> jobs;           // either these,
  std::string sweep;                 // or those of a sweep (name without `sweeps/`)
  std::vector<JobState> states;      // in one of these states; all if empty
  std::vector<FailureCause> causes;  // and only with such a last failure; all if empty
  std::string arguments = {};
};

// Reply: WorkerReply. NOT_FOUND.
struct ChangeWorker {
  enum class What { kDrain, kRelease };
  Token token = 0;
  std::string request_id;
  What what = What::kDrain;
  std::string name;  // without `workers/`
  std::string arguments = {};
};

// A mutation whose effect lies outside of the state (backup, collection) was carried out: its
// answer is remembered. Reply: NoteReply, with the answer that counts: the first.
struct NoteRequest {
  Token token = 0;
  std::string request_id;
  std::string method;
  std::string arguments;
  std::string answer;  // at most 64 KiB
};

// An artifact is missing or damaged: if it is the weights of a job, the job is queued again.
struct ArtifactLost {
  ArtifactHash hash;
};

// To be decided before what came in meanwhile, so that it counts the pause: if timers were missed
// (a suspended machine, a slow disk), leases are extended by it, also those of workers whose Sync
// is still on its way.
struct StoodStill {};

// Time has come to State::NextWake(): leases that expired, parked Syncs, placement, budgets,
// chores.
struct Wake {};

using Input = std::variant<BeginSweep, SweepChunk, Sync, SyncGone, Metrics, ChangeSweep, ChangeJobs,
                           ChangeWorker, NoteRequest, ArtifactLost, StoodStill, Wake>;

// ----------------------------------------------------------------------------------------- replies

// The right to run an attempt. The spec is read from the store (Reader::JobSpecs) after the commit.
struct Grant {
  JobKey key;
  AttemptName id;
  int32_t priority = 0;
  std::optional<Artifact> teacher_weights;
  std::optional<TrainingCheckpoint> checkpoint;  // to go on from
  // The most generous of its sweeps'.
  double checkpoint_every_s = 0;
  double wall_limit_s = 0;
  int32_t slot = 0;  // of the worker, index
};

// v1::SyncResponse.
struct SyncReply {
  WorkerKey worker;
  int64_t number = 0;
  std::vector<Grant> grants;
  std::vector<AttemptName> stop;
  std::vector<AttemptName> acknowledged;
  // Results that wait for their weights, which were published and are not here.
  std::vector<AttemptName> weights_missing;
  absl::Duration lease;
  absl::Duration next_sync;
  bool drain = false;
};

// v1::MetricAck.
struct MetricReply {
  AttemptName id;
  int64_t durable_seq = 0;
  bool refused = false;
};

struct SweepReply {
  SweepKey sweep;
  std::string name;
  int64_t jobs = 0;
  int64_t known = 0;
  bool expand = false;  // BeginSweep: chunks are wanted
};

struct JobsReply {
  int64_t changed = 0;   // so far
  bool pending = false;  // there is more to come: ask again
};

struct WorkerReply {
  WorkerKey worker;
  std::string name;
};

struct NoteReply {
  std::string answer;
};

using ReplyBody =
    std::variant<SyncReply, MetricReply, SweepReply, JobsReply, WorkerReply, NoteReply>;

// To whom what is said once the commit is done. Errors are the status that Decide returns instead.
struct Reply {
  Token token = 0;
  ReplyBody body;
};

// ----------------------------------------------------------------------------------------
// decisions

// Changes of what is held in memory only (state.h says of what).
struct WorkerHeard {  // a Sync came
  WorkerKey worker;
  absl::Duration deadline;  // its leases hold until then
  int64_t number = 0;
  int32_t wanted = 0;
  bool draining = false;
  std::vector<ArtifactHash> cached;
  std::vector<int32_t> free_slots;
  bool allows_torchscript = false;
  std::vector<JobKey> confirmed;  // leases that it reported
  std::vector<std::pair<JobKey, int32_t>> epochs_done;
};
struct WorkerSilent {  // its deadline passed
  WorkerKey worker;
  absl::Duration deadline;
};
struct SyncParked {
  WorkerKey worker;
  Token token = 0;
  absl::Duration until;
};
struct SyncAnswered {
  WorkerKey worker;
};
struct LeasesExtended {  // the strand stood still
  absl::Duration by;
};
struct ChoreAdded {  // children of a job, or jobs of a cancelled sweep, have to follow
  JobKey teacher;
  SweepKey sweep;
};
struct ChoreAdvanced {
  JobKey teacher;
  SweepKey sweep;
  int64_t from = 0;
  int64_t to = 0;  // next index
  bool done = false;
};
struct BudgetsChecked {
  absl::Duration next;
};
struct ResultTimed {  // a job took so long on a worker (pace.h)
  WorkerKey worker;
  double cost = 0;
  double seconds = 0;
};
struct FleetMeasured {
  Fleet fleet;
};
struct WorkerLeaves {
  WorkerKey worker;
  JobLeft left;
};
struct LookAgain {  // at workers that leave jobs to others; monotonic
  absl::Duration at;
};
using Effect = std::variant<WorkerHeard, WorkerSilent, SyncParked, SyncAnswered, LeasesExtended,
                            ChoreAdded, ChoreAdvanced, BudgetsChecked, ResultTimed, FleetMeasured,
                            WorkerLeaves, LookAgain>;

struct Decision {
  std::vector<Record> records;  // to commit; none: no commit is needed
  std::vector<Effect> effects;  // in memory only
  std::vector<Reply> replies;   // to send after the commit
  absl::Duration at;            // Now::monotonic when it was made
  // All that can be placed with what is known was placed.
  bool placed_all = false;
};

// Decides on one input. An error is the reply to the input's token; nothing changes then.
absl::StatusOr<Decision> Decide(const State& state, const Input& input, const Now& now);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_DECIDE_H_
