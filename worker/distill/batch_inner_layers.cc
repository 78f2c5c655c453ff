// Differentiable operations made of worker/kernels. Activations are [channels, samples, batch].
#include <ATen/Parallel.h>

#include <cmath>

#include "worker/distill/layers.h"
#include "worker/kernels/kernels.h"

namespace retort::distill {
namespace {

using kernels::Geometry;
using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

const float* Data(const Tensor& tensor) { return tensor.data_ptr<float>(); }
float* MutableData(const Tensor& tensor) { return tensor.data_ptr<float>(); }

Tensor Zeros(int64_t count) { return torch::zeros({count}); }

Geometry GeometryOf(const Tensor& x_CLB, const Tensor& weight_OIK, int64_t stride) {
  const auto padding = SamePaddingOf(x_CLB.size(1), weight_OIK.size(2), stride);
  return {.in_channels = x_CLB.size(0),
          .out_channels = weight_OIK.size(0),
          .in_samples = x_CLB.size(1),
          .out_samples = padding.out_samples,
          .kernel = weight_OIK.size(2),
          .stride = stride,
          .left = padding.left,
          .batch = x_CLB.size(2)};
}

// Each output row by itself, so that the bits do not depend on the number of threads.
void Convolve(const kernels::Convolution& convolution) {
  at::parallel_for(0, convolution.out_samples, 1, [&](int64_t begin, int64_t end) {
    kernels::BestKernels().convolve(convolution, begin, end);
  });
}

Tensor ConvForward(const Geometry& g, const Tensor& x_CLB, const Tensor& weight_OIK,
                   const Tensor& bias_O) {
  Tensor y_CLB = torch::empty({g.out_channels, g.out_samples, g.batch});
  const auto taps = kernels::Taps::Forward(g);
  const auto packed = kernels::PackForward(g, Data(weight_OIK));
  Convolve({.taps = taps.taps.data(),
            .begin = taps.begin.data(),
            .packed = packed.data(),
            .bias = Data(bias_O),
            .x = Data(x_CLB),
            .y = MutableData(y_CLB),
            .in_channels = g.in_channels,
            .in_samples = g.in_samples,
            .out_channels = g.out_channels,
            .out_samples = g.out_samples,
            .kernel = g.kernel,
            .batch = g.batch});
  return y_CLB;
}

Tensor ConvInputGradient(const Geometry& g, const Tensor& dy_CLB, const Tensor& weight_OIK) {
  Tensor dx_CLB = torch::empty({g.in_channels, g.in_samples, g.batch});
  const auto taps = kernels::Taps::InputGradient(g);
  const auto packed = kernels::PackInputGradient(g, Data(weight_OIK));
  Convolve({.taps = taps.taps.data(),
            .begin = taps.begin.data(),
            .packed = packed.data(),
            .bias = nullptr,
            .x = Data(dy_CLB),
            .y = MutableData(dx_CLB),
            .in_channels = g.out_channels,
            .in_samples = g.out_samples,
            .out_channels = g.in_channels,
            .out_samples = g.in_samples,
            .kernel = g.kernel,
            .batch = g.batch});
  return dx_CLB;
}

Tensor ConvWeightGradient(const Geometry& g, const Tensor& x_CLB, const Tensor& dy_CLB) {
  Tensor dw_OIK = torch::empty({g.out_channels, g.in_channels, g.kernel});
  const Tensor zeros_B = Zeros(g.batch);
  const int64_t tiles = (g.out_channels + kernels::kTile - 1) / kernels::kTile;
  at::parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {
    kernels::BestKernels().weight_gradient(g, Data(x_CLB), Data(dy_CLB), Data(zeros_B),
                                           MutableData(dw_OIK), begin, end);
  });
  return dw_OIK;
}

// Sums of each channel.
Tensor ChannelSums(const Tensor& x_CLB) {
  Tensor sums_C = torch::empty({x_CLB.size(0)});
  const int64_t count = x_CLB.size(1) * x_CLB.size(2);
  at::parallel_for(0, x_CLB.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      MutableData(sums_C)[c] = kernels::BestKernels().sum(Data(x_CLB) + c * count, count);
    }
  });
  return sums_C;
}

