// The teacher's most likely class as a second label.
#include "worker/distill/methods.h"

namespace retort::distill {

Loss HardLoss(const v1::MethodSpec& method, const LossInputs& in, int) {
  const double lambda = method.hard().lambda();
  Loss loss;
  loss.ce = CrossEntropy(in.logits_BK, in.classes_B, in.targets_BK).mean();
  loss.kd = CrossEntropy(in.logits_BK, in.teacher_logits_BK.argmax(1), {}).mean();
  loss.total = (1 - lambda) * loss.ce + lambda * loss.kd;
  return loss;
}

}  // namespace retort::distill
