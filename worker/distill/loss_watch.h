// Refuses losses that are not finite.
#ifndef RETORT_WORKER_DISTILL_LOSS_WATCH_H_
#define RETORT_WORKER_DISTILL_LOSS_WATCH_H_

#include <torch/torch.h>

#include <cstdint>
#include <limits>
#include <vector>

namespace retort::distill {

// The losses of a run's steps. Looking at a number that a GPU computes waits for all that it was
// asked to do: with `late` the losses stay where they are and are looked at together, many steps
// at a time. What is refused, and what the failure says, is the same.
class LossWatch {
 public:
  explicit LossWatch(bool late) : late_(late) {}

  // A step begins, from 0 in the whole run; what was added since the last EndStep is forgotten.
  void BeginStep(int64_t step, int epoch);
  // The mean loss of a piece that is `share` of the step's windows.
  void Add(const torch::Tensor& loss, double share);
  void EndStep();
  // Looks at what was not looked at yet. All three may throw Failure: NUMERIC, with step, epoch and
  // the loss of the step before.
  void Look();

  // Of the latest step that was looked at; NaN before the first.
  double last() const { return last_; }
  // Goes on from a checkpoint.
  void Resume(double last) { last_ = last; }

 private:
  struct Step {
    int64_t step = 0;
    int epoch = 0;
    torch::Tensor loss;
  };
  void Refuse(double loss, const Step& step) const;

  bool late_;
  Step now_;
  double sum_ = 0;  // of this step's pieces, if not late
  std::vector<Step> waiting_;
  double last_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_LOSS_WATCH_H_
