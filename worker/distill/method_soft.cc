// The teacher's softened distribution (Hinton, Vinyals, Dean, Distilling the Knowledge in a Neural
// Network, 2015).
#include "worker/distill/methods.h"

namespace retort::distill {

Loss SoftLoss(const v1::MethodSpec& method, const LossInputs& in, int) {
  const double lambda = method.soft().lambda(), t = method.soft().temperature();
  Loss loss;
  loss.ce = CrossEntropy(in.logits_BK, in.classes_B, in.targets_BK).mean();
  loss.kd = t * t * Divergence(in.logits_BK, in.teacher_logits_BK, t).mean();
  loss.total = (1 - lambda) * loss.ce + lambda * loss.kd;
  return loss;
}

}  // namespace retort::distill
