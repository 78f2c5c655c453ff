// Runs a network over windows and decodes what it says.
#ifndef RETORT_WORKER_DISTILL_EVALUATE_H_
#define RETORT_WORKER_DISTILL_EVALUATE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "worker/distill/data.h"
#include "worker/distill/metrics.h"
#include "worker/distill/models.h"

namespace retort::distill {

// Estimates for some windows of a dataset, in their order, each channel alone and all together. In
// evaluation mode and without gradients, on the device of the dataset, where the network must be;
// the network's mode is restored. `between_batches` is called now and then and may throw.
std::vector<WindowEstimate> EstimateWindows(Network& network, const LoadedDataset& dataset,
                                            const std::vector<int64_t>& windows,
                                            const std::function<void()>& between_batches);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_EVALUATE_H_
