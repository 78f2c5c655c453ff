// How soon a Sync is answered while something else goes on.
#ifndef RETORT_TESTS_BENCH_PROBE_H_
#define RETORT_TESTS_BENCH_PROBE_H_

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "retort/v1/worker_service.pb.h"
#include "tests/bench/fleet.h"

namespace retort::bench {

// Syncs that have to be answered at once, because they report an attempt that nobody knows, one
// after another in a thread of its own.
class Probe {
 public:
  // `name` tells the workers of several probes apart.
  Probe(const std::string& address, const std::string& weights, const std::string& name = "probe")
      : fleet_({.address = address, .prefix = name, .weights_sha256 = weights}),
        thread_([this] { Run(); }) {}
  absl::Status Stop() {
    stopping_ = true;
    thread_.join();
    return status_;
  }
  std::vector<double>& times_ms() { return times_ms_; }

 private:
  void Run() {
    v1::AttemptId unknown;
    unknown.set_job(std::string(64, 'e'));
    unknown.set_attempt(1);
    while (!stopping_ && status_.ok()) {
      fleet_.Send(0, 0, {unknown.SerializeAsString()});
      Fleet::Event event;
      const auto came = fleet_.Next(absl::Now() + absl::Minutes(10), event);
      status_ = came.status();
      if (came.ok() && !*came) status_ = absl::DeadlineExceededError("a Sync was not answered");
      times_ms_.push_back(absl::ToDoubleMilliseconds(absl::Now() - event.sent));
      absl::SleepFor(absl::Milliseconds(10));
    }
  }

  Fleet fleet_;
  absl::Status status_;
  std::vector<double> times_ms_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace retort::bench

#endif  // RETORT_TESTS_BENCH_PROBE_H_
