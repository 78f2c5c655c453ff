// Whether the datasets that a sweep names are held and are what it says of them.
#ifndef RETORT_SERVER_RPC_DATASET_CHECK_H_
#define RETORT_SERVER_RPC_DATASET_CHECK_H_

#include "absl/status/status.h"
#include "retort/v1/spec.pb.h"
#include "server/artifacts/artifact_store.h"

namespace retort {

// Reads the headers of the artifacts. FAILED_PRECONDITION: one is not held; it has to be uploaded
// first. INVALID_ARGUMENT: an artifact is not a dataset, or its size, windows, channels, samples or
// subjects are others than `DatasetInfo` says, or it is trained on and must never be split; names
// the field, its value and what is right.
absl::Status CheckDatasets(const ArtifactStore& artifacts, const v1::SweepSpec& spec);

}  // namespace retort

#endif  // RETORT_SERVER_RPC_DATASET_CHECK_H_
