// Teachers that are TorchScript modules. Loading and running one runs code that its file holds:
// only where the worker's operator allows it (given.h).
#ifndef RETORT_WORKER_DISTILL_TORCHSCRIPT_H_
#define RETORT_WORKER_DISTILL_TORCHSCRIPT_H_

#include <functional>
#include <string>

#include "worker/distill/models.h"

namespace retort::distill {

// The module as a function of windows [B, 1, L]: it gives logits [B, 180], or a tuple of those and
// features [B, F]; without, features_BF is undefined. It is put into evaluation mode, on the CPU.
// Failure: INVALID if the bytes are no module, or, when called, if it throws or gives something
// else; names `what`.
std::function<NetworkOutput(const torch::Tensor& windows_B1L)> OpenTorchScript(
    const std::string& bytes, const std::string& what);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_TORCHSCRIPT_H_
