// The two parts of the softened divergence, weighed apart (Zhao et al., Decoupled Knowledge
// Distillation, CVPR 2022).
#include <algorithm>

#include "worker/distill/methods.h"

namespace retort::distill {

Loss DkdLoss(const v1::MethodSpec& method, const LossInputs& in, int epoch) {
  const v1::DkdMethod& dkd = method.dkd();
  const double t = dkd.temperature();
  const double warmup =
      dkd.warmup_epochs() == 0 ? 1 : std::min(1.0, (epoch + 1.0) / dkd.warmup_epochs());
  const double ce_weight = dkd.has_ce_weight() ? dkd.ce_weight() : 1 - dkd.lambda();
  const DecoupledParts parts = Decoupled(in.logits_BK, in.teacher_logits_BK, in.classes_B, t);
  Loss loss;
  loss.ce = CrossEntropy(in.logits_BK, in.classes_B, in.targets_BK).mean();
  loss.tckd = parts.tckd_B.mean();
  loss.nckd = parts.nckd_B.mean();
  loss.kd = t * t * (dkd.alpha() * loss.tckd + dkd.beta() * loss.nckd);
  loss.total = ce_weight * loss.ce + dkd.lambda() * warmup * loss.kd;
  return loss;
}

}  // namespace retort::distill
