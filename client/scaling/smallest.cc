#include "client/scaling/smallest.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace retort::scaling {
namespace {

constexpr int kStepsPerDecade = 40;
constexpr double kBeyond = 10;

// Sizes from the smallest of the data to ten times the largest.
std::vector<Size> GridOver(const std::vector<Observation>& observations) {
  const auto smaller = [](const Observation& a, const Observation& b) { return a.size < b.size; };
  const auto [low, high] = std::minmax_element(observations.begin(), observations.end(), smaller);
  if (low == high || !(low->size > 0) || !std::isfinite(high->size)) return {};
  const double decades = std::log10(kBeyond * high->size / low->size);
  const int steps = std::min(1000, static_cast<int>(std::ceil(decades * kStepsPerDecade)));
  std::vector<Size> grid;
  for (int i = 0; i <= steps; ++i) grid.emplace_back(low->size * std::pow(10, decades * i / steps));
  return grid;
}

// Where the value of the curve first comes down to `loss`: between two points of the grid by a
// straight line of log size.
std::optional<double> FirstAtMost(const std::vector<CurvePoint>& curve, double loss,
                                  const std::function<double(const CurvePoint&)>& value) {
  for (size_t i = 0; i < curve.size(); ++i) {
    const double here = value(curve[i]);
    if (here > loss) continue;
    if (i == 0) return curve[0].size;
    const double before = value(curve[i - 1]);
    const double share = std::isfinite(before) ? (before - loss) / (before - here) : 1;
    return curve[i - 1].size * std::pow(curve[i].size / curve[i - 1].size, share);
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<Smallest> SmallestSize(const std::vector<Observation>& observations,
                                      const FitOptions& options, double loss, double confidence) {
  if (!(std::isfinite(loss) && loss > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("smallest: a loss of ", loss, "; a positive, finite number is needed"));
  }
  if (!(confidence > 0.5 && confidence < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("confidence: ", confidence, " is not between 0.5 and 1; 0.95 is usual"));
  }
  if (SizeVariables(options.form) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("smallest: the form ", FormName(options.form),
                     " has two size variables, and no single smallest size"));
  }
  FitOptions grid = options;
  grid.curve_sizes = GridOver(observations);
  grid.confidence = 2 * confidence - 1;  // one-sided
  RETORT_ASSIGN_OR_RETURN(const Fit fit, FitLaw(observations, grid));
  if (!fit.points.front().interval) {
    return absl::FailedPreconditionError(absl::StrCat(
        "smallest: the fit has no intervals to be sure by", fit.warnings.empty() ? "" : ": ",
        fit.warnings.empty() ? "" : fit.warnings.front().message));
  }
  const auto upper = [](const CurvePoint& point) {
    return point.interval ? point.interval->high : HUGE_VAL;
  };
  Smallest smallest;
  smallest.size = FirstAtMost(fit.curve, loss, upper);
  smallest.without_confidence =
      FirstAtMost(fit.curve, loss, [](const CurvePoint& point) { return point.loss; });
  smallest.beyond_data = smallest.size && *smallest.size > fit.points.back().size;
  for (const SizePoint& point : fit.points) {
    if (point.interval && point.interval->high <= loss) {
      smallest.measured_size = point.size;
      break;
    }
  }
  return smallest;
}

}  // namespace retort::scaling