struct ConvFunction : torch::autograd::Function<ConvFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight_OIK,
                        const Tensor& bias_O, int64_t stride) {
    const Tensor x_CLB = x.contiguous();
    ctx->save_for_backward({x_CLB, weight_OIK});
    ctx->saved_data["stride"] = stride;
    ctx->saved_data["input"] = x.requires_grad();
    return ConvForward(GeometryOf(x_CLB, weight_OIK, stride), x_CLB, weight_OIK, bias_O);
  }
  static tensor_list backward(AutogradContext* ctx, const tensor_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Geometry g = GeometryOf(saved[0], saved[1], ctx->saved_data["stride"].toInt());
    const Tensor dy_CLB = gradients[0].contiguous();
    Tensor dx_CLB;
    if (ctx->saved_data["input"].toBool()) dx_CLB = ConvInputGradient(g, dy_CLB, saved[1]);
    return {dx_CLB, ConvWeightGradient(g, saved[0], dy_CLB), ChannelSums(dy_CLB), Tensor()};
  }
};

constexpr double kMomentum = 0.1;
constexpr double kEpsilon = 1e-5;

// What a channel is normalised with.
kernels::ChannelNorm ChannelOf(const Tensor& x_CLB, const Tensor& mean_C, const Tensor& scale_C,
                               const Tensor& bias_C, int64_t c) {
  const int64_t count = x_CLB.size(1) * x_CLB.size(2);
  return {.x = Data(x_CLB) + c * count,
          .count = count,
          .mean = Data(mean_C)[c],
          .scale = Data(scale_C)[c],
          .shift = Data(bias_C)[c]};
}

Tensor NormReluForward(const Tensor& x_CLB, const Tensor& mean_C, const Tensor& scale_C,
                       const Tensor& bias_C) {
  Tensor y_CLB = torch::empty_like(x_CLB);
  const int64_t count = x_CLB.size(1) * x_CLB.size(2);
  at::parallel_for(0, x_CLB.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      kernels::BestKernels().norm_relu(ChannelOf(x_CLB, mean_C, scale_C, bias_C, c),
                                       MutableData(y_CLB) + c * count);
    }
  });
  return y_CLB;
}

// Biased, as a batch is normalised.
Tensor ChannelVariances(const Tensor& x_CLB, const Tensor& mean_C) {
  Tensor var_C = torch::empty_like(mean_C);
  const int64_t count = x_CLB.size(1) * x_CLB.size(2);
  at::parallel_for(0, x_CLB.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const float squares =
          kernels::BestKernels().sum_of_squares(Data(x_CLB) + c * count, count, Data(mean_C)[c]);
      MutableData(var_C)[c] = squares / static_cast<float>(count);
    }
  });
  return var_C;
}

struct NormReluFunction : torch::autograd::Function<NormReluFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight_C,
                        const Tensor& bias_C, const Tensor& running_mean_C,
                        const Tensor& running_var_C) {
    const Tensor x_CLB = x.contiguous();
    const auto count = static_cast<double>(x_CLB.size(1) * x_CLB.size(2));
    const Tensor mean_C = ChannelSums(x_CLB) / count;
    const Tensor var_C = ChannelVariances(x_CLB, mean_C);
    running_mean_C.mul_(1 - kMomentum).add_(mean_C, kMomentum);
    running_var_C.mul_(1 - kMomentum).add_(var_C, kMomentum * count / (count - 1));
    const Tensor inverse_C = (var_C + kEpsilon).rsqrt();
    const Tensor scale_C = weight_C * inverse_C;
    ctx->save_for_backward({x_CLB, mean_C, inverse_C, scale_C, bias_C});
    return NormReluForward(x_CLB, mean_C, scale_C, bias_C);
  }

  // Ioffe and Szegedy, Batch Normalization, 2015, the gradients of section 3, with the ReLU's in
  // front.
  static tensor_list backward(AutogradContext* ctx, const tensor_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x_CLB = saved[0], &mean_C = saved[1], &inverse_C = saved[2], &scale_C = saved[3],
                 &bias_C = saved[4];
    const Tensor dy_CLB = gradients[0].contiguous();
    Tensor dx_CLB = torch::empty_like(x_CLB);
    Tensor dweight_C = torch::empty_like(mean_C);
    Tensor dbias_C = torch::empty_like(mean_C);
    const int64_t count = x_CLB.size(1) * x_CLB.size(2);
    at::parallel_for(0, x_CLB.size(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        const auto channel = ChannelOf(x_CLB, mean_C, scale_C, bias_C, c);
        const float* const dy = Data(dy_CLB) + c * count;
        float sum_g = 0, sum_gx = 0;
        kernels::BestKernels().norm_relu_sums(channel, dy, &sum_g, &sum_gx);
        const float inverse = Data(inverse_C)[c];
        const auto n = static_cast<float>(count);
        MutableData(dweight_C)[c] = sum_gx * inverse;
        MutableData(dbias_C)[c] = sum_g;
        kernels::BestKernels().norm_relu_gradient(
            channel, dy, channel.scale, -channel.scale * inverse * inverse * sum_gx / n,
            -channel.scale * sum_g / n, MutableData(dx_CLB) + c * count);
      }
    });
    return {dx_CLB, dweight_C, dbias_C, Tensor(), Tensor()};
  }
};

