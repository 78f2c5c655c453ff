// The operations that resnet1d is made of.
#ifndef RETORT_WORKER_DISTILL_LAYERS_H_
#define RETORT_WORKER_DISTILL_LAYERS_H_

#include <torch/torch.h>

#include "common/spec/model_spec.h"

namespace retort::distill {

// Zeros on both sides that keep the length under a convolution, or divide it by the stride, rounded
// up; the larger half is on the right.
struct SamePadding {
  int64_t out_samples = 0;
  int64_t left = 0;
  int64_t right = 0;
};
SamePadding SamePaddingOf(int64_t samples, int64_t kernel, int64_t stride);

// The tensors of a batch norm over C channels.
struct NormTensors {
  torch::Tensor weight_C;
  torch::Tensor bias_C;
  torch::Tensor mean_C;  // running statistics, which training moves
  torch::Tensor var_C;
};

// One arithmetic, done in two ways that differ in rounding alone. The layout of the activations
// between Enter and MeanOverTime is the implementation's own; element-wise operations may be done
// on them.
class Layers {
 public:
  virtual ~Layers() = default;
  virtual torch::Tensor Enter(const torch::Tensor& windows_B1L) const = 0;
  // Same padding; weight_OIK.
  virtual torch::Tensor Conv(const torch::Tensor& x, const torch::Tensor& weight_OIK,
                             const torch::Tensor& bias_O, int64_t stride) const = 0;
  // Batch norm with PyTorch's momentum and epsilon, then ReLU.
  virtual torch::Tensor NormRelu(const torch::Tensor& x, const NormTensors& norm,
                                 bool training) const = 0;
  // h, which is overwritten, plus the block's input x brought to its shape: max-pooled over the
  // stride with zero padding as in the published implementations (stride - 1 zeros in all, the
  // smaller half on the left), and new channels of zeros on both sides.
  virtual torch::Tensor AddShortcut(const torch::Tensor& h, const torch::Tensor& x,
                                    const ResNetBlock& shape) const = 0;
  // Means over the samples: features_BF.
  virtual torch::Tensor MeanOverTime(const torch::Tensor& x) const = 0;
};

// LibTorch's own operations, on [batch, channels, samples]: for one window, other devices than a
// CPU, and autocast.
const Layers& TorchLayers();

// Those of worker/kernels, on [channels, samples, batch]: for batches of float windows on a CPU,
// many times faster for narrow networks. Differentiable while training; not in evaluation mode.
const Layers& BatchInnerLayers();

// The faster of the two that can.
const Layers& LayersFor(const torch::Tensor& windows_B1L, bool training);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_LAYERS_H_
