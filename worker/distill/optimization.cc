#include "worker/distill/optimization.h"

#include <cmath>

#include "worker/distill/schedule.h"

namespace retort::distill {
namespace {

// PyTorch's defaults, and the momentum that spec.proto states.
constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kEpsilon = 1e-8;
constexpr double kMomentum = 0.9;

}  // namespace

Optimization::Optimization(const v1::TrainSpec& train, std::vector<torch::Tensor> parameters,
                           int64_t steps)
    : train_(train), steps_(steps) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> flat;
  for (const auto& parameter : parameters) flat.push_back(parameter.detach().flatten());
  values_ = torch::cat(flat);
  gradients_ = torch::zeros_like(values_);
  mean_ = torch::zeros_like(values_);
  if (train_.optimizer() != v1::OPTIMIZER_SGD) square_ = torch::zeros_like(values_);
  int64_t at = 0;
  for (auto& parameter : parameters) {
    const int64_t count = parameter.numel();
    parameter.set_data(values_.slice(0, at, at + count).view_as(parameter));
    parameter.mutable_grad() = gradients_.slice(0, at, at + count).view_as(parameter);
    at += count;
  }
}

void Optimization::Step() {
  torch::NoGradGuard no_grad;
  if (train_.clip() > 0) {
    gradients_.mul_((train_.clip() / (gradients_.norm() + 1e-6)).clamp_max(1.0));
  }
  learning_rate_ = LearningRate(train_.schedule(), train_.peak_lr(), step_++, steps_);
  if (train_.optimizer() == v1::OPTIMIZER_ADAMW) {
    if (train_.weight_decay() != 0) values_.mul_(1 - learning_rate_ * train_.weight_decay());
  } else if (train_.weight_decay() != 0) {
    gradients_.add_(values_, train_.weight_decay());
  }
  if (train_.optimizer() == v1::OPTIMIZER_SGD) {
    StepSgd();
  } else {
    StepAdam();
  }
}

// Kingma and Ba, Adam, ICLR 2015, algorithm 1.
void Optimization::StepAdam() {
  const auto step = static_cast<double>(step_);
  mean_.mul_(kBeta1).add_(gradients_, 1 - kBeta1);
  square_.mul_(kBeta2).addcmul_(gradients_, gradients_, 1 - kBeta2);
  const double correction = std::sqrt(1 - std::pow(kBeta2, step));
  const torch::Tensor spread = (square_.sqrt() / correction).add_(kEpsilon);
  values_.addcdiv_(mean_, spread, -learning_rate_ / (1 - std::pow(kBeta1, step)));
}

void Optimization::StepSgd() {
  mean_.mul_(kMomentum).add_(gradients_);
  values_.add_(mean_, -learning_rate_);
}

std::vector<std::pair<std::string, torch::Tensor>> Optimization::Memory() const {
  if (!square_.defined()) return {{"momentum", mean_}};
  return {{"mean", mean_}, {"square", square_}};
}

void Optimization::Resume(int64_t steps_done, double learning_rate) {
  step_ = steps_done;
  learning_rate_ = learning_rate;
}

}  // namespace retort::distill
