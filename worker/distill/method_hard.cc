// The teacher's most likely class as a second label.
#include "worker/distill/methods.h"

namespace retort::distill {

Loss HardLoss(const v1::MethodSpec& method, const LossInputs& in, int) {
  const double lambda = method.hard().lambda();
  const auto [total, means] =
      WeighMeans({CrossEntropy(in.logits_BK, in.classes_B, in.targets_BK),
                  CrossEntropy(in.logits_BK, in.teacher_logits_BK.argmax(1), {})},
                 {1 - lambda, lambda});
  Loss loss;
  loss.total = total;
  loss.ce = means[0];
  loss.kd = means[1];
  return loss;
}

}  // namespace retort::distill
