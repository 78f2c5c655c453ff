// The parts of what a network minimises (science: Methods); method_*.cc weigh them. All in log
// space: finite for logits of +-1e4 and temperatures from 0.1 to 100, in value and in gradient.
#ifndef RETORT_WORKER_DISTILL_LOSSES_H_
#define RETORT_WORKER_DISTILL_LOSSES_H_

#include <torch/torch.h>

#include <utility>
#include <vector>

#include "retort/v1/spec.pb.h"

namespace retort::distill {

// A batch of B windows as a loss sees it; K classes, F features of the teacher. What a method does
// not use may be undefined.
struct LossInputs {
  torch::Tensor logits_BK;            // of the student
  torch::Tensor classes_B;            // int64, class of the reference heart rate
  torch::Tensor targets_BK;           // Gaussian targets; undefined for one-hot
  torch::Tensor teacher_logits_BK;    // hard, soft, dkd
  torch::Tensor projected_BF;         // g(f_s): feature
  torch::Tensor teacher_features_BF;  // norm(f_t): feature
};

// A loss and its parts before weighting, each a scalar, the mean over the batch. Parts that the
// method does not have are undefined.
struct Loss {
  torch::Tensor total;
  torch::Tensor ce;  // cross-entropy with the reference
  torch::Tensor kd;  // teacher's part: CE with its arg max (hard), T^2 KL (soft), T^2 (alpha TCKD +
                     // beta NCKD) (dkd)
  torch::Tensor tckd;     // dkd
  torch::Tensor nckd;     // dkd
  torch::Tensor feature;  // mean squared error of features

  // Names and values of the parts that are defined, in a fixed order.
  std::vector<std::pair<const char*, torch::Tensor>> Parts() const;
};

// The sum of weight * mean over the batch of some losses per window, in one operation, and the
// means themselves, which have no gradient. Each of the losses has one number for each of B
// windows.
struct WeighedMeans {
  torch::Tensor total;
  std::vector<torch::Tensor> means;
};
WeighedMeans WeighMeans(const std::vector<torch::Tensor>& losses_B,
                        const std::vector<double>& weights);

// Cross-entropy per window. targets_BK: a distribution per window; undefined: one-hot at classes_B.
torch::Tensor CrossEntropy(const torch::Tensor& logits_BK, const torch::Tensor& classes_B,
                           const torch::Tensor& targets_BK);

// KL(p_t || p_s) per window, p = softmax(logits / temperature). Gradients go to the student alone,
// here and in Decoupled, and are not differentiable again.
torch::Tensor Divergence(const torch::Tensor& student_BK, const torch::Tensor& teacher_BK,
                         double temperature);

// The two parts of KL(p_t || p_s) = TCKD + (1 - p_t[y]) NCKD per window (Zhao et al., Decoupled
// Knowledge Distillation, CVPR 2022, eq. 5-7).
struct DecoupledParts {
  torch::Tensor tckd_B;             // KL of (p_t[y], 1 - p_t[y]) from (p_s[y], 1 - p_s[y])
  torch::Tensor nckd_B;             // KL over the other classes, renormalised
  torch::Tensor teacher_other_p_B;  // 1 - p_t[y]
};
DecoupledParts Decoupled(const torch::Tensor& student_BK, const torch::Tensor& teacher_BK,
                         const torch::Tensor& classes_B, double temperature);

// Target distributions of width `sigma` BPM around real-valued heart rates, over the K = 180
// classes: exp(-(30 + c - bpm)^2 / (2 sigma^2)), normalised. sigma > 0.
torch::Tensor GaussianTargets(const torch::Tensor& bpm_B, double sigma);

// Teacher features of N windows, normalised. channel_std: statistics over these N rows, which must
// be the training windows'; a channel that is constant becomes 0.
torch::Tensor NormalizeFeatures(const torch::Tensor& features_NF, v1::FeatureNorm norm);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_LOSSES_H_
