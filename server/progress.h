// Facts that change too often to be written down, as the strand last saw them.
#ifndef RETORT_SERVER_PROGRESS_H_
#define RETORT_SERVER_PROGRESS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/ids.h"
#include "server/core/state.h"

namespace retort {

// How old what readers see may be.
inline constexpr absl::Duration kProgressAge = absl::Milliseconds(100);

// Never changed once published.
struct Progress {
  struct Worker {
    absl::Time seen;          // unset (InfinitePast) if it is away
    std::vector<JobId> jobs;  // that it has
  };
  absl::flat_hash_map<JobId, int32_t> epochs_done;   // of live jobs
  absl::flat_hash_map<std::string, Worker> workers;  // by `workers/{id}`
  absl::flat_hash_map<std::string, double> eta_s;    // by `sweeps/{name}`, where known
};

// Reads all workers and sweeps, on the strand, up to ten times a second while somebody looks: ids
// are not spelled out here.
Progress ProgressOf(const core::State& state, const Now& now);

// Expected seconds until a sweep ends with `slots` slots of its own, of which no more than it has
// open jobs count: for each job that is left a fixed part (two seconds, but no more than half of
// the mean time of a job) and its cost over the rate of the attempts that succeeded, which leaves
// the fixed part out. Negative if nothing has succeeded yet or there are no slots.
double ExpectedSeconds(const core::SweepRow& row, int64_t slots);
// The same of jobs of no sweep yet, `jobs` of them with the sum of costs `cost`, at the rate of all
// sweeps, with the slots of the workers that are active and were heard of.
double ExpectedSeconds(const core::State& state, int64_t jobs, double cost);

}  // namespace retort

#endif  // RETORT_SERVER_PROGRESS_H_
