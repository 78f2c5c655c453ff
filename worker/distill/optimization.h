// The rule that changes the weights.
#ifndef RETORT_WORKER_DISTILL_OPTIMIZATION_H_
#define RETORT_WORKER_DISTILL_OPTIMIZATION_H_

#include <torch/torch.h>

#include <string>
#include <utility>
#include <vector>

#include "retort/v1/spec.pb.h"

namespace retort::distill {

// Optimises parameters along a schedule of `steps` steps. It makes them and their gradients views
// of one flat tensor each, so that a step is a few operations however many parameters a network
// has. The rules are those of torch::optim, to the bit, written out because a checkpoint needs what
// they remember.
class Optimization {
 public:
  Optimization(const v1::TrainSpec& train, std::vector<torch::Tensor> parameters, int64_t steps);

  void ZeroGradients() { gradients_.zero_(); }
  // Clips the gradients and applies them, at the learning rate of the next step of the schedule.
  void Step();
  // Learning rate of the latest step.
  double learning_rate() const { return learning_rate_; }
  // Steps that were made.
  int64_t steps_done() const { return step_; }

  // What the rule remembers of earlier steps, by name; shares memory with it.
  std::vector<std::pair<std::string, torch::Tensor>> Memory() const;
  // Goes on as if so many steps had been made, the latest at that rate. Memory and parameters are
  // filled in by the caller.
  void Resume(int64_t steps_done, double learning_rate);

 private:
  void StepAdam();
  void StepSgd();

  v1::TrainSpec train_;
  int64_t steps_;
  int64_t step_ = 0;
  double learning_rate_ = 0;
  torch::Tensor values_;
  torch::Tensor gradients_;
  torch::Tensor mean_;    // of the gradients (Adam), or the momentum (SGD)
  torch::Tensor square_;  // of their squares (Adam)
};

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_OPTIMIZATION_H_
