// What is measured when Prometheus asks, and not before.
#ifndef RETORT_SERVER_METRICS_READINGS_H_
#define RETORT_SERVER_METRICS_READINGS_H_

#include <vector>

#include "common/metrics/endpoint.h"
#include "server/artifacts/artifact_store.h"
#include "server/coordinator.h"

namespace retort {

// Of the inbox, Syncs, workers and artifacts. All that is given outlives the readings.
std::vector<Reading> ReadingsOf(const Coordinator& coordinator, const ArtifactStore& artifacts);

}  // namespace retort

#endif  // RETORT_SERVER_METRICS_READINGS_H_