// Of the shortcut from x to h, both of them as sizes.
Geometry ShortcutGeometry(const Tensor& x_CLB, const Tensor& h_CLB, int64_t stride) {
  return {.in_channels = x_CLB.size(0),
          .out_channels = h_CLB.size(0),
          .in_samples = x_CLB.size(1),
          .out_samples = h_CLB.size(1),
          .kernel = stride,
          .stride = stride,
          .left = (stride - 1) / 2,
          .batch = x_CLB.size(2)};
}

struct AddShortcutFunction : torch::autograd::Function<AddShortcutFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& h_CLB, const Tensor& x,
                        int64_t stride) {
    const Tensor x_CLB = x.contiguous();
    const Geometry g = ShortcutGeometry(x_CLB, h_CLB, stride);
    const Tensor zeros_B = Zeros(g.batch);
    at::parallel_for(0, g.in_channels, 1, [&](int64_t begin, int64_t end) {
      kernels::BestKernels().add_pooled(g, Data(x_CLB), Data(zeros_B), MutableData(h_CLB), begin,
                                        end);
    });
    ctx->mark_dirty({h_CLB});
    ctx->save_for_backward({x_CLB});
    ctx->saved_data["stride"] = stride;
    return h_CLB;
  }

  static tensor_list backward(AutogradContext* ctx, const tensor_list& gradients) {
    const Tensor x_CLB = ctx->get_saved_variables()[0];
    const Tensor dy_CLB = gradients[0].contiguous();
    const Geometry g = ShortcutGeometry(x_CLB, dy_CLB, ctx->saved_data["stride"].toInt());
    const Tensor zeros_B = Zeros(g.batch);
    Tensor dx_CLB = torch::zeros_like(x_CLB);
    at::parallel_for(0, g.in_channels, 1, [&](int64_t begin, int64_t end) {
      kernels::BestKernels().add_pooled_gradient(g, Data(x_CLB), Data(zeros_B), Data(dy_CLB),
                                                 MutableData(dx_CLB), begin, end);
    });
    return {dy_CLB, dx_CLB, Tensor()};
  }
};

class BatchInner : public Layers {
 public:
  Tensor Enter(const Tensor& windows_B1L) const override {
    return windows_B1L.permute({1, 2, 0}).contiguous();
  }
  Tensor Conv(const Tensor& x_CLB, const Tensor& weight_OIK, const Tensor& bias_O,
              int64_t stride) const override {
    return ConvFunction::apply(x_CLB, weight_OIK, bias_O, stride);
  }
  Tensor NormRelu(const Tensor& x_CLB, const NormTensors& norm, bool training) const override {
    if (training) {
      return NormReluFunction::apply(x_CLB, norm.weight_C, norm.bias_C, norm.mean_C, norm.var_C);
    }
    const Tensor scale_C = norm.weight_C * (norm.var_C + kEpsilon).rsqrt();
    return NormReluForward(x_CLB.contiguous(), norm.mean_C, scale_C, norm.bias_C);
  }
  Tensor AddShortcut(const Tensor& h_CLB, const Tensor& x_CLB,
                     const ResNetBlock& shape) const override {
    if (shape.stride == 1 && shape.in_channels == shape.out_channels) return h_CLB.add_(x_CLB);
    return AddShortcutFunction::apply(h_CLB, x_CLB, shape.stride);
  }
  Tensor MeanOverTime(const Tensor& x_CLB) const override { return x_CLB.mean(1).t().contiguous(); }
};

}  // namespace

const Layers& BatchInnerLayers() {
  static const BatchInner layers;
  return layers;
}

}  // namespace retort::distill
