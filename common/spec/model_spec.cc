#include "common/spec/model_spec.h"

#include <algorithm>
#include <string>

#include "common/spec/heart_rate.h"

namespace retort {
namespace {

constexpr int64_t kMaxParams = int64_t{1} << 31;

int CeilDiv(int a, int b) { return (a + b - 1) / b; }

// Sums up layers in the order of the forward pass. Counts saturate far below overflow: see CostOf.
class Tally {
 public:
  void Conv(int64_t in, int64_t out, int64_t kernel, int64_t out_samples) {
    params += in * out * kernel + out;
    macs += in * out * kernel * out_samples;
  }
  void Norm(int64_t channels) { params += 2 * channels; }
  void Linear(int64_t in, int64_t out) {
    params += in * out + out;
    macs += in * out;
  }
  void Activations(int64_t floats) { peak = std::max(peak, floats); }

  int64_t params = 0;
  int64_t macs = 0;
  int64_t peak = 0;  // floats
};

v1::ModelCost Finish(Tally tally, int64_t features) {
  const int64_t body = tally.params;
  tally.Linear(features, kClasses);
  tally.Activations(features + kClasses);
  v1::ModelCost cost;
  cost.set_params(tally.params);
  cost.set_params_body(body);
  cost.set_macs(tally.macs);
  cost.set_size_bytes(tally.params * 4);
  cost.set_peak_activation_bytes(tally.peak * 4);
  return cost;
}

Error TooLarge(const std::string& what) {
  return Error{what + " has more than 2^31 parameters; choose a smaller network"};
}

Expected<v1::ModelCost> CostOfResNet(const v1::ResNet1dSpec& spec, int samples) {
  if (spec.base() < 1) {
    return Error{"resnet1d.base: " + std::to_string(spec.base()) + "; must be at least 1"};
  }
  if (spec.blocks() < 1) {
    return Error{"resnet1d.blocks: " + std::to_string(spec.blocks()) + "; must be at least 1"};
  }
  const int kernel = spec.has_kernel() ? spec.kernel() : 5;
  if (kernel % 2 == 0) {
    return Error{"resnet1d.kernel: " + std::to_string(kernel) + "; must be odd"};
  }
  const int widen_every = spec.has_widen_every() ? spec.widen_every() : 4;
  // Doubling this often would leave the range of integers before the parameters can be counted.
  if ((spec.blocks() - 1) / widen_every > 20) return TooLarge("resnet1d");

  Tally tally;
  tally.Conv(1, spec.base(), kernel, samples);
  tally.Norm(spec.base());
  tally.Activations(int64_t{samples} * (1 + spec.base()));
  int channels = spec.base();
  for (const ResNetBlock& block : ResNetBlocks(spec, samples)) {
    if (!block.first) tally.Norm(block.in_channels);
    tally.Conv(block.in_channels, block.out_channels, kernel, block.out_samples);
    tally.Norm(block.out_channels);
    tally.Conv(block.out_channels, block.out_channels, kernel, block.out_samples);
    // The block's input is kept for the shortcut while each convolution has its input and output.
    const int64_t in = int64_t{block.in_channels} * block.in_samples;
    const int64_t out = int64_t{block.out_channels} * block.out_samples;
    tally.Activations(in + std::max(in + out, 2 * out));
    channels = block.out_channels;
    if (tally.params > kMaxParams) return TooLarge("resnet1d");
  }
  tally.Norm(channels);
  return Finish(tally, channels);
}

Expected<v1::ModelCost> CostOfMlp(const v1::MlpSpec& spec, int samples) {
  if (spec.width() < 1) {
    return Error{"mlp.width: " + std::to_string(spec.width()) + "; must be at least 1"};
  }
  if (spec.depth() < 1) {
    return Error{"mlp.depth: " + std::to_string(spec.depth()) + "; must be at least 1"};
  }
  Tally tally;
  int64_t in = samples;
  for (int i = 0; i < spec.depth(); ++i) {
    tally.Linear(in, spec.width());
    tally.Activations(in + spec.width());
    in = spec.width();
    if (tally.params > kMaxParams) return TooLarge("mlp");
  }
  return Finish(tally, in);
}

}  // namespace

std::vector<ResNetBlock> ResNetBlocks(const v1::ResNet1dSpec& spec, int samples) {
  const int stride = spec.has_stride() ? spec.stride() : 2;
  const int downsample_every = spec.has_downsample_every() ? spec.downsample_every() : 2;
  const int widen_every = spec.has_widen_every() ? spec.widen_every() : 4;
  std::vector<ResNetBlock> blocks;
  int channels = spec.base();
  int length = samples;
  for (int i = 0; i < spec.blocks(); ++i) {
    ResNetBlock block;
    block.first = i == 0;
    block.in_channels = channels;
    block.out_channels = i > 0 && i % widen_every == 0 ? 2 * channels : channels;
    block.stride = i % downsample_every == downsample_every - 1 ? stride : 1;
    block.in_samples = length;
    block.out_samples = CeilDiv(length, block.stride);
    channels = block.out_channels;
    length = block.out_samples;
    blocks.push_back(block);
  }
  return blocks;
}

void FillModelDefaults(v1::ModelSpec& model, double usual_dropout) {
  if (model.has_resnet1d()) {
    auto& net = *model.mutable_resnet1d();
    if (!net.has_kernel()) net.set_kernel(5);
    if (!net.has_stride()) net.set_stride(2);
    if (!net.has_downsample_every()) net.set_downsample_every(2);
    if (!net.has_widen_every()) net.set_widen_every(4);
    if (!net.has_dropout()) net.set_dropout(usual_dropout);
  } else if (model.has_mlp()) {
    if (!model.mlp().has_dropout()) model.mutable_mlp()->set_dropout(usual_dropout);
  }
}

Expected<v1::ModelCost> CostOf(const v1::ModelSpec& model, int samples) {
  switch (model.family_case()) {
    case v1::ModelSpec::kResnet1D:
      return CostOfResNet(model.resnet1d(), samples);
    case v1::ModelSpec::kMlp:
      return CostOfMlp(model.mlp(), samples);
    case v1::ModelSpec::FAMILY_NOT_SET:
      break;
  }
  return Error{"a network needs a family: resnet1d or mlp"};
}

}  // namespace retort
