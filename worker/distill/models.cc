#include "worker/distill/models.h"

#include <cmath>
#include <utility>
#include <vector>

#include "common/spec/heart_rate.h"
#include "common/spec/labels.h"
#include "common/spec/model_spec.h"
#include "worker/distill/failure.h"

namespace retort::distill {
namespace {

using torch::Tensor;

// Networks this wide train faster with oneDNN's convolutions, narrower ones without: oneDNN pads
// channels to blocks of 16. Measured with LibTorch 1.13, one thread, batch 128, one step: 4/4 16 ms
// with, 8 ms without; 16/4 32 and 40 ms.
constexpr int kOneDnnFromBase = 12;

// A tensor drawn uniformly from [-bound, bound].
Tensor UniformTensor(Rng& rng, torch::IntArrayRef shape, double bound) {
  Tensor out = torch::empty(shape);
  float* at = out.data_ptr<float>();
  for (int64_t i = 0; i < out.numel(); ++i) {
    at[i] = static_cast<float>(bound * (2 * rng.Uniform() - 1));
  }
  return out;
}

// A convolution that keeps the length, or divides it by the stride, rounded up.
class Conv : public torch::nn::Module {
 public:
  Conv(Rng& rng, int64_t in, int64_t out, int64_t kernel, int64_t stride)
      : kernel_(kernel), stride_(stride) {
    // Kaiming-uniform with a = sqrt 5 has the bound 1 / sqrt(fan in), which is also the bias'
    // bound.
    const double bound = 1 / std::sqrt(static_cast<double>(in * kernel));
    weight_ = register_parameter("weight", UniformTensor(rng, {out, in, kernel}, bound));
    bias_ = register_parameter("bias", UniformTensor(rng, {out}, bound));
  }

  Tensor Forward(const Tensor& x_BCL) {
    const int64_t in = x_BCL.size(2);
    const int64_t out = (in + stride_ - 1) / stride_;
    const int64_t pad = std::max<int64_t>((out - 1) * stride_ + kernel_ - in, 0);
    const int64_t left = pad / 2;
    const int64_t right = pad - left;
    const bool even = left == right;
    const Tensor padded = even ? x_BCL : torch::constant_pad_nd(x_BCL, {left, right});
    return torch::conv1d(padded, weight_, bias_, torch::IntArrayRef{stride_},
                         torch::IntArrayRef{even ? left : 0});
  }

 private:
  int64_t kernel_;
  int64_t stride_;
  Tensor weight_;
  Tensor bias_;
};

// Batch normalisation with PyTorch's momentum and epsilon.
class Norm : public torch::nn::Module {
 public:
  explicit Norm(int64_t channels) {
    weight_ = register_parameter("weight", torch::ones({channels}));
    bias_ = register_parameter("bias", torch::zeros({channels}));
    mean_ = register_buffer("running_mean", torch::zeros({channels}));
    var_ = register_buffer("running_var", torch::ones({channels}));
  }
  Tensor Forward(const Tensor& x_BCL) {
    return torch::batch_norm(x_BCL, weight_, bias_, mean_, var_, is_training(), /*momentum=*/0.1,
                             /*eps=*/1e-5, /*cudnn_enabled=*/true);
  }

 private:
  Tensor weight_;
  Tensor bias_;
  Tensor mean_;
  Tensor var_;
};

// The tensors of one residual block; ResNet1d::RunBlock says how they are used.
struct Block : torch::nn::Module {
  Block(Rng& rng, const ResNetBlock& block_shape, int kernel) : shape(block_shape) {
    if (!shape.first) norm1 = register_module("norm1", std::make_shared<Norm>(shape.in_channels));
    conv1 = register_module(
        "conv1",
        std::make_shared<Conv>(rng, shape.in_channels, shape.out_channels, kernel, shape.stride));
    norm2 = register_module("norm2", std::make_shared<Norm>(shape.out_channels));
    conv2 = register_module(
        "conv2", std::make_shared<Conv>(rng, shape.out_channels, shape.out_channels, kernel, 1));
  }

  ResNetBlock shape;
  std::shared_ptr<Norm> norm1;  // null in the first block
  std::shared_ptr<Conv> conv1;
  std::shared_ptr<Norm> norm2;
  std::shared_ptr<Conv> conv2;
};

// The block's input, brought to the shape of its output: max-pooled over the stride with zero
// padding as in the published implementations (stride - 1 zeros in all, the smaller half on the
// left), and new channels of zeros on both sides.
Tensor Shortcut(const ResNetBlock& shape, Tensor x_BCL) {
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
  return x_BCL;
}

class ResNet1d : public Network {
 public:
  ResNet1d(Rng& rng, const v1::ResNet1dSpec& spec, int samples) : dropout_(spec.dropout()) {
    stem_ = register_module("stem", std::make_shared<Conv>(rng, 1, spec.base(), spec.kernel(), 1));
    stem_norm_ = register_module("stem_norm", std::make_shared<Norm>(spec.base()));
    for (const ResNetBlock& shape : ResNetBlocks(spec, samples)) {
      const std::string name = "block" + std::to_string(blocks_.size());
      blocks_.push_back(register_module(name, std::make_shared<Block>(rng, shape, spec.kernel())));
    }
    features_ = blocks_.back()->shape.out_channels;
    last_norm_ = register_module("last_norm", std::make_shared<Norm>(features_));
    head_ = register_module("head", std::make_shared<Linear>(rng, features_, kClasses));
  }

