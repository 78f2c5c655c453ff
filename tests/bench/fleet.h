// Many simulated workers in one thread: they speak WorkerService directly, without agents, runners
// or training.
#ifndef RETORT_TESTS_BENCH_FLEET_H_
#define RETORT_TESTS_BENCH_FLEET_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/bench/syncs.h"

namespace retort::bench {

struct FleetOptions {
  std::string address;
  std::string prefix = "w";  // of the workers' names
  int workers = 1;
  int slots = 1;               // of each
  int connections = 1;         // shared by the workers, round robin
  std::string weights_sha256;  // an artifact that the coordinator holds
};

// Threads: one.
class Fleet {
 public:
  explicit Fleet(const FleetOptions& options);
  // Gives up what is under way.
  ~Fleet();

  // Sends a Sync of a worker, reporting attempts as finished or live.
  void Send(int worker, int wanted, const std::vector<AttemptBytes>& finished = {},
            const std::vector<AttemptBytes>& live = {});
  // Waits for the next answer, at most until `deadline`. False if none came.
  struct Event {
    int worker = 0;
    SyncAnswer answer;
    absl::Time sent;
  };
  absl::StatusOr<bool> Next(absl::Time deadline, Event& event);

  int workers() const { return static_cast<int>(writers_.size()); }
  int64_t calls() const { return calls_; }
  // The workers that have no Sync under way, as far as Next told.
  int in_flight() const { return in_flight_; }

 private:
  struct Call;

  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::vector<SyncWriter> writers_;
  std::vector<int64_t> numbers_;
  grpc::CompletionQueue queue_;
  int64_t calls_ = 0;
  int in_flight_ = 0;
  std::vector<Call*> open_;  // at Call::place
};

// Has the fleet run jobs, each worker taking as many as it has slots and reporting them finished in
// its next Sync, until `jobs` results were acknowledged. `acknowledged` is called with the count
// after each answer. Fails after `limit` without progress, or if a call fails.
absl::Status RunJobs(Fleet& fleet, int slots, int64_t jobs, absl::Duration limit,
                     const std::function<void(int64_t)>& acknowledged);

}  // namespace retort::bench

#endif  // RETORT_TESTS_BENCH_FLEET_H_
