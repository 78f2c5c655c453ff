// The agent with its surroundings: the loop that hands it events.
#ifndef RETORT_WORKER_AGENT_WORKER_H_
#define RETORT_WORKER_AGENT_WORKER_H_

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/access/link.h"
#include "common/clock.h"
#include "worker/agent/agent.h"
#include "worker/agent/artifact_mover.h"
#include "worker/agent/disk_spool.h"
#include "worker/agent/event_loop.h"
#include "worker/agent/grpc_coordinator_client.h"
#include "worker/agent/process_pool.h"
#include "worker/agent/readings.h"

namespace retort {

struct WorkerOptions {
  AccessSource access;
  std::string id;
  std::string host;
  std::string version;
  std::string folder;                       // must exist; locked by the caller
  std::string runner;                       // path of the program
  std::string launcher = "/proc/self/exe";  // see RunnerCommandLine
  int slots = 1;
  std::vector<std::string> devices = {"cpu"};  // of the slots, in turn
  int64_t device_memory_bytes = 0;             // of each GPU; 0: not known
  int threads = 1;                             // of each slot
  bool allow_torchscript = false;
  int64_t cache_bytes = 0;
  SpoolLimits spool;
  absl::Duration drain_timeout = absl::Seconds(30);
  absl::Duration stop_grace = absl::Seconds(10);
  absl::Duration leave_margin = absl::Seconds(10);         // see AgentOptions
  absl::Duration working_time = absl::InfiniteDuration();  // leaves by itself after it

  // The longest that leaving takes.
  absl::Duration leaving() const { return drain_timeout + stop_grace + leave_margin; }
};

// Threads: the one that calls Run, but for counts(), beside those of gRPC and of ArtifactMover.
class Worker {
 public:
  // Ends runners that an earlier start left, and removes what it left of attempts that had not
  // ended.
  static absl::StatusOr<std::unique_ptr<Worker>> Create(const WorkerOptions& options, Clock& clock);
  ~Worker();

  // Returns when the worker has left. `signal_fd` (a signalfd): the first signal drains. After it
  // SIGTERM stops what still runs, with checkpoints, and SIGINT (a second Ctrl-C) leaves at once.
  // FAILED_PRECONDITION: another agent with this name has started.
  absl::Status Run(int signal_fd);

  // As of the last turn of the loop. Threads: any.
  WorkerCounts counts() const;

 private:
  Worker(const WorkerOptions& options, int64_t incarnation, Clock& clock, RunnerLedger ledger,
         DiskSpool spool, std::unique_ptr<ArtifactCache> cache);
  void OnSignal(int signal_fd);
  void KeepCounts();

  const absl::Duration working_time_;
  Clock& clock_;
  EventLoop loop_;
  RunnerLedger ledger_;
  DiskSpool spool_;
  std::unique_ptr<ArtifactCache> cache_;
  Link link_;       // for Syncs, metrics and logs
  Link transfers_;  // for artifacts
  GrpcArtifactRemote remote_;
  std::unique_ptr<ProcessPool> pool_;
  std::unique_ptr<ArtifactMover> mover_;
  std::unique_ptr<GrpcCoordinatorClient> client_;
  std::unique_ptr<Agent> agent_;
  absl::Duration first_signal_ = absl::InfiniteDuration();  // when it came
  bool at_once_ = false;                                    // leave without another word

  mutable std::mutex counts_mutex_;
  WorkerCounts counts_;  // guarded by counts_mutex_
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_WORKER_H_
