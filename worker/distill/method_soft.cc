// The teacher's softened distribution (Hinton, Vinyals, Dean, Distilling the Knowledge in a Neural
// Network, 2015).
#include "worker/distill/methods.h"

namespace retort::distill {

Loss SoftLoss(const v1::MethodSpec& method, const LossInputs& in, int) {
  const double lambda = method.soft().lambda(), t = method.soft().temperature();
  const auto [total, means] = WeighMeans({CrossEntropy(in.logits_BK, in.classes_B, in.targets_BK),
                                          Divergence(in.logits_BK, in.teacher_logits_BK, t)},
                                         {1 - lambda, lambda * t * t});
  Loss loss;
  loss.total = total;
  loss.ce = means[0];
  loss.kd = t * t * means[1];
  return loss;
}

}  // namespace retort::distill
