// Which queued job a worker gets next, and on which of its slots.
#ifndef RETORT_SERVER_CORE_PLACEMENT_H_
#define RETORT_SERVER_CORE_PLACEMENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/core/draft.h"
#include "server/core/outlook.h"
#include "server/core/queue.h"
#include "server/core/types.h"

namespace retort::core {

// Most queues whose heads are compared, and most jobs that are passed over, for one request.
inline constexpr int kMostCandidates = 64;
// After so many that were left to faster slots, one at a time, those that would be too are skipped.
inline constexpr size_t kMostDeferred = 32;

// Least time between two looks at workers that leave jobs to others, if nothing else happens.
inline constexpr absl::Duration kLookAgain = absl::Seconds(1);

// Room of a slot whose memory is not known: any job is tried on it.
inline constexpr int64_t kAnyMemory = INT64_MAX;
// What a job on this slot may need, bytes.
inline int64_t RoomOf(const Slot& slot) {
  return slot.memory_bytes > 0 ? slot.memory_bytes : kAnyMemory;
}
// The largest of them; 0 without slots.
int64_t LargestRoom(const std::vector<Slot>& slots);

// A job that a worker could get.
struct Candidate {
  int32_t priority = 0;
  bool affinity = false;  // the worker holds the weights of its teacher
  QueueEntry entry;
};

// The order of placement for one worker: priority; then what unblocks most; then affinity; then
// longest expected first; then oldest. True if `a` comes before `b`.
bool Before(const Candidate& a, const Candidate& b);

// A slot that may be given a job.
struct FreeSlot {
  int16_t index = 0;
  int64_t room = kAnyMemory;
};

// The slots that no lease of the worker has in the draft and that are among `reported` (all, if
// that is empty), the smallest first. Leases of which the slot is not known take the largest.
std::vector<FreeSlot> FreeSlotsOf(const Draft& draft, WorkerKey worker,
                                  const std::vector<int32_t>& reported);

// True if the latest attempt failed on this worker in a way that may be the worker's fault.
bool FailedOn(const JobRow& row, WorkerKey worker);
// The largest room of a slot of a worker that is active and not away, other than this one; 0
// without. `scripted`: only of workers that allow TorchScript.
int64_t RoomOfOthers(const Draft& draft, WorkerKey worker, bool scripted = false);

// Gives a worker's jobs one at a time, best first, each with the smallest free slot that has the
// memory it needs. Grants name the slot because the slots of a worker may differ: if the worker
// chose, a small job could take the large slot that the next one was placed for. Reads the state as
// it was when the draft began, and passes over jobs that the draft has taken. A job that crashed,
// or missed its inputs, on this very worker is left to others while there are others that could
// take it, and one that a faster slot should end clearly sooner is left to that. Lives no
// longer than the draft and the outlook.
class Placement {
 public:
  Placement(const Draft& draft, Outlook& outlook, WorkerKey worker, bool allows_torchscript,
            const std::vector<ArtifactHash>& cached, std::vector<FreeSlot> free);

  struct Placed {
    JobKey job;
    int16_t slot = 0;
  };
  // A job that is left to a faster slot, where it should end in so many seconds.
  struct Deferred {
    JobKey job;
    WorkerKey worker;
    double end_s = 0;
    double here_s = 0;  // what it would take on this one
  };

  // None if there is nothing (more) for this worker. The slot is taken then.
  std::optional<Placed> Next();
  // What was left to others by the last Next, at most kMostCandidates.
  const std::vector<Deferred>& deferred() const { return deferred_; }

 private:
  struct Stream {
    const JobQueue* queue;
    JobQueue::Items::const_iterator next;
    JobQueue::Items::const_iterator end;
    int32_t priority;
  };

  void Restart();
  // Opens the streams of the next lower priority. False if there is none.
  bool OpenLevel();
  bool Usable(JobKey job);
  bool HasAffinity(JobKey job) const;
  // True if the job was left to others for as long as it takes here: by then it should be over.
  bool WaitedEnough(JobKey job, double here_s) const;
  // True if the job is left to a faster slot, which is then thought to be kept by it. Of jobs that
  // nothing waits for those stay that end here before all that waits could be done.
  bool Defer(const Candidate& candidate);
  // Goes past a job that was left to others: to the next, or, after many, to those that are short
  // enough to stay.
  void Pass(Stream& stream);
  double Horizon(int32_t priority);
  Placed Take(JobKey job);

  const Draft& draft_;
  Outlook& outlook_;
  const WorkerKey worker_;
  const bool allows_torchscript_;
  const double speed_;
  const bool has_faster_;
  std::vector<FreeSlot> free_;    // the smallest first
  std::vector<JobKey> teachers_;  // whose weights the worker holds; ascending
  std::vector<Stream> streams_;   // of one level of priority, of jobs that fit
  absl::btree_set<std::pair<int32_t, SweepKey>>::const_iterator next_sweep_;
  int passed_over_ = 0;
  std::optional<int64_t> room_of_others_;
  std::optional<double> horizon_;  // of the level, seconds
  std::vector<Deferred> deferred_;
  std::optional<std::vector<SlotOutlook>> faster_;  // with what was left to them
};

// After the last Next: notes what the worker leaves to others. When the worker should be looked at
// again: the first of it should be over elsewhere then, or be taken here; monotonic, infinite if
// nothing is left.
absl::Duration NoteLeft(Draft& draft, WorkerKey worker, const Placement& placement);

// `4.0 GiB`, `768 MiB`.
std::string MemoryText(int64_t bytes);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_PLACEMENT_H_
