// The teacher's features of a stage, through a projector that is learnt with the student.
#include "worker/distill/methods.h"

namespace retort::distill {

Loss FeatureLoss(const v1::MethodSpec& method, const LossInputs& in, int) {
  Loss loss;
  loss.ce = CrossEntropy(in.logits_BK, in.classes_B, in.targets_BK).mean();
  loss.feature = torch::mse_loss(in.projected_BF, in.teacher_features_BF);
  loss.total = loss.ce + method.feature().gamma() * loss.feature;
  return loss;
}

}  // namespace retort::distill
