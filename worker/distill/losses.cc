#include "worker/distill/losses.h"

#include <limits>

#include "common/spec/heart_rate.h"
#include "worker/distill/row_losses.h"

namespace retort::distill {
namespace {

using torch::Tensor;

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// For any device and type of numbers, as LibTorch's operations; row_losses has what runs most. The
// divergences have gradients that are simpler than what automatic derivatives make of their
// formulas.

struct DivergenceFunction : Function<DivergenceFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& student_BK,
                        const Tensor& teacher_BK, double temperature) {
    const Tensor log_s_BK = (student_BK / temperature).log_softmax(1);
    const Tensor log_t_BK = (teacher_BK / temperature).log_softmax(1);
    const Tensor p_t_BK = log_t_BK.exp();
    context->save_for_backward({log_s_BK, p_t_BK});
    context->saved_data["temperature"] = temperature;
    return (p_t_BK * (log_t_BK - log_s_BK)).sum(1);
  }

  // (p_s - p_t) / T
  static variable_list backward(AutogradContext* context, const variable_list& gradients_B) {
    const variable_list saved = context->get_saved_variables();
    const Tensor scale_B1 =
        (gradients_B[0] / context->saved_data["temperature"].toDouble()).unsqueeze(1);
    return {(saved[0].exp() - saved[1]) * scale_B1, {}, {}};
  }
};

// A row of logits, split at its class y. q: distribution over the other classes, 0 at y.
// log p[y] and log(1 - p[y]) are the log-sigmoids of u and -u, u = z_y - logsumexp of the others:
// no 1 - p, no log of a difference.
struct Split {
  Tensor log_q_BK;  // finite everywhere; at y it is u
  Tensor q_BK;
  Tensor u_B1;
};

Split SplitAt(const Tensor& classes_B1, const Tensor& logits_BK, double temperature) {
  const Tensor scaled_BK = logits_BK / temperature;
  const Tensor others_BK =
      scaled_BK.scatter(1, classes_B1, -std::numeric_limits<double>::infinity());
  Split out;
  out.log_q_BK = scaled_BK - others_BK.logsumexp(1, /*keepdim=*/true);
  out.q_BK = others_BK.softmax(1);
  out.u_B1 = out.log_q_BK.gather(1, classes_B1);
  return out;
}

struct DecoupledFunction : Function<DecoupledFunction> {
  static variable_list forward(AutogradContext* context, const Tensor& student_BK,
                               const Tensor& teacher_BK, const Tensor& classes_B,
                               double temperature) {
    const Tensor classes_B1 = classes_B.unsqueeze(1);
    const Split s = SplitAt(classes_B1, student_BK, temperature);
    const Split t = SplitAt(classes_B1, teacher_BK, temperature);
    const Tensor p_t_B1 = t.u_B1.sigmoid();
    const Tensor other_p_t_B1 = (-t.u_B1).sigmoid();
    const Tensor tckd_B1 =
        p_t_B1 * (torch::log_sigmoid(t.u_B1) - torch::log_sigmoid(s.u_B1)) +
        other_p_t_B1 * (torch::log_sigmoid(-t.u_B1) - torch::log_sigmoid(-s.u_B1));
    const Tensor nckd_B = (t.q_BK * (t.log_q_BK - s.log_q_BK)).sum(1);
    context->save_for_backward({s.q_BK, t.q_BK, s.u_B1, p_t_B1, classes_B1});
    context->saved_data["temperature"] = temperature;
    return {tckd_B1.squeeze(1), nckd_B, other_p_t_B1.squeeze(1)};
  }

  // TCKD: (p_s[y] - p_t[y]) du/dz, du/dz_y = 1 and du/dz_j = -q_s[j]. NCKD: q_s - q_t. All over T.
  static variable_list backward(AutogradContext* context, const variable_list& gradients_B) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &q_s_BK = saved[0], &q_t_BK = saved[1], &classes_B1 = saved[4];
    const double temperature = context->saved_data["temperature"].toDouble();
    const Tensor du_B1 =
        gradients_B[0].unsqueeze(1) * (saved[2].sigmoid() - saved[3]) / temperature;
    const Tensor dq_B1 = gradients_B[1].unsqueeze(1) / temperature;
    const Tensor dz_BK = q_s_BK * (dq_B1 - du_B1) - q_t_BK * dq_B1;
    return {dz_BK.scatter(1, classes_B1, du_B1), {}, {}, {}};
  }
};

// By hand since the graph of such a sum, of numbers alone, takes longer than the losses do.
struct WeighMeansFunction : Function<WeighMeansFunction> {
  static variable_list forward(AutogradContext* context, torch::TensorList losses_B,
                               const std::vector<double>& weights) {
    variable_list out = {Tensor()};
    for (size_t i = 0; i < weights.size(); ++i) {
      out.push_back(losses_B[i].mean());
      out[0] = i == 0 ? out[1] * weights[0] : out[0].add_(out[i + 1], weights[i]);
    }
    context->mark_non_differentiable({out.begin() + 1, out.end()});
    context->saved_data["weights"] = weights;
    context->saved_data["count"] = losses_B[0].size(0);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const std::vector<double> weights = context->saved_data["weights"].toDoubleVector();
    const int64_t count = context->saved_data["count"].toInt();
    variable_list out;
    for (const double weight : weights) {
      out.push_back((gradients[0] * (weight / static_cast<double>(count))).expand({count}));
    }
    out.emplace_back();
    return out;
  }
};

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

WeighedMeans WeighMeans(const std::vector<Tensor>& losses_B, const std::vector<double>& weights) {
  variable_list out = WeighMeansFunction::apply(torch::TensorList(losses_B), weights);
  return {out[0], {out.begin() + 1, out.end()}};
}

Tensor CrossEntropy(const Tensor& logits_BK, const Tensor& classes_B, const Tensor& targets_BK) {
  if (AreKernelRows(logits_BK, targets_BK.defined() ? targets_BK : logits_BK)) {
    return RowCrossEntropy(logits_BK, classes_B, targets_BK);
  }
  const Tensor log_p_BK = logits_BK.log_softmax(1);
  if (targets_BK.defined()) return -(targets_BK * log_p_BK).sum(1);
  return -log_p_BK.gather(1, classes_B.unsqueeze(1)).squeeze(1);
}

Tensor Divergence(const Tensor& student_BK, const Tensor& teacher_BK, double temperature) {
  if (AreKernelRows(student_BK, teacher_BK)) {
    return RowDivergence(student_BK, teacher_BK, temperature);
  }
  return DivergenceFunction::apply(student_BK, teacher_BK, temperature);
}

DecoupledParts Decoupled(const Tensor& student_BK, const Tensor& teacher_BK,
                         const Tensor& classes_B, double temperature) {
  if (AreKernelRows(student_BK, teacher_BK)) {
    return RowDecoupled(student_BK, teacher_BK, classes_B, temperature);
  }
  const variable_list parts =
      DecoupledFunction::apply(student_BK, teacher_BK, classes_B, temperature);
  return {parts[0], parts[1], parts[2]};
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
