#include "client/scaling/objective.h"

#include <ceres/problem.h>
#include <ceres/solver.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "client/scaling/parallel.h"

namespace retort::scaling {

namespace {

ceres::Solver::Options SolverOptions() {
  ceres::Solver::Options options;
  options.linear_solver_type = ceres::DENSE_QR;
  options.logging_type = ceres::SILENT;
  options.max_num_iterations = 1000;
  options.function_tolerance = 1e-12;
  options.gradient_tolerance = 1e-14;
  options.parameter_tolerance = 1e-12;
  return options;
}

// Nothing if it did not converge.
std::optional<Minimum> MinimizeFrom(const Law& law, const Points& points,
                                    const std::vector<Bound>& bounds, double huber_delta,
                                    const Theta& start) {
  Theta theta(bounds.size(), 0.0);
  ceres::Problem problem;
  problem.AddResidualBlock(law.cost(points, huber_delta), nullptr, theta.data());
  for (size_t k = 0; k < bounds.size(); ++k) {
    problem.SetParameterLowerBound(theta.data(), static_cast<int>(k), bounds[k].low);
    problem.SetParameterUpperBound(theta.data(), static_cast<int>(k), bounds[k].high);
    theta[k] = std::clamp(start[k], bounds[k].low, bounds[k].high);
  }
  ceres::Solver::Summary summary;
  ceres::Solve(SolverOptions(), &problem, &summary);
  if (summary.termination_type != ceres::CONVERGENCE || !std::isfinite(summary.final_cost)) {
    return std::nullopt;
  }
  return Minimum{std::move(theta), summary.final_cost};
}

}  // namespace

Search Minimize(const Law& law, const Points& points, const std::vector<Bound>& bounds,
                double huber_delta, const std::vector<Theta>& starts, int threads) {
  std::vector<std::optional<Minimum>> minima(starts.size());
  ParallelFor(static_cast<int>(starts.size()), threads, [&](int i) {
    minima[i] = MinimizeFrom(law, points, bounds, huber_delta, starts[i]);
  });
  Search search;
  search.starts = static_cast<int>(starts.size());
  for (const std::optional<Minimum>& minimum : minima) {
    if (!minimum) continue;
    search.objectives.push_back(minimum->objective);
    if (!search.best || minimum->objective < search.best->objective) search.best = minimum;
  }
  return search;
}

std::vector<double> Residuals(const Law& law, const Points& points, const Theta& theta) {
  std::vector<double> residuals;
  for (size_t i = 0; i < points.count(); ++i) {
    residuals.push_back(law.log_loss(theta, points.log_size[i], points.LogSize2(i)) -
                        points.log_loss[i]);
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
