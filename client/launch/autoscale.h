// How many workers Slurm should run for the jobs that wait. Pure: what is seen goes in with the
// time, what is to be done comes out.
//
// A task of Slurm, as this sees it:
//
//   sbatch ─▶ 1 unseen ──squeue lists it──▶ 2 waiting ──▶ 3 running ──worker says hello──▶ 4 busy
//   or idle
//                                               │                                            │ idle
//                                               for a while, │ too many │ and too many ▼ ▼
//                                      scancel while it waits                        5 draining
//                                      (takes no jobs)
//                                                                                            │ has
//                                                                                            none
//                                                                                            left ▼
//                                                                                    6 SIGTERM: it
//                                                                                    leaves
//
// Nothing is done in a round in which squeue or the coordinator gave no answer that was understood,
// and a task in a state that is not known counts as one that runs: it is neither replaced nor
// ended.
#ifndef RETORT_CLIENT_LAUNCH_AUTOSCALE_H_
#define RETORT_CLIENT_LAUNCH_AUTOSCALE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/launch/squeue.h"

namespace retort {

struct ScalePolicy {
  int least = 0;                            // workers
  int most = 1;                             // workers
  int slots = 1;                            // of each worker
  std::string name = "slurm";               // workers are called NAME-JOB-TASK
  absl::Duration idle = absl::Seconds(60);  // how long a worker has been idle before it goes
  // How long a job that sbatch took may be missing in squeue, and how often SIGTERM is repeated.
  absl::Duration settle = absl::Seconds(60);
};

// `0:16` as least and most. INVALID_ARGUMENT otherwise.
absl::StatusOr<std::pair<int, int>> ParseScale(std::string_view text);

// A worker as the coordinator lists it.
struct ScaleWorker {
  enum class State { kActive, kDraining, kQuarantined, kAway };
  std::string name;
  State state = State::kActive;
  int slots = 1;
  int jobs = 0;  // that it has
};

// A run of a task: one that was preempted may run again.
struct SlurmRun {
  SlurmTaskId task;
  int64_t restarts = 0;
};

// The run that a worker is, by its name (NAME-JOB-TASK, NAME-JOB-TASK-rN); nothing if it is not one
// of these.
std::optional<SlurmRun> RunOf(const std::string& worker, const std::string& name);

// What was seen in one round. Nothing: it could not be seen.
struct ScaleView {
  std::optional<std::vector<SlurmTask>> tasks;
  struct Coordinator {
    int64_t jobs = 0;  // that could run now, or do
    std::vector<ScaleWorker> workers;
  };
  std::optional<Coordinator> coordinator;
};

struct ScaleActions {
  int submit = 0;                      // tasks
  std::vector<SlurmTaskId> cancel;     // if they still wait
  std::vector<std::string> drain;      // workers
  std::vector<SlurmTaskId> terminate;  // their workers are drained and have nothing
  std::vector<std::string> notes;      // for people
  bool any() const { return submit > 0 || !cancel.empty() || !drain.empty() || !terminate.empty(); }
};

// What is remembered from round to round. All of it can be lost: it is then learnt again.
class Autoscaler {
 public:
  explicit Autoscaler(ScalePolicy policy) : policy_(std::move(policy)) {}

  ScaleActions Decide(const ScaleView& view, absl::Time now);
  // sbatch was run for so many tasks; its answer.
  void OnSubmitted(const absl::StatusOr<int64_t>& job, int tasks, absl::Time now);

 private:
  struct Submission {
    int64_t job = 0;  // 0: not known whether there is one
    int tasks = 0;
    absl::Time time;
    bool seen = false;
  };
  struct Count {
    int alive = 0;     // tasks that hold a node or will
    int capacity = 0;  // of these, those that take jobs, or will
    int unseen = 0;    // tasks that were submitted and are not in squeue yet
  };

  void FollowSubmissions(const ScaleView& view, absl::Time now, ScaleActions& actions);
  Count CountTasks(const ScaleView& view) const;
  int Wanted(const ScaleView::Coordinator& coordinator) const;
  void Grow(int missing, const Count& count, absl::Time now, ScaleActions& actions) const;
  void Shrink(int surplus, const ScaleView& view, absl::Time now, ScaleActions& actions);
  void EndDrained(const ScaleView& view, absl::Time now, ScaleActions& actions);
  void NoteIdle(const ScaleView& view, absl::Time now);
  void Fail(absl::Time now);

  const ScalePolicy policy_;
  std::vector<Submission> submissions_;  // whose workers have not said hello
  std::map<std::string, absl::Time> idle_since_;
  std::map<SlurmTaskId, absl::Time> terminated_;
  int failures_ = 0;  // submissions in a row of which no worker came
  absl::Time hold_until_ = absl::InfinitePast();
};

}  // namespace retort

#endif  // RETORT_CLIENT_LAUNCH_AUTOSCALE_H_
