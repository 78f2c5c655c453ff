#include "client/scaling/point_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace retort::scaling {
namespace {

constexpr double kSmallestDelta = 1e-3;
constexpr double kChinchillaDelta = 1e-3;
constexpr int kFewestResamples = 100;

absl::Status CheckSize(const Size& size, int size_variables) {
  const auto good = [](double value) { return std::isfinite(value) && value > 0; };
  if (!good(size.size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("curve_sizes: ", size.size, " is not a positive, finite number"));
  }
  if (size_variables == 2 && !good(size.size2)) {
    return absl::InvalidArgumentError(
        absl::StrCat("curve_sizes: the second size of ", size.size, " is ", size.size2,
                     "; the form has two size variables, and both must be positive and finite"));
  }
  return absl::OkStatus();
}

absl::Status CheckSizes(const Law& law, const LossTable& table) {
  const std::vector<Size>& sizes = table.sizes();
  const auto too_few = [&](size_t count, size_t needed, const char* what) {
    return absl::InvalidArgumentError(
        absl::StrCat("observations: ", count, " distinct ", what, count == 1 ? "" : "s",
                     "; the form ", law.name, " (", law.formula, ") needs at least ", needed,
                     needed == law.parameters.size() ? ", and more to be worth reading" : ""));
  };
  std::set<double> first, second;
  for (const Size& size : sizes) {
    first.insert(size.size);
    second.insert(size.size2);
  }
  const auto least = static_cast<size_t>(law.least_sizes);
  if (law.size_variables == 1 && sizes.size() < law.parameters.size())
    return too_few(sizes.size(), law.parameters.size(), "size");
  if (first.size() < least) return too_few(first.size(), least, "size");
  if (law.size_variables == 2 && second.size() < least)
    return too_few(second.size(), least, "second size");
  if (sizes.size() < law.parameters.size())
    return too_few(sizes.size(), law.parameters.size(), "pair of sizes");
  return absl::OkStatus();
}

absl::Status CheckData(const Law& law, const LossTable& table) {
  RETORT_RETURN_IF_ERROR(CheckSizes(law, table));
  const std::vector<double>& losses = table.whole().log_loss;
  const auto [smallest, largest] = std::minmax_element(losses.begin(), losses.end());
  if (*largest - *smallest <= 1e-12) {
    return absl::InvalidArgumentError(
        absl::StrCat("observations: the loss is ", std::exp(*smallest), " at all ",
                     table.sizes().size(), " sizes; there is no dependence on size to fit"));
  }
  return absl::OkStatus();
}

// Huber's delta from the residuals of a least-squares fit, then from those of the fit with that
// delta.
double ChooseDelta(const Law& law, const Points& points, const std::vector<Bound>& bounds,
                   const std::vector<Theta>& starts, int threads) {
  double delta = std::numeric_limits<double>::infinity();
  for (int round = 0; round < 2; ++round) {
    const Search search = Minimize(law, points, bounds, delta, starts, threads);
    if (!search.best) break;
    const double scale = RobustScale(Residuals(law, points, search.best->theta),
                                     static_cast<int>(law.parameters.size()));
    delta = std::max(1.345 * scale, kSmallestDelta);
  }
  return std::isfinite(delta) ? delta : kSmallestDelta;
}

}  // namespace

absl::Status CheckOptions(const FitOptions& options) {
  if (!(options.confidence > 0 && options.confidence < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("confidence: ", options.confidence, " is not between 0 and 1; 0.95 is usual"));
  }
  if (options.huber_delta && !(std::isfinite(*options.huber_delta) && *options.huber_delta > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("huber_delta: ", *options.huber_delta, " is not a positive, finite number"));
  }
  if (options.uncertainty == UncertaintyMethod::kBootstrap &&
      options.bootstrap.resamples < kFewestResamples) {
    return absl::InvalidArgumentError(absl::StrCat("resamples: ", options.bootstrap.resamples,
                                                   " are too few for an interval; at least ",
                                                   kFewestResamples, ", 1000 is usual"));
  }
  if (options.bootstrap.threads < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads: ", options.bootstrap.threads, "; at least 1 is needed"));
  }
  for (const Size& size : options.curve_sizes)
    RETORT_RETURN_IF_ERROR(CheckSize(size, SizeVariables(options.form)));
  return absl::OkStatus();
}

absl::StatusOr<PointFit> FitPoints(const Law& law, const LossTable& table,
                                   const FitOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckData(law, table));
  const Points& points = table.whole();
  const bool chinchilla = options.preset == Preset::kChinchilla;
  const int threads = options.bootstrap.threads;
  PointFit fit;
  fit.bounds = law.bounds(points);
  const std::vector<Theta> starts = chinchilla && law.chinchilla_starts != nullptr
                                        ? law.chinchilla_starts(points)
                                        : law.starts(points);
  if (options.huber_delta) {
    fit.huber_delta = *options.huber_delta;
  } else {
    fit.huber_delta =
        chinchilla ? kChinchillaDelta : ChooseDelta(law, points, fit.bounds, starts, threads);
  }
  fit.search = Minimize(law, points, fit.bounds, fit.huber_delta, starts, threads);
  if (!fit.search.best) {
    return absl::AbortedError(absl::StrCat("the fit of ", law.name, " converged from none of ",
                                           fit.search.starts,
                                           " starts; look at the losses for outliers"));
  }
  fit.theta = fit.search.best->theta;
  return fit;
}

std::optional<Theta> Refit(const Law& law, const Points& points, const PointFit& whole, int more) {
  std::vector<Theta> starts = {whole.theta};
  if (more > 0) {
    const std::vector<Theta> grid = law.starts(points);
    for (int i = 0; i < more; ++i) {
      const size_t at = more == 1 ? 0 : i * (grid.size() - 1) / (more - 1);
      starts.push_back(grid[at]);
    }
  }
  const Search search = Minimize(law, points, whole.bounds, whole.huber_delta, starts);
  return search.best ? std::optional(search.best->theta) : std::nullopt;
}

Goodness GoodnessOf(const Law& law, const LossTable& table, const Theta& theta) {
  const size_t sizes = table.sizes().size();
  const Points& points = table.whole();
  const std::vector<double> residuals = Residuals(law, points, theta);
  Goodness goodness;
  goodness.log_loss.assign(sizes, 0);
  goodness.residuals.assign(sizes, 0);
  std::vector<double> weight(sizes, 0);
  for (size_t i = 0; i < points.count(); ++i) {
    const int at = table.size_of_point()[i];
    weight[at] += points.weight[i];
    goodness.log_loss[at] += points.weight[i] * points.log_loss[i];
    goodness.residuals[at] += points.weight[i] * residuals[i];
  }
  const auto n = static_cast<double>(sizes);
  double mean = 0, total = 0, left = 0;
  for (size_t i = 0; i < sizes; ++i) {
    goodness.log_loss[i] /= weight[i];
    goodness.residuals[i] /= weight[i];
    mean += goodness.log_loss[i] / n;
  }
  for (size_t i = 0; i < sizes; ++i) {
    total += (goodness.log_loss[i] - mean) * (goodness.log_loss[i] - mean);
    left += goodness.residuals[i] * goodness.residuals[i];
  }
  goodness.r_squared = 1 - left / total;
  const auto k = static_cast<double>(law.parameters.size() + 1);
  if (n > k + 1) {
    // Exact data would be infinitely likely: no loss is known better than to 1e-9 of it.
    goodness.aicc = n * std::log(std::max(left / n, 1e-18)) + 2 * k + 2 * k * (k + 1) / (n - k - 1);
  }
  return goodness;
}

}  // namespace retort::scaling
