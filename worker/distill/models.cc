#include "worker/distill/models.h"

#include <cmath>
#include <utility>
#include <vector>

#include "common/spec/heart_rate.h"
#include "common/spec/labels.h"
#include "common/spec/model_spec.h"
#include "worker/distill/device.h"
#include "worker/distill/failure.h"
#include "worker/distill/layers.h"

namespace retort::distill {
namespace {

using torch::Tensor;

// What worker/kernels leave to LibTorch runs faster with oneDNN's convolutions for networks this
// wide, for narrower ones without: oneDNN pads channels to blocks of 16.
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

// A convolution with same padding.
class Conv : public torch::nn::Module {
 public:
  Conv(Rng& rng, int64_t in, int64_t out, int64_t kernel, int64_t stride) : stride_(stride) {
    // Kaiming-uniform with a = sqrt 5 has the bound 1 / sqrt(fan in), which is also the bias'
    // bound.
    const double bound = 1 / std::sqrt(static_cast<double>(in * kernel));
    weight_ = register_parameter("weight", UniformTensor(rng, {out, in, kernel}, bound));
    bias_ = register_parameter("bias", UniformTensor(rng, {out}, bound));
  }
  Tensor Forward(const Layers& layers, const Tensor& x) {
    return layers.Conv(x, weight_, bias_, stride_);
  }

 private:
  int64_t stride_;
  Tensor weight_;
  Tensor bias_;
};

// A batch norm, and the ReLU that follows every one of them.
class NormRelu : public torch::nn::Module {
 public:
  explicit NormRelu(int64_t channels) {
    tensors_.weight_C = register_parameter("weight", torch::ones({channels}));
    tensors_.bias_C = register_parameter("bias", torch::zeros({channels}));
    tensors_.mean_C = register_buffer("running_mean", torch::zeros({channels}));
    tensors_.var_C = register_buffer("running_var", torch::ones({channels}));
  }
  Tensor Forward(const Layers& layers, const Tensor& x) {
    return layers.NormRelu(x, tensors_, is_training());
  }

 private:
  NormTensors tensors_;
};

// The tensors of one residual block; ResNet1d::RunBlock says how they are used.
struct Block : torch::nn::Module {
  Block(Rng& rng, const ResNetBlock& block_shape, int kernel) : shape(block_shape) {
    if (!shape.first)
      norm1 = register_module("norm1", std::make_shared<NormRelu>(shape.in_channels));
    conv1 = register_module(
        "conv1",
        std::make_shared<Conv>(rng, shape.in_channels, shape.out_channels, kernel, shape.stride));
    norm2 = register_module("norm2", std::make_shared<NormRelu>(shape.out_channels));
    conv2 = register_module(
        "conv2", std::make_shared<Conv>(rng, shape.out_channels, shape.out_channels, kernel, 1));
  }

  ResNetBlock shape;
  std::shared_ptr<NormRelu> norm1;  // null in the first block
  std::shared_ptr<Conv> conv1;
  std::shared_ptr<NormRelu> norm2;
  std::shared_ptr<Conv> conv2;
};

class ResNet1d : public Network {
 public:
  ResNet1d(Rng& rng, const v1::ResNet1dSpec& spec, int samples) : dropout_(spec.dropout()) {
    stem_ = register_module("stem", std::make_shared<Conv>(rng, 1, spec.base(), spec.kernel(), 1));
    stem_norm_ = register_module("stem_norm", std::make_shared<NormRelu>(spec.base()));
    for (const ResNetBlock& shape : ResNetBlocks(spec, samples)) {
      const std::string name = "block" + std::to_string(blocks_.size());
      blocks_.push_back(register_module(name, std::make_shared<Block>(rng, shape, spec.kernel())));
    }
    const int64_t features = blocks_.back()->shape.out_channels;
    last_norm_ = register_module("last_norm", std::make_shared<NormRelu>(features));
    head_ = register_module("head", std::make_shared<Linear>(rng, features, kClasses));
  }

  NetworkOutput Forward(const Tensor& windows_B1L, int stage) override {
    const Layers& layers = LayersOf(windows_B1L);
    Tensor x = stem_norm_->Forward(layers, stem_->Forward(layers, layers.Enter(windows_B1L)));
    Tensor wanted_BF;
    const auto keep = [&](int here) {
      if (here == stage) wanted_BF = layers.MeanOverTime(x);
    };
    keep(0);
    for (size_t i = 0; i < blocks_.size(); ++i) {
      x = RunBlock(layers, *blocks_[i], x);
      keep(static_cast<int>(i) + 1);
    }
    const Tensor last_BF = layers.MeanOverTime(last_norm_->Forward(layers, x));
    return {head_->Forward(last_BF), wanted_BF.defined() ? wanted_BF : last_BF};
  }

 private:
  Tensor RunBlock(const Layers& layers, Block& block, const Tensor& x) {
    Tensor h = x;
    if (block.norm1) h = Dropout(block.norm1->Forward(layers, h), dropout_);
    h = block.conv1->Forward(layers, h);
    h = Dropout(block.norm2->Forward(layers, h), dropout_);
    return layers.AddShortcut(block.conv2->Forward(layers, h), x, block.shape);
  }

  double dropout_;
  std::shared_ptr<Conv> stem_;
  std::shared_ptr<NormRelu> stem_norm_;
  std::vector<std::shared_ptr<Block>> blocks_;
  std::shared_ptr<NormRelu> last_norm_;
  std::shared_ptr<Linear> head_;
};

class Mlp : public Network {
 public:
  Mlp(Rng& rng, const v1::MlpSpec& spec, int samples) : dropout_(spec.dropout()) {
    int64_t in = samples;
    for (int i = 0; i < spec.depth(); ++i) {
      hidden_.push_back(register_module("hidden" + std::to_string(i),
                                        std::make_shared<Linear>(rng, in, spec.width())));
      in = spec.width();
    }
    head_ = register_module("head", std::make_shared<Linear>(rng, in, kClasses));
  }

  NetworkOutput Forward(const Tensor& windows_B1L, int stage) override {
    Tensor x_BF = windows_B1L.flatten(1);
    Tensor wanted_BF;
    for (size_t i = 0; i < hidden_.size(); ++i) {
      x_BF = Dropout(hidden_[i]->Forward(x_BF).relu_(), dropout_);
      if (static_cast<int>(i) == stage) wanted_BF = x_BF;
    }
    return {head_->Forward(x_BF), wanted_BF.defined() ? wanted_BF : x_BF};
  }

 private:
  double dropout_;
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
  return x * OnDevice(mask, x.device());
}

const Layers& Network::LayersOf(const Tensor& windows_B1L) const {
  return layers_ != nullptr ? *layers_ : LayersFor(windows_B1L, is_training());
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
