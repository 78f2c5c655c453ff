#include "worker/distill/loss_watch.h"

#include <cmath>
#include <string>
#include <utility>

#include "worker/distill/failure.h"

namespace retort::distill {
namespace {

constexpr size_t kMostWaiting = 64;  // steps

}  // namespace

void LossWatch::BeginStep(int64_t step, int epoch) {
  now_ = {step, epoch, {}};
  sum_ = 0;
}

void LossWatch::Add(const torch::Tensor& loss, double share) {
  if (late_) {
    const torch::Tensor part = loss.detach() * share;
    now_.loss = now_.loss.defined() ? now_.loss + part : part;
    return;
  }
  const double value = loss.item<double>();
  Refuse(value, now_);
  sum_ += value * share;
}

void LossWatch::EndStep() {
  if (!late_) {
    last_ = sum_;
    return;
  }
  waiting_.push_back(std::move(now_));
  if (waiting_.size() >= kMostWaiting) Look();
}

void LossWatch::Look() {
  if (waiting_.empty()) return;
  const std::vector<Step> steps = std::exchange(waiting_, {});
  std::vector<torch::Tensor> losses;
  for (const Step& step : steps) losses.push_back(step.loss);
  const torch::Tensor values = torch::stack(losses).to(torch::kCPU, torch::kDouble);
  for (size_t i = 0; i < steps.size(); ++i) {
    const double value = values.data_ptr<double>()[i];
    Refuse(value, steps[i]);
    last_ = value;
  }
}

void LossWatch::Refuse(double loss, const Step& step) const {
  if (std::isfinite(loss)) return;
  throw Failure(v1::FAILURE_CAUSE_NUMERIC,
                "the loss is " + std::to_string(loss) + " at step " + std::to_string(step.step) +
                    " (epoch " + std::to_string(step.epoch) + "); the last finite loss was " +
                    std::to_string(last_) + "; a smaller train.peak_lr may help");
}

}  // namespace retort::distill
