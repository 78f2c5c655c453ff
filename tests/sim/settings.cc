#include "tests/sim/settings.h"

#include <algorithm>

namespace retort::sim {

Settings DrawSettings(Random& random) {
  Settings s;
  // Half of the kinds in one run, a few in another, nearly all in a third.
  const double density = static_cast<double>(random.Between(5, 90)) / 100;
  for (bool& on : s.on) on = random.Chance(density);
  s.large = random.Chance(0.01);
  if (s.large) {
    s.workers = static_cast<int>(random.Between(50, 400));
    s.most_slots = static_cast<int>(random.Between(1, 8));
    s.teachers = 4;
    s.students = 8;
    s.seeds = static_cast<int>(random.Between(20, 60));
    s.most_epochs = 2;
    s.chunk_jobs = random.Between(100, 1000);
    s.chore_size = static_cast<int>(random.Between(100, 5000));
    s.most_batch = static_cast<size_t>(random.Between(50, 1000));
  } else {
    s.workers = static_cast<int>(std::min(random.Between(1, 6), random.Between(1, 8)));
    s.most_slots = static_cast<int>(random.Between(1, 4));
    s.clients = static_cast<int>(random.Between(1, 3));
    s.requests = static_cast<int>(random.Between(2, 12));
    s.teachers = static_cast<int>(random.Between(1, 3));
    s.students = static_cast<int>(random.Between(1, 4));
    s.seeds = static_cast<int>(random.Between(1, 3));
    s.most_epochs = static_cast<int>(random.Between(1, 5));
    s.chunk_jobs = random.Between(1, 30);
    s.chore_size = static_cast<int>(random.Between(1, 40));
    s.most_batch = static_cast<size_t>(random.Between(1, 40));
  }
  s.most_epoch = random.Time(absl::Milliseconds(100), absl::Seconds(4));
  s.faulty = random.Time(absl::Seconds(20), absl::Minutes(4));
  s.lease = random.Time(absl::Seconds(25), absl::Seconds(60));
  s.spool_points = random.Chance(0.3) ? random.Between(1, 12) : 1000;
  s.between_faults = random.Time(absl::Seconds(1), absl::Seconds(20));
  const auto rate = [&](Fault fault, int64_t most_percent) {
    return s.Has(fault) ? static_cast<double>(random.Between(1, most_percent * 10)) / 1000 : 0.0;
  };
  s.network.drop = std::max(rate(Fault::kRequestDropped, 10), rate(Fault::kReplyDropped, 10));
  s.network.duplicate = rate(Fault::kDuplicated, 20);
  s.network.delay = rate(Fault::kDelayed, 30);
  s.network.break_stream = rate(Fault::kStreamBroken, 20);
  s.runner_crash = rate(Fault::kRunnerCrash, 20);
  s.runner_failure = rate(Fault::kRunnerFailure, 20);
  s.poison = s.Has(Fault::kRunnerFailure) ? rate(Fault::kRunnerFailure, 20) : 0;
  s.transfer_fails = rate(Fault::kTransferFails, 20);
  s.attempts_differ = random.Chance(0.5);
  return s;
}

}  // namespace retort::sim
