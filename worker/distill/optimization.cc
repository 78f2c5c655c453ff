#include "worker/distill/optimization.h"

#include "worker/distill/schedule.h"

namespace retort::distill {
namespace {

std::unique_ptr<torch::optim::Optimizer> MakeOptimizer(const v1::TrainSpec& train,
                                                       const torch::Tensor& values) {
  const std::vector<torch::Tensor> all = {values};
  switch (train.optimizer()) {
    case v1::OPTIMIZER_SGD:
      return std::make_unique<torch::optim::SGD>(all, torch::optim::SGDOptions(train.peak_lr())
                                                          .momentum(0.9)
                                                          .weight_decay(train.weight_decay()));
    case v1::OPTIMIZER_ADAMW:
      return std::make_unique<torch::optim::AdamW>(
          all, torch::optim::AdamWOptions(train.peak_lr()).weight_decay(train.weight_decay()));
    default:
      return std::make_unique<torch::optim::Adam>(
          all, torch::optim::AdamOptions(train.peak_lr()).weight_decay(train.weight_decay()));
  }
}

}  // namespace

Optimization::Optimization(const v1::TrainSpec& train, std::vector<torch::Tensor> parameters,
                           int64_t steps)
    : train_(train), steps_(steps) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> flat;
  for (const auto& parameter : parameters) flat.push_back(parameter.detach().flatten());
  values_ = torch::cat(flat);
  gradients_ = torch::zeros_like(values_);
  int64_t at = 0;
  for (auto& parameter : parameters) {
    const int64_t count = parameter.numel();
    parameter.set_data(values_.slice(0, at, at + count).view_as(parameter));
    parameter.mutable_grad() = gradients_.slice(0, at, at + count).view_as(parameter);
    at += count;
  }
  values_.mutable_grad() = gradients_;
  optimizer_ = MakeOptimizer(train_, values_);
}

void Optimization::Step() {
  torch::NoGradGuard no_grad;
  if (train_.clip() > 0) {
    gradients_.mul_((train_.clip() / (gradients_.norm() + 1e-6)).clamp_max(1.0));
  }
  learning_rate_ = LearningRate(train_.schedule(), train_.peak_lr(), step_++, steps_);
  optimizer_->param_groups()[0].options().set_lr(learning_rate_);
  optimizer_->step();
}

}  // namespace retort::distill