  NetworkOutput Forward(const Tensor& windows_B1L) override {
    Tensor x_BCL = stem_norm_->Forward(stem_->Forward(windows_B1L)).relu_();
    for (const auto& block : blocks_) x_BCL = RunBlock(*block, x_BCL);
    const Tensor features_BF = last_norm_->Forward(x_BCL).relu_().mean(2);
    return {head_->Forward(features_BF), features_BF};
  }
  int64_t features() const override { return features_; }

 private:
  Tensor RunBlock(Block& block, const Tensor& x_BCL) {
    Tensor h = x_BCL;
    if (block.norm1) h = Dropout(block.norm1->Forward(h).relu_(), dropout_);
    h = block.conv1->Forward(h);
    h = Dropout(block.norm2->Forward(h).relu_(), dropout_);
    return block.conv2->Forward(h) + Shortcut(block.shape, x_BCL);
  }

  double dropout_;
  int64_t features_ = 0;
  std::shared_ptr<Conv> stem_;
  std::shared_ptr<Norm> stem_norm_;
  std::vector<std::shared_ptr<Block>> blocks_;
  std::shared_ptr<Norm> last_norm_;
  std::shared_ptr<Linear> head_;
};

class Mlp : public Network {
 public:
  Mlp(Rng& rng, const v1::MlpSpec& spec, int samples)
      : dropout_(spec.dropout()), features_(spec.width()) {
    int64_t in = samples;
    for (int i = 0; i < spec.depth(); ++i) {
      hidden_.push_back(register_module("hidden" + std::to_string(i),
                                        std::make_shared<Linear>(rng, in, spec.width())));
      in = spec.width();
    }
    head_ = register_module("head", std::make_shared<Linear>(rng, in, kClasses));
  }

  NetworkOutput Forward(const Tensor& windows_B1L) override {
    Tensor x_BF = windows_B1L.flatten(1);
    for (const auto& layer : hidden_) x_BF = Dropout(layer->Forward(x_BF).relu_(), dropout_);
    return {head_->Forward(x_BF), x_BF};
  }
  int64_t features() const override { return features_; }

 private:
  double dropout_;
  int64_t features_;
  std::vector<std::shared_ptr<Linear>> hidden_;
  std::shared_ptr<Linear> head_;
};

}  // namespace

Linear::Linear(Rng& rng, int64_t in, int64_t out) {
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  weight_ = register_parameter("weight", UniformTensor(rng, {out, in}, bound));
  bias_ = register_parameter("bias", UniformTensor(rng, {out}, bound));
}

Tensor Network::Dropout(const Tensor& x, double p) {
  if (!is_training() || p <= 0) return x;
  // 16 random bits an element: a share of dropped elements is exact to 1/65536.
  const auto drop_below = static_cast<uint64_t>(p * 65536);
  const float keep = 1 / (1 - static_cast<float>(drop_below) / 65536);
  Tensor mask = torch::empty(x.sizes(), torch::kFloat);
  float* at = mask.data_ptr<float>();
  const int64_t count = mask.numel();
  for (int64_t i = 0; i < count; i += 4) {
    uint64_t bits = dropout_rng_.Next();
    for (int64_t j = i; j < std::min(i + 4, count); ++j, bits >>= 16) {
      at[j] = (bits & 0xffff) < drop_below ? 0 : keep;
    }
  }
  return x * mask;
}

std::shared_ptr<Network> BuildNetwork(const v1::ModelSpec& model, int samples, uint64_t seed) {
  ValueOrFail(CostOf(model, samples), v1::FAILURE_CAUSE_INVALID);
  Rng rng(seed);
  if (model.has_mlp()) return std::make_shared<Mlp>(rng, model.mlp(), samples);
  return std::make_shared<ResNet1d>(rng, model.resnet1d(), samples);
}

KernelChoice::KernelChoice(const v1::ModelSpec& model)
    : before_(at::globalContext().userEnabledMkldnn()) {
  at::globalContext().setUserEnabledMkldnn(!model.has_resnet1d() ||
                                           model.resnet1d().base() >= kOneDnnFromBase);
}

KernelChoice::~KernelChoice() { at::globalContext().setUserEnabledMkldnn(before_); }

std::string ArchitectureName(const v1::ModelSpec& model) {
  return ModelLabel(model, model.has_mlp() ? model.mlp().dropout() : model.resnet1d().dropout());
}

}  // namespace retort::distill
