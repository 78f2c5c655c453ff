#include "worker/distill/row_losses.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "worker/kernels/kernels.h"

namespace retort::distill {
namespace {

using kernels::BestKernels;
using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

const float* Data(const Tensor& tensor) { return tensor.data_ptr<float>(); }
float* MutableData(const Tensor& tensor) { return tensor.data_ptr<float>(); }

constexpr int64_t kRowsOfAThread = 32;

// dz = x * by_x + y * by_y, and by_at more at `classes`. Undefined: none.
Tensor RowGradients(const Tensor& x_BK, const Tensor& by_x_B, const Tensor& y_BK,
                    const Tensor& by_y_B, const Tensor& classes_B, const Tensor& by_at_B) {
  Tensor dz_BK = torch::empty_like(x_BK);
  const kernels::RowGradient rows = {
      .x = Data(x_BK),
      .y = y_BK.defined() ? Data(y_BK) : nullptr,
      .by_x = Data(by_x_B),
      .by_y = by_y_B.defined() ? Data(by_y_B) : nullptr,
      .at = classes_B.defined() ? classes_B.data_ptr<int64_t>() : nullptr,
      .by_at = by_at_B.defined() ? Data(by_at_B) : nullptr,
      .dz = MutableData(dz_BK),
      .classes = x_BK.size(1)};
  at::parallel_for(0, x_BK.size(0), kRowsOfAThread, [&](int64_t begin, int64_t end) {
    BestKernels().row_gradient(rows, begin, end);
  });
  return dz_BK;
}

struct CrossEntropyFunction : Function<CrossEntropyFunction> {
  // target: classes_B, or targets_BK.
  static Tensor forward(AutogradContext* context, const Tensor& logits, const Tensor& target) {
    const Tensor logits_BK = logits.contiguous(), wanted = target.contiguous();
    const bool one_hot = wanted.dim() == 1;
    Tensor p_BK = torch::empty_like(logits_BK);
    Tensor loss_B = torch::empty({logits_BK.size(0)});
    Tensor mass_B = torch::empty_like(loss_B);
    const kernels::CrossEntropy rows = {.logits = Data(logits_BK),
                                        .classes = logits_BK.size(1),
                                        .at = one_hot ? wanted.data_ptr<int64_t>() : nullptr,
                                        .targets = one_hot ? nullptr : Data(wanted),
                                        .p = MutableData(p_BK),
                                        .loss = MutableData(loss_B),
                                        .mass = MutableData(mass_B)};
    at::parallel_for(0, logits_BK.size(0), kRowsOfAThread, [&](int64_t begin, int64_t end) {
      BestKernels().cross_entropy(rows, begin, end);
    });
    context->save_for_backward({p_BK, mass_B, wanted});
    return loss_B;
  }

  // p * (sum of the targets) - targets
  static variable_list backward(AutogradContext* context, const variable_list& gradients_B) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &p_BK = saved[0], &mass_B = saved[1], &wanted = saved[2];
    const Tensor by_B = gradients_B[0].contiguous(), less_B = -by_B;
    if (wanted.dim() == 1) return {RowGradients(p_BK, by_B, {}, {}, wanted, less_B), {}};
    return {RowGradients(p_BK, by_B * mass_B, wanted, less_B, {}, {}), {}};
  }
};

// KL(p_t || p_s) of each row, and what else the kernel gives; classes_B are left out if defined.
struct Rows {
  Tensor p_s_BK;
  Tensor p_t_BK;
  Tensor kl_B;
  Tensor u_s_B;
  Tensor u_t_B;
};

Rows Compare(const Tensor& student, const Tensor& teacher, const Tensor& classes_B,
             double temperature) {
  const Tensor student_BK = student.contiguous(), teacher_BK = teacher.contiguous();
  Rows out;
  out.p_s_BK = torch::empty_like(student_BK);
  out.p_t_BK = torch::empty_like(student_BK);
  out.kl_B = torch::empty({student_BK.size(0)});
  out.u_s_B = torch::empty_like(out.kl_B);
  out.u_t_B = torch::empty_like(out.kl_B);
  const kernels::Divergence rows = {
      .student = Data(student_BK),
      .teacher = Data(teacher_BK),
      .classes = student_BK.size(1),
      .per_temperature = static_cast<float>(1 / temperature),
      .without = classes_B.defined() ? classes_B.data_ptr<int64_t>() : nullptr,
      .p_s = MutableData(out.p_s_BK),
      .p_t = MutableData(out.p_t_BK),
      .kl = MutableData(out.kl_B),
      .u_s = MutableData(out.u_s_B),
      .u_t = MutableData(out.u_t_B)};
  at::parallel_for(0, student_BK.size(0), kRowsOfAThread,
                   [&](int64_t begin, int64_t end) { BestKernels().divergence(rows, begin, end); });
  return out;
}

struct DivergenceFunction : Function<DivergenceFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& student_BK,
                        const Tensor& teacher_BK, double temperature) {
    const Rows rows = Compare(student_BK, teacher_BK, {}, temperature);
    context->save_for_backward({rows.p_s_BK, rows.p_t_BK});
    context->saved_data["temperature"] = temperature;
    return rows.kl_B;
  }

  // (p_s - p_t) / T
  static variable_list backward(AutogradContext* context, const variable_list& gradients_B) {
    const variable_list saved = context->get_saved_variables();
    const Tensor by_B = gradients_B[0] / context->saved_data["temperature"].toDouble();
    return {RowGradients(saved[0], by_B, saved[1], -by_B, {}, {}), {}, {}};
  }
};

