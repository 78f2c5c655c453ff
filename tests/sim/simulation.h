// One run: everything that a seed says, from the first event to the verdict.
#ifndef RETORT_TESTS_SIM_SIMULATION_H_
#define RETORT_TESTS_SIM_SIMULATION_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "tests/sim/world.h"

namespace retort::sim {

struct Verdict {
  std::string violation;  // empty: all promises were kept
  uint64_t hash = 0;      // of all that happened
  int64_t events = 0;
  int64_t jobs = 0;
  int64_t workers = 0;
  int64_t sweeps = 0;
  absl::Duration simulated = absl::ZeroDuration();
  FaultCounts faults{};
};

// The same seed gives the same verdict, hash included. With `trace` all events are printed.
Verdict Simulate(uint64_t seed, bool trace);

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_SIMULATION_H_
