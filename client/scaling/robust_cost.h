// The residuals of a fit as one cost function of Ceres.
#ifndef RETORT_CLIENT_SCALING_ROBUST_COST_H_
#define RETORT_CLIENT_SCALING_ROBUST_COST_H_

#include <ceres/cost_function.h>
#include <ceres/jet.h>

#include <array>
#include <cmath>

#include "client/scaling/forms.h"

namespace retort::scaling {

// Residual i is the signed square root of weight * rho, with rho(r) of r = log fitted - log loss:
// r^2 up to |r| = delta and 2 delta |r| - delta^2 beyond, so that half the sum of squares is the
// weighted sum of Huber losses. Ceres' own loss functions work on one residual block each; hundreds
// of blocks of a single residual cost several times as much as the law itself.
//
// F is a form (forms.cc): `kParameters` and `LogLoss(theta, log_size, log_size2)`.
template <typename F>
class RobustCost : public ceres::CostFunction {
 public:
  RobustCost(const Points& points, double huber_delta) : points_(points), delta_(huber_delta) {
    set_num_residuals(static_cast<int>(points.count()));
    mutable_parameter_block_sizes()->push_back(F::kParameters);
  }

  bool Evaluate(double const* const* parameters, double* residuals,
                double** jacobians) const override {
    double* const jacobian = jacobians == nullptr ? nullptr : jacobians[0];
    return jacobian == nullptr ? EvaluateValues(parameters[0], residuals)
                               : EvaluateSlopes(parameters[0], residuals, jacobian);
  }

 private:
  using Jet = ceres::Jet<double, F::kParameters>;

  // The robust residual and its derivative by the plain one.
  struct Robust {
    double residual;
    double slope;
  };

  Robust Apply(double plain, double weight) const {
    const double root = std::sqrt(weight);
    if (std::abs(plain) <= delta_) return {root * plain, root};
    const double size = std::sqrt(2 * delta_ * std::abs(plain) - delta_ * delta_);
    return {root * std::copysign(size, plain), root * delta_ / size};
  }

  bool EvaluateValues(const double* theta, double* residuals) const {
    for (size_t i = 0; i < points_.count(); ++i) {
      const double fitted =
          F::template LogLoss<double>(theta, points_.log_size[i], points_.LogSize2(i));
      if (!std::isfinite(fitted)) return false;
      residuals[i] = Apply(fitted - points_.log_loss[i], points_.weight[i]).residual;
    }
    return true;
  }

  bool EvaluateSlopes(const double* theta, double* residuals, double* jacobian) const {
    std::array<Jet, F::kParameters> variables;
    for (int k = 0; k < F::kParameters; ++k) variables[k] = Jet(theta[k], k);
    for (size_t i = 0; i < points_.count(); ++i) {
      const Jet fitted =
          F::template LogLoss<Jet>(variables.data(), points_.log_size[i], points_.LogSize2(i));
      if (!std::isfinite(fitted.a)) return false;
      const Robust robust = Apply(fitted.a - points_.log_loss[i], points_.weight[i]);
      residuals[i] = robust.residual;
      for (int k = 0; k < F::kParameters; ++k) {
        jacobian[i * F::kParameters + k] = robust.slope * fitted.v[k];
      }
    }
    return true;
  }

  const Points& points_;
  double delta_;
};

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_ROBUST_COST_H_
