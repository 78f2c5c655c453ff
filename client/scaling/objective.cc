#include "client/scaling/objective.h"

#include <ceres/problem.h>
#include <ceres/solver.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "client/scaling/parallel.h"

namespace retort::scaling {

namespace {

// Relative changes of the objective at which a search ends. With the small delta of Hoffmann et al.
// the last digits of an objective take most of the iterations, so that a large grid is searched to
// the first of these, and the best of it to the second.
constexpr double kCoarse = 1e-8;
constexpr double kFine = 1e-12;
constexpr size_t kLargeGrid = 100;
constexpr size_t kRefined = 8;

ceres::Solver::Options SolverOptions(double tolerance) {
  ceres::Solver::Options options;
  options.linear_solver_type = ceres::DENSE_QR;
  options.logging_type = ceres::SILENT;
  options.max_num_iterations = 1000;
  options.function_tolerance = tolerance;
  options.gradient_tolerance = 1e-14;
  options.parameter_tolerance = 1e-12;
  return options;
}

// Nothing if it did not converge.
std::optional<Minimum> MinimizeFrom(const Law& law, const Points& points,
                                    const std::vector<Bound>& bounds, double huber_delta,
                                    const Theta& start, double tolerance) {
  Theta theta(bounds.size(), 0.0);
  ceres::Problem problem;
  problem.AddResidualBlock(law.cost(points, huber_delta), nullptr, theta.data());
  for (size_t k = 0; k < bounds.size(); ++k) {
    problem.SetParameterLowerBound(theta.data(), static_cast<int>(k), bounds[k].low);
    problem.SetParameterUpperBound(theta.data(), static_cast<int>(k), bounds[k].high);
    theta[k] = std::clamp(start[k], bounds[k].low, bounds[k].high);
  }
  ceres::Solver::Summary summary;
  ceres::Solve(SolverOptions(tolerance), &problem, &summary);
  if (summary.termination_type != ceres::CONVERGENCE || !std::isfinite(summary.final_cost)) {
    return std::nullopt;
  }
  return Minimum{std::move(theta), summary.final_cost};
}

// Searches on from the best minima.
void Refine(const Law& law, const Points& points, const std::vector<Bound>& bounds,
            double huber_delta, std::vector<std::optional<Minimum>>& minima) {
  std::vector<size_t> order;
  for (size_t i = 0; i < minima.size(); ++i) {
    if (minima[i]) order.push_back(i);
  }
  const size_t count = std::min(kRefined, order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<int>(count), order.end(), [&](size_t a, size_t b) {
        return std::pair(minima[a]->objective, a) < std::pair(minima[b]->objective, b);
      });
  for (size_t i = 0; i < count; ++i) {
    std::optional<Minimum>& minimum = minima[order[i]];
    const auto refined = MinimizeFrom(law, points, bounds, huber_delta, minimum->theta, kFine);
    if (refined && refined->objective <= minimum->objective) minimum = refined;
  }
}

}  // namespace

Search Minimize(const Law& law, const Points& points, const std::vector<Bound>& bounds,
                double huber_delta, const std::vector<Theta>& starts, int threads) {
  const bool large = starts.size() > kLargeGrid;
  std::vector<std::optional<Minimum>> minima(starts.size());
  ParallelFor(static_cast<int>(starts.size()), threads, [&](int i) {
    minima[i] = MinimizeFrom(law, points, bounds, huber_delta, starts[i], large ? kCoarse : kFine);
  });
  if (large) Refine(law, points, bounds, huber_delta, minima);
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
