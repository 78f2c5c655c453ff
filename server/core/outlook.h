// When slots should be free and how long what is queued will keep them, by measured speeds.
#ifndef RETORT_SERVER_CORE_OUTLOOK_H_
#define RETORT_SERVER_CORE_OUTLOOK_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "server/core/draft.h"
#include "server/core/types.h"

namespace retort::core {

// How much sooner another slot must be expected to end a job than the one at hand, as a factor, for
// the job to wait: what is expected is not exact, and a slot that works is worth something.
inline constexpr double kClearlySooner = 1.1;
// Most slots of other workers that are weighed for one job.
inline constexpr size_t kMostFaster = 64;

// A slot of a worker that is active and was heard of.
struct SlotOutlook {
  WorkerKey worker;
  int16_t slot = 0;
  int64_t room = 0;    // bytes
  double speed = 1;    // factor
  double free_in = 0;  // seconds from now
};

// The speeds of the workers that are active and were heard of, for State to keep.
Fleet MeasureFleet(const Draft& draft);
// How old it may be when a Sync comes.
inline constexpr absl::Duration kFleetAge = absl::Seconds(1);

// The part that takes time with the slots of all workers is built on first use, once for a
// decision. Where no two workers are known to differ nothing is clearly faster, and nothing is
// built. Workers of which nothing is known count as the median of those of which something is.
class Outlook {
 public:
  explicit Outlook(const Draft& draft) : draft_(draft) {}

  double SpeedOf(WorkerKey worker) const;
  // True if some worker is clearly faster than this speed.
  bool HasFaster(double speed) const;
  // Expected seconds of a job on a slot of that speed; negative if nothing is known.
  double Seconds(double cost, double speed) const;
  // Seconds that what waits (queued, blocked) in sweeps of at least this priority would take if all
  // slots worked at it to its end: no order is faster.
  double Horizon(int32_t priority) const;
  // Those of the clearly faster slots that have an end of their work in sight, at most kMostFaster,
  // what is free first before the others.
  std::vector<SlotOutlook> Faster(double speed);
  // A lease was given in the draft.
  void Occupy(WorkerKey worker, int16_t slot, double cost);

 private:
  void Build();
  void AddWorker(WorkerKey key);
  // Seconds until the job at work on a slot should end.
  double Remaining(JobKey job, double speed) const;

  const Draft& draft_;
  bool built_ = false;
  std::vector<SlotOutlook> slots_;
};

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_OUTLOOK_H_
