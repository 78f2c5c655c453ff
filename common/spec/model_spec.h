// What a network costs, from its spec alone (science: Models, Cost of a model). Pure.
#ifndef RETORT_COMMON_SPEC_MODEL_SPEC_H_
#define RETORT_COMMON_SPEC_MODEL_SPEC_H_

#include <vector>

#include "common/spec/expected.h"
#include "retort/v1/result.pb.h"
#include "retort/v1/spec.pb.h"

namespace retort {

// One residual block of resnet1d.
struct ResNetBlock {
  int in_channels = 0;
  int out_channels = 0;
  int in_samples = 0;
  int out_samples = 0;
  int stride = 1;      // of its first convolution and of the shortcut's pooling
  bool first = false;  // the first block has no first norm
};

// The blocks of a network on windows of `samples` samples, in order. Fields left out have their
// defaults.
std::vector<ResNetBlock> ResNetBlocks(const v1::ResNet1dSpec& spec, int samples);

// Fills in the fields that are left out, dropout with `usual_dropout`.
void FillModelDefaults(v1::ModelSpec& model, double usual_dropout);

// Parameters, operations, bytes and memory of a network for one window of `samples` samples and one
// channel; latency is left unset. Error: family or sizes missing, an even kernel, or more than 2^31
// parameters.
Expected<v1::ModelCost> CostOf(const v1::ModelSpec& model, int samples);

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_MODEL_SPEC_H_
