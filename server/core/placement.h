// Which queued job a worker gets next.
#ifndef RETORT_SERVER_CORE_PLACEMENT_H_
#define RETORT_SERVER_CORE_PLACEMENT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "server/core/draft.h"
#include "server/core/queue.h"
#include "server/core/types.h"

namespace retort::core {

// Most queues whose heads are compared, and most jobs that are passed over, for one request.
inline constexpr int kMostCandidates = 64;

// A job that a worker could get.
struct Candidate {
  int32_t priority = 0;
  bool affinity = false;  // the worker holds the weights of its teacher
  QueueEntry entry;
};

// The order of placement for one worker: priority; then what unblocks most; then affinity; then
// longest expected first; then oldest. True if `a` comes before `b`.
bool Before(const Candidate& a, const Candidate& b);

// Gives a worker's jobs one at a time, best first. Reads the state as it was when the draft began,
// and passes over jobs that the draft has taken. A job that crashed, or missed its inputs, on this
// very worker is left to others while there are others. Lives no longer than the draft.
class Placement {
 public:
  Placement(const Draft& draft, WorkerKey worker, const std::vector<ArtifactHash>& cached);

  // None if there is nothing (more) for this worker.
  std::optional<JobKey> Next();

 private:
  struct Stream {
    JobQueue::Entries::const_iterator next;
    JobQueue::Entries::const_iterator end;
    int32_t priority;
  };

  // Opens the streams of the next lower priority. False if there is none.
  bool OpenLevel();
  bool Usable(JobKey job);
  bool OthersAreActive();
  bool HasAffinity(JobKey job) const;

  const Draft& draft_;
  const WorkerKey worker_;
  std::vector<JobKey> teachers_;  // whose weights the worker holds; ascending
  std::vector<Stream> streams_;   // of one level of priority
  absl::btree_set<std::pair<int32_t, SweepKey>>::const_iterator next_sweep_;
  int passed_over_ = 0;
  std::optional<bool> others_are_active_;
};

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_PLACEMENT_H_
