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
  const double kd_weight = dkd.lambda() * warmup * t * t;
  const auto [total, means] = WeighMeans(
      {CrossEntropy(in.logits_BK, in.classes_B, in.targets_BK), parts.tckd_B, parts.nckd_B},
      {ce_weight, kd_weight * dkd.alpha(), kd_weight * dkd.beta()});
  Loss loss;
  loss.total = total;
  loss.ce = means[0];
  loss.tckd = means[1];
  loss.nckd = means[2];
  loss.kd = t * t * (dkd.alpha() * loss.tckd + dkd.beta() * loss.nckd);
  return loss;
}

}  // namespace retort::distill
