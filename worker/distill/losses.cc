#include "worker/distill/losses.h"

#include "common/spec/heart_rate.h"

namespace retort::distill {
namespace {

using torch::Tensor;

// Logits of the classes other than y, in order: [B, K-1]. Gathering them, rather than masking y
// with -infinity, keeps every number and every gradient finite.
Tensor OtherLogits(const Tensor& logits_BK, const Tensor& classes_B) {
  const Tensor index_J = torch::arange(logits_BK.size(1) - 1, classes_B.options()).unsqueeze(0);
  return logits_BK.gather(1, index_J + (index_J >= classes_B.unsqueeze(1)).to(torch::kLong));
}

// KL between distributions given by their log-probabilities, per row.
Tensor DivergenceOfLogs(const Tensor& student_log_p, const Tensor& teacher_log_p) {
  return (teacher_log_p.exp() * (teacher_log_p - student_log_p)).sum(1);
}

}  // namespace

std::vector<std::pair<const char*, Tensor>> Loss::Parts() const {
  std::vector<std::pair<const char*, Tensor>> parts;
  for (const auto& [name, value] : {std::pair{"loss", total},
                                    {"ce", ce},
                                    {"kd", kd},
                                    {"tckd", tckd},
                                    {"nckd", nckd},
                                    {"feature", feature}}) {
    if (value.defined()) parts.emplace_back(name, value);
  }
  return parts;
}

Tensor CrossEntropy(const Tensor& logits_BK, const Tensor& classes_B, const Tensor& targets_BK) {
  const Tensor log_p_BK = logits_BK.log_softmax(1);
  if (targets_BK.defined()) return -(targets_BK * log_p_BK).sum(1);
  return -log_p_BK.gather(1, classes_B.unsqueeze(1)).squeeze(1);
}

Tensor Divergence(const Tensor& student_BK, const Tensor& teacher_BK, double temperature) {
  return DivergenceOfLogs((student_BK / temperature).log_softmax(1),
                          (teacher_BK / temperature).log_softmax(1));
}

DecoupledParts Decoupled(const Tensor& student_BK, const Tensor& teacher_BK,
                         const Tensor& classes_B, double temperature) {
  // log p[y] and log(1 - p[y]) are the log-sigmoids of u and -u, u = z_y - logsumexp of the others:
  // no 1 - p, no log of a difference.
  struct Sides {
    Tensor log_target_B;
    Tensor log_other_B;
    Tensor log_others_BJ;
  };
  const auto split = [&](const Tensor& logits_BK) {
    const Tensor scaled_BK = logits_BK / temperature;
    const Tensor target_B = scaled_BK.gather(1, classes_B.unsqueeze(1)).squeeze(1);
    const Tensor others_BJ = OtherLogits(scaled_BK, classes_B);
    const Tensor u_B = target_B - others_BJ.logsumexp(1);
    return Sides{torch::log_sigmoid(u_B), torch::log_sigmoid(-u_B), others_BJ.log_softmax(1)};
  };
  const Sides s = split(student_BK);
  const Sides t = split(teacher_BK);
  DecoupledParts parts;
  parts.teacher_other_p_B = t.log_other_B.exp();
  parts.tckd_B = t.log_target_B.exp() * (t.log_target_B - s.log_target_B) +
                 parts.teacher_other_p_B * (t.log_other_B - s.log_other_B);
  parts.nckd_B = DivergenceOfLogs(s.log_others_BJ, t.log_others_BJ);
  return parts;
}

Tensor GaussianTargets(const Tensor& bpm_B, double sigma) {
  const Tensor centers_K = torch::arange(kClasses, bpm_B.options()) + kFirstBpm;
  const Tensor distance_BK = (centers_K.unsqueeze(0) - bpm_B.unsqueeze(1)) / sigma;
  // A softmax is the normalised exponential, and stays finite however far the heart rate lies
  // outside the classes.
  return (-0.5 * distance_BK.square()).softmax(1);
}

Tensor NormalizeFeatures(const Tensor& features_NF, v1::FeatureNorm norm) {
  if (norm == v1::FEATURE_NORM_L2) {
    return features_NF / features_NF.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
  }
  if (norm == v1::FEATURE_NORM_CHANNEL_STD) {
    const Tensor centered_NF = features_NF - features_NF.mean(0, /*keepdim=*/true);
    const Tensor std_1F = centered_NF.square().mean(0, /*keepdim=*/true).sqrt();
    // Rounding leaves a constant channel with a spread of some 1e-8; dividing by that would make
    // noise of it.
    const Tensor scale_1F = features_NF.abs().amax(0, /*keepdim=*/true).clamp_min(1e-6);
    return torch::where(std_1F > 1e-5 * scale_1F, centered_NF / std_1F,
                        torch::zeros_like(centered_NF));
  }
  return features_NF;
}

}  // namespace retort::distill
