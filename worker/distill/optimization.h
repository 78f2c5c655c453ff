// The rule that changes the weights.
#ifndef RETORT_WORKER_DISTILL_OPTIMIZATION_H_
#define RETORT_WORKER_DISTILL_OPTIMIZATION_H_

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "retort/v1/spec.pb.h"

namespace retort::distill {

// Optimises parameters along a schedule of `steps` steps. It makes them and their gradients views
// of one flat tensor each, so that a step is a few operations however many parameters a network
// has.
class Optimization {
 public:
  Optimization(const v1::TrainSpec& train, std::vector<torch::Tensor> parameters, int64_t steps);

  void ZeroGradients() { gradients_.zero_(); }
  // Clips the gradients and applies them, at the learning rate of the next step of the schedule.
  void Step();
  // Learning rate of the latest step.
  double learning_rate() const { return learning_rate_; }

 private:
  v1::TrainSpec train_;
  int64_t steps_;
  int64_t step_ = 0;
  double learning_rate_ = 0;
  torch::Tensor values_;
  torch::Tensor gradients_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
};

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_OPTIMIZATION_H_
