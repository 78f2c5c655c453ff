// No teacher: the cross-entropy with the reference.
#include "worker/distill/methods.h"

namespace retort::distill {

Loss ScratchLoss(const v1::MethodSpec&, const LossInputs& in, int) {
  Loss loss;
  loss.ce = CrossEntropy(in.logits_BK, in.classes_B, in.targets_BK).mean();
  loss.total = loss.ce;
  return loss;
}

}  // namespace retort::distill
