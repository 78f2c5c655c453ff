// Weights of networks as safetensors files.
//
// Tensors: every parameter and buffer under its dotted name, F32. Metadata: `format` =
// retort.model.v1, `model` = JSON of the ModelSpec, `job` = JobId, `samples` = samples of a window.
#ifndef RETORT_WORKER_DISTILL_WEIGHTS_H_
#define RETORT_WORKER_DISTILL_WEIGHTS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/distill/models.h"

namespace retort::distill {

// Parameters, then buffers, by name. The tensors share memory with the network's.
std::vector<std::pair<std::string, torch::Tensor>> NamedTensors(const torch::nn::Module& network);

// The bytes of a weights file; the same network gives the same bytes.
std::string SerializeWeights(const Network& network, const v1::ModelSpec& model,
                             const std::string& job, int samples);

// A network in evaluation mode from a file's bytes; `what` names them in errors. Failure: ARTIFACT
// if the bytes are damaged, or are not weights of the architecture of `model` for windows of
// `samples` samples.
std::shared_ptr<Network> ParseWeights(std::string bytes, const std::string& what,
                                      const v1::ModelSpec& model, int samples);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_WEIGHTS_H_