// log p and log(1 - p) of p = sigmoid(u).
float LogSigmoid(float u) { return std::min(u, 0.0f) - std::log1p(std::exp(-std::abs(u))); }
float Sigmoid(float u) { return std::exp(LogSigmoid(u)); }

struct DecoupledFunction : Function<DecoupledFunction> {
  static variable_list forward(AutogradContext* context, const Tensor& student_BK,
                               const Tensor& teacher_BK, const Tensor& classes,
                               double temperature) {
    const Tensor classes_B = classes.contiguous();
    const Rows rows = Compare(student_BK, teacher_BK, classes_B, temperature);
    Tensor tckd_B = torch::empty_like(rows.kl_B), other_p_t_B = torch::empty_like(rows.kl_B),
           more_B = torch::empty_like(rows.kl_B);  // p_s[y] - p_t[y]
    for (int64_t b = 0; b < tckd_B.size(0); ++b) {
      const float u_s = Data(rows.u_s_B)[b], u_t = Data(rows.u_t_B)[b];
      const float p_t = Sigmoid(u_t), other_p_t = Sigmoid(-u_t);
      MutableData(tckd_B)[b] = p_t * (LogSigmoid(u_t) - LogSigmoid(u_s)) +
                               other_p_t * (LogSigmoid(-u_t) - LogSigmoid(-u_s));
      MutableData(other_p_t_B)[b] = other_p_t;
      // The smaller ones, lest 1 - 1 is left of two that are nearly 1.
      MutableData(more_B)[b] = u_t > 0 ? other_p_t - Sigmoid(-u_s) : Sigmoid(u_s) - p_t;
    }
    context->save_for_backward({rows.p_s_BK, rows.p_t_BK, more_B, classes_B});
    context->saved_data["temperature"] = temperature;
    context->mark_non_differentiable({other_p_t_B});
    return {tckd_B, rows.kl_B, other_p_t_B};
  }

  // TCKD: (p_s[y] - p_t[y]) du/dz, du/dz_y = 1 and du/dz_j = -q_s[j]. NCKD: q_s - q_t. All over T.
  static variable_list backward(AutogradContext* context, const variable_list& gradients_B) {
    const variable_list saved = context->get_saved_variables();
    const double temperature = context->saved_data["temperature"].toDouble();
    const Tensor du_B = gradients_B[0] * saved[2] / temperature;
    const Tensor dq_B = gradients_B[1] / temperature;
    return {RowGradients(saved[0], dq_B - du_B, saved[1], -dq_B, saved[3], du_B), {}, {}, {}};
  }
};

}  // namespace

bool AreKernelRows(const Tensor& a_BK, const Tensor& b_BK) {
  const auto fits = [](const Tensor& x) {
    return x.device().is_cpu() && x.scalar_type() == torch::kFloat && x.dim() == 2 && x.size(1) > 1;
  };
  return fits(a_BK) && fits(b_BK) && a_BK.sizes() == b_BK.sizes();
}

Tensor RowCrossEntropy(const Tensor& logits_BK, const Tensor& classes_B, const Tensor& targets_BK) {
  return CrossEntropyFunction::apply(logits_BK, targets_BK.defined() ? targets_BK : classes_B);
}

Tensor RowDivergence(const Tensor& student_BK, const Tensor& teacher_BK, double temperature) {
  return DivergenceFunction::apply(student_BK, teacher_BK, temperature);
}

DecoupledParts RowDecoupled(const Tensor& student_BK, const Tensor& teacher_BK,
                            const Tensor& classes_B, double temperature) {
  const variable_list parts =
      DecoupledFunction::apply(student_BK, teacher_BK, classes_B, temperature);
  return {parts[0], parts[1], parts[2]};
}

}  // namespace retort::distill
