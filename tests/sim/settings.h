// What one run is like: sizes and the faults that it has, drawn from its seed.
#ifndef RETORT_TESTS_SIM_SETTINGS_H_
#define RETORT_TESTS_SIM_SETTINGS_H_

#include <array>

#include "absl/time/time.h"
#include "tests/sim/network.h"
#include "tests/sim/random.h"
#include "tests/sim/world.h"

namespace retort::sim {

struct Settings {
  // Sizes.
  bool large = false;
  int workers = 3;
  int most_slots = 2;
  int clients = 2;
  int requests = 8;  // of each client while there are faults
  int teachers = 2;
  int students = 3;
  int seeds = 3;  // of trainings
  int most_epochs = 4;
  absl::Duration most_epoch = absl::Seconds(2);
  absl::Duration faulty = absl::Minutes(2);  // how long there are faults
  absl::Duration lease = absl::Seconds(20);
  int64_t chunk_jobs = 20;
  int chore_size = 50;
  size_t most_batch = 20;
  int64_t spool_points = 200;  // that fit into a worker's spool

  // Faults. Each kind is on or off in a run, so that many runs have only a few kinds.
  std::array<bool, kFaultKinds> on{};
  bool Has(Fault fault) const { return on[static_cast<size_t>(fault)]; }
  absl::Duration between_faults = absl::Seconds(10);  // on the mean
  NetworkFaults network;
  double runner_crash = 0;  // of an attempt
  double runner_failure = 0;
  double poison = 0;  // of a job: it fails for good, wherever it runs
  double transfer_fails = 0;
  bool attempts_differ = false;  // weights of two attempts of one job are not the same bytes
};

Settings DrawSettings(Random& random);

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_SETTINGS_H_
