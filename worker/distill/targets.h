// What a loss needs besides the student's outputs.
#ifndef RETORT_WORKER_DISTILL_TARGETS_H_
#define RETORT_WORKER_DISTILL_TARGETS_H_

#include <torch/torch.h>

#include "retort/v1/spec.pb.h"
#include "worker/distill/data.h"
#include "worker/distill/losses.h"
#include "worker/distill/teacher.h"

namespace retort::distill {

// For every item of training, on the device of the dataset; only training windows are in it.
class Targets {
 public:
  // teacher: null if the method needs none.
  Targets(const v1::MethodSpec& method, const LoadedDataset& dataset, const FoldWindows& windows,
          const TeacherOutputs* teacher);

  // Rows of the dataset that belong to items.
  torch::Tensor Rows(const torch::Tensor& items_B) const {
    return rows_I_.index_select(0, items_B);
  }
  // All but the student's part.
  LossInputs Select(const torch::Tensor& items_B) const;

 private:
  int64_t channels_;
  torch::Tensor rows_I_;
  torch::Tensor classes_W_;
  torch::Tensor targets_WK_;
  torch::Tensor teacher_logits_IK_;
  torch::Tensor teacher_features_IF_;
};

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_TARGETS_H_
