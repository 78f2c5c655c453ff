// What a worker tells Prometheus, read when it asks.
#ifndef RETORT_WORKER_AGENT_READINGS_H_
#define RETORT_WORKER_AGENT_READINGS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "common/metrics/endpoint.h"
#include "worker/agent/agent.h"

namespace retort {

struct WorkerCounts {
  AgentCounts agent;
  int64_t spool_bytes = 0;  // of points that wait for the coordinator
  int64_t runner_restarts = 0;
  int64_t artifact_bytes_in = 0;
  int64_t artifact_bytes_out = 0;
};

// `counts` is called on the endpoint's threads, once for each reading.
std::vector<Reading> ReadingsOf(const std::function<WorkerCounts()>& counts);

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_READINGS_H_
