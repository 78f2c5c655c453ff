#include "worker/distill/layers.h"

#include <algorithm>

#include "worker/distill/autocast.h"

namespace retort::distill {
namespace {

using torch::Tensor;

class Torch : public Layers {
 public:
  Tensor Enter(const Tensor& windows_B1L) const override { return windows_B1L; }

  Tensor Conv(const Tensor& x_BCL, const Tensor& weight_OIK, const Tensor& bias_O,
              int64_t stride) const override {
    const auto [out, left, right] = SamePaddingOf(x_BCL.size(2), weight_OIK.size(2), stride);
    const bool even = left == right;
    const Tensor padded = even ? x_BCL : torch::constant_pad_nd(x_BCL, {left, right});
    return torch::conv1d(padded, weight_OIK, bias_O, torch::IntArrayRef{stride},
                         torch::IntArrayRef{even ? left : 0});
  }

  Tensor NormRelu(const Tensor& x_BCL, const NormTensors& norm, bool training) const override {
    return torch::batch_norm(x_BCL, norm.weight_C, norm.bias_C, norm.mean_C, norm.var_C, training,
                             /*momentum=*/0.1, /*eps=*/1e-5, /*cudnn_enabled=*/true)
        .relu_();
  }

  Tensor AddShortcut(const Tensor& h_BCL, const Tensor& x,
                     const ResNetBlock& shape) const override {
    Tensor x_BCL = x;
    if (shape.stride > 1) {
      const int64_t left = (shape.stride - 1) / 2;
      const int64_t right = shape.stride - 1 - left;
      if (left > 0 || shape.in_samples % shape.stride != 0) {
        x_BCL = torch::constant_pad_nd(x_BCL, {left, right});
      }
      x_BCL = torch::max_pool1d(x_BCL, shape.stride, shape.stride);
    }
    const int64_t added = shape.out_channels - shape.in_channels;
    if (added > 0) x_BCL = torch::constant_pad_nd(x_BCL, {0, 0, added / 2, added - added / 2});
    return h_BCL + x_BCL;
  }

  Tensor MeanOverTime(const Tensor& x_BCL) const override { return x_BCL.mean(2); }
};

}  // namespace

SamePadding SamePaddingOf(int64_t samples, int64_t kernel, int64_t stride) {
  const int64_t out = (samples + stride - 1) / stride;
  const int64_t pad = std::max<int64_t>((out - 1) * stride + kernel - samples, 0);
  return {out, pad / 2, pad - pad / 2};
}

const Layers& TorchLayers() {
  static const Torch layers;
  return layers;
}

const Layers& LayersFor(const Tensor& windows_B1L, bool training) {
  constexpr int64_t kFewest = 16;  // windows that fill a vector
  const bool can = windows_B1L.device().is_cpu() && windows_B1L.scalar_type() == torch::kFloat &&
                   windows_B1L.size(0) >= kFewest && (training || !torch::GradMode::is_enabled()) &&
                   !AutocastIsOn(torch::kCPU);
  return can ? BatchInnerLayers() : TorchLayers();
}

}  // namespace retort::distill
