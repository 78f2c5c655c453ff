// What the agent asks of the world, and the names that its parts share.
//
// Calls of CoordinatorClient, RunnerPool and Artifacts return at once and never call back from
// inside; the answer comes later as the event of `Agent` named beside the call, on the agent's
// thread. Tests and the simulation implement these with fakes.
#ifndef RETORT_WORKER_AGENT_PORTS_H_
#define RETORT_WORKER_AGENT_PORTS_H_

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/log.h"
#include "retort/v1/runner.pb.h"
#include "retort/v1/worker_service.pb.h"

namespace retort {

// One attempt of one job.
struct AttemptKey {
  std::string job;  // 64 hexadecimal digits
  int32_t attempt = 0;

  friend auto operator<=>(const AttemptKey&, const AttemptKey&) = default;

  // `0123456789ab/2`, for messages.
  std::string ToString() const { return job.substr(0, 12) + "/" + std::to_string(attempt); }
};

// What lines of the log are about; the key outlives it.
inline LogSubject SubjectOf(const AttemptKey& key) {
  return {.job = key.job, .attempt = key.attempt};
}

inline AttemptKey KeyOf(const v1::AttemptId& id) { return {id.job(), id.attempt()}; }
inline v1::AttemptId IdOf(const AttemptKey& key) {
  v1::AttemptId id;
  id.set_job(key.job);
  id.set_attempt(key.attempt);
  return id;
}

// The coordinator. Streams are opened by the first message and again after they broke.
class CoordinatorClient {
 public:
  virtual ~CoordinatorClient() = default;
  // -> OnSync with the request's number, at the latest after `deadline`.
  virtual void Sync(const v1::SyncRequest& request, absl::Duration deadline) = 0;
  // -> OnMetricAck, or OnMetricsBroken once for everything that is unacknowledged.
  virtual void SendMetrics(const v1::MetricBatch& batch) = 0;
  // -> OnLogAck, or OnLogsBroken.
  virtual void SendLog(const v1::LogChunk& chunk) = 0;
};

// The runner processes, one for each slot at most, kept warm between jobs.
class RunnerPool {
 public:
  virtual ~RunnerPool() = default;
  // Gives the slot's idle runner a job, after starting one if there is none. -> OnRunnerEvent,
  // OnRunnerOutput, and OnRunnerExit if the runner leaves or cannot be started.
  virtual void Run(int slot, const v1::RunJob& job) = 0;
  // Asks the runner to stop its job. -> OnRunnerEvent with `failed`, if it obeys.
  virtual void Stop(int slot) = 0;
  // Kills the runner with all its children. -> OnRunnerExit.
  virtual void Kill(int slot) = 0;
  // While false the slot's events are left in the pipe, so that its training waits.
  virtual void SetReading(int slot, bool reading) = 0;
};

// Local paths by SHA-256 (hexadecimal).
using InputPaths = std::map<std::string, std::string>;

// The artifacts that attempts need and make.
class Artifacts {
 public:
  virtual ~Artifacts() = default;
  // Has the files at hand, verified, and keeps them until Release. -> OnInputs. NOT_FOUND or
  // DATA_LOSS: the coordinator has none or it is damaged, even after fetching again; any other
  // error may pass.
  virtual void Fetch(const AttemptKey& key, const std::vector<v1::ArtifactRef>& inputs) = 0;
  // Hashes the file and has the coordinator hold it. -> OnPublished. NOT_FOUND: no such file.
  virtual void Publish(const AttemptKey& key, const std::string& path) = 0;
  // The same with a checkpoint, which is at hand afterwards. -> OnCheckpointPublished.
  virtual void PublishCheckpoint(const AttemptKey& key, const std::string& path) = 0;
  // The same with a file that Publish left at hand. -> OnPublished. NOT_FOUND: no longer at hand.
  virtual void PublishHeld(const AttemptKey& key, const v1::ArtifactRef& artifact) = 0;
  // The attempt needs its files no more. Answers that are under way may still come.
  virtual void Release(const AttemptKey& key) = 0;
  // Hashes at hand, latest used first.
  virtual std::vector<std::string> Held(int most) const = 0;
};

// An attempt that had ended on the worker before the agent was started again.
struct SpooledAttempt {
  AttemptKey key;
  v1::FinishedAttempt outcome;  // a result names its weights
  std::string weights_path;     // weights that the coordinator may not hold; empty if it does
  int64_t first = 0;            // points [first, end) are here; those before are durable
  int64_t end = 0;
  int64_t log_bytes = 0;
};

// What attempts leave on the local disk until the coordinator has it. Bounded.
class Spool {
 public:
  virtual ~Spool() = default;
  // Attempts of earlier starts whose end was kept; what else these left is gone. Once, at first.
  virtual std::vector<SpooledAttempt> Recover() { return {}; }
  // False while the disk is as good as full: what fails then is not the job's fault.
  virtual bool HasRoom() const { return true; }
  // Makes the attempt's folder; returns the empty folder for its outputs.
  virtual absl::StatusOr<std::string> Open(const AttemptKey& key) = 0;
  // Appends points behind those that are there and flushes them. RESOURCE_EXHAUSTED: the spool or
  // the disk is full; then nothing was appended. An empty spool takes any batch.
  virtual absl::Status Append(const AttemptKey& key,
                              const std::vector<v1::MetricPoint>& points) = 0;
  // At least one and at most `most` points from number `first` on; they are not acknowledged yet.
  virtual absl::StatusOr<std::vector<v1::MetricPoint>> Read(const AttemptKey& key, int64_t first,
                                                            int most) = 0;
  // Points below `durable` will not be read again.
  virtual void Trim(const AttemptKey& key, int64_t durable) = 0;
  // Appends to the attempt's log, of which the first bytes up to a bound are kept; returns its
  // size.
  virtual absl::StatusOr<int64_t> AppendLog(const AttemptKey& key, std::string_view bytes) = 0;
  virtual absl::StatusOr<std::string> ReadLog(const AttemptKey& key, int64_t offset, int most) = 0;
  // Keeps the result of an attempt whose weights, at the path, and points are still on their way.
  virtual absl::Status KeepResult(const AttemptKey&, const v1::FinishedAttempt&,
                                  const std::string& /*weights_path*/) {
    return absl::OkStatus();
  }
  // Keeps how the attempt ended.
  virtual absl::Status KeepOutcome(const AttemptKey& key, const v1::FinishedAttempt& outcome) = 0;
  // Removes everything of the attempt.
  virtual void Drop(const AttemptKey& key) = 0;
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_PORTS_H_
