// The losses over classes made of worker/kernels: one pass over a row, where LibTorch takes a dozen
// operations over the batch. The same functions as those of losses.h, which says what they mean,
// and which calls these where it can; they agree to float rounding.
#ifndef RETORT_WORKER_DISTILL_ROW_LOSSES_H_
#define RETORT_WORKER_DISTILL_ROW_LOSSES_H_

#include <torch/torch.h>

#include "worker/distill/losses.h"

namespace retort::distill {

// Whether both are 32-bit floats of one shape [B, K] in the CPU's memory, with K >= 2.
bool AreKernelRows(const torch::Tensor& a_BK, const torch::Tensor& b_BK);

// For what AreKernelRows (logits and targets, or logits alone; student and teacher). Bits do not
// depend on the number of threads. Gradients go to the student's logits alone and are not
// differentiable again.
torch::Tensor RowCrossEntropy(const torch::Tensor& logits_BK, const torch::Tensor& classes_B,
                              const torch::Tensor& targets_BK);
torch::Tensor RowDivergence(const torch::Tensor& student_BK, const torch::Tensor& teacher_BK,
                            double temperature);
DecoupledParts RowDecoupled(const torch::Tensor& student_BK, const torch::Tensor& teacher_BK,
                            const torch::Tensor& classes_B, double temperature);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_ROW_LOSSES_H_
