#include "client/scaling/objective.h"

#include <ceres/loss_function.h>
#include <ceres/problem.h>
#include <ceres/solver.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace retort::scaling {

Search Minimize(const Law& law, const Points& points, const std::vector<Bound>& bounds,
                double huber_delta, const std::vector<Theta>& starts) {
  Theta theta(bounds.size(), 0.0);
  std::unique_ptr<ceres::LossFunction> huber;
  if (std::isfinite(huber_delta)) huber = std::make_unique<ceres::HuberLoss>(huber_delta);
  ceres::Problem::Options ownership;
  ownership.loss_function_ownership = ceres::DO_NOT_TAKE_OWNERSHIP;
  ceres::Problem problem(ownership);
  for (size_t i = 0; i < points.log_size.size(); ++i) {
    problem.AddResidualBlock(law.residual(points.log_size[i], points.log_loss[i]), huber.get(),
                             theta.data());
  }
  for (size_t k = 0; k < bounds.size(); ++k) {
    problem.SetParameterLowerBound(theta.data(), static_cast<int>(k), bounds[k].low);
    problem.SetParameterUpperBound(theta.data(), static_cast<int>(k), bounds[k].high);
  }
  ceres::Solver::Options options;
  options.linear_solver_type = ceres::DENSE_QR;
  options.logging_type = ceres::SILENT;
  options.max_num_iterations = 1000;
  options.function_tolerance = 1e-12;
  options.gradient_tolerance = 1e-14;
  options.parameter_tolerance = 1e-12;

  Search search;
  for (const Theta& start : starts) {
    ++search.starts;
    for (size_t k = 0; k < bounds.size(); ++k)
      theta[k] = std::clamp(start[k], bounds[k].low, bounds[k].high);
    ceres::Solver::Summary summary;
    ceres::Solve(options, &problem, &summary);
    if (summary.termination_type != ceres::CONVERGENCE || !std::isfinite(summary.final_cost))
      continue;
    search.objectives.push_back(summary.final_cost);
    if (!search.best || summary.final_cost < search.best->objective) {
      search.best = Minimum{theta, summary.final_cost};
    }
  }
  return search;
}

std::vector<double> Residuals(const Law& law, const Points& points, const Theta& theta) {
  std::vector<double> residuals;
  for (size_t i = 0; i < points.log_size.size(); ++i) {
    residuals.push_back(law.log_loss(theta, points.log_size[i]) - points.log_loss[i]);
  }
  return residuals;
}

double RobustScale(std::vector<double> residuals, int parameters) {
  const double n = static_cast<double>(residuals.size());
  for (double& residual : residuals) residual = std::abs(residual);
  std::sort(residuals.begin(), residuals.end());
  const size_t middle = residuals.size() / 2;
  const double median = residuals.size() % 2 == 1 ? residuals[middle]
                                                  : (residuals[middle - 1] + residuals[middle]) / 2;
  const double correction = n > parameters ? std::sqrt(n / (n - parameters)) : 1;
  return 1.4826 * median * correction;
}

}  // namespace retort::scaling
