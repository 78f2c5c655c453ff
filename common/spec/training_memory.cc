#include "common/spec/training_memory.h"

#include <algorithm>

#include "common/spec/heart_rate.h"
#include "common/spec/labels.h"
#include "common/spec/model_spec.h"
#include "common/spec/train.h"

namespace retort {
namespace {

constexpr double kRunnerBytes = 256.0 * (1 << 20);
constexpr double kFloatBytes = 4;
constexpr double kEvaluatedRows = 512;  // of worker/distill/evaluate.cc and teacher.cc
constexpr double kMostBytes = static_cast<double>(int64_t{1} << 60);

// Width of the penultimate layer.
double Features(const v1::ModelSpec& model, int samples) {
  if (model.has_mlp()) return model.mlp().width();
  return ResNetBlocks(model.resnet1d(), samples).back().out_channels;
}

// Numbers that the backward pass needs of one window: the outputs of all layers.
double KeptForBackward(const v1::ModelSpec& model, int samples) {
  if (model.has_mlp()) {
    return samples + 2.0 * model.mlp().depth() * model.mlp().width() + 3.0 * kClasses;
  }
  double floats = samples * (1 + 2.0 * model.resnet1d().base());
  for (const ResNetBlock& block : ResNetBlocks(model.resnet1d(), samples)) {
    const double in = static_cast<double>(block.in_channels) * block.in_samples;
    const double out = static_cast<double>(block.out_channels) * block.out_samples;
    // First norm; then the outputs of both convolutions, second norm, shortcut and sum.
    floats += (block.first ? 0 : in) + 5 * out;
  }
  return floats + 2 * Features(model, samples) + 3.0 * kClasses;
}

}  // namespace

Expected<int64_t> TrainingMemoryBytes(const v1::TrainingSpec& spec, const TrainingData& data) {
  const auto cost = CostOf(spec.model(), data.samples);
  if (!cost.ok()) return Error{cost.error()};
  double params = static_cast<double>(cost->params());
  double largest_layers = static_cast<double>(cost->peak_activation_bytes());
  double bytes = kRunnerBytes + data.dataset_bytes + 2 * data.largest_dataset;
  bytes += kFloatBytes * WindowsAtOnce(spec.train()) * KeptForBackward(spec.model(), data.samples);
  if (TargetWidth(spec.method()) > 0) bytes += kFloatBytes * data.train_windows * kClasses;
  if (NeedsTeacher(spec.method()) && spec.has_teacher_model()) {
    const auto teacher = CostOf(spec.teacher_model(), data.samples);
    if (!teacher.ok()) return Error{teacher.error()};
    const double features = Features(spec.teacher_model(), data.samples);
    largest_layers =
        std::max(largest_layers, static_cast<double>(teacher->peak_activation_bytes()));
    bytes += 2 * static_cast<double>(teacher->size_bytes());
    bytes += 3 * kFloatBytes * data.train_windows * data.channels * (kClasses + features);
    if (FeaturesOf(spec.method())) params += (Features(spec.model(), data.samples) + 1) * features;
  }
  bytes += 2 * kEvaluatedRows * largest_layers;
  bytes += (spec.train().optimizer() == v1::OPTIMIZER_SGD ? 5 : 6) * kFloatBytes * params;
  if (spec.train().keep() == v1::KEEP_BEST) bytes += kFloatBytes * params;
  return static_cast<int64_t>(std::min(bytes, kMostBytes));
}

}  // namespace retort
