// What training gives: a pure function of the job, so that everybody can say what must come out.
#ifndef RETORT_TESTS_SIM_TRAINING_H_
#define RETORT_TESTS_SIM_TRAINING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/ids.h"
#include "retort/v1/result.pb.h"
#include "retort/v1/spec.pb.h"

namespace retort::sim {

// The one dataset.
inline const std::string kDatasetHash(64, 'a');

// A number that names the job.
uint64_t NumberOf(const JobId& job);

// Points that an epoch gives, one of each of as many series; steps are epochs.
int PointsPerEpoch(uint64_t job);
// The point with this number in the series of points of an attempt. Its time is the attempt, so
// that points of two attempts can be told apart.
v1::MetricPoint PointAt(uint64_t job, int32_t attempt, int64_t seq);
std::vector<v1::MetricPoint> PointsOf(uint64_t job, int32_t attempt, int32_t epoch);

// The file of a checkpoint behind so many epochs.
ArtifactHash CheckpointOf(uint64_t job, int32_t epochs);

// Weights of an attempt; the same for all attempts of a job unless they differ.
ArtifactHash WeightsOf(uint64_t job, int32_t attempt, bool attempts_differ);
v1::JobResult ResultOf(uint64_t job, int32_t attempt, const v1::TrainingSpec& spec);

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_TRAINING_H_
