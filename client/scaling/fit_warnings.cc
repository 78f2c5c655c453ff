#include "client/scaling/fit_warnings.h"

#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace retort::scaling {
namespace {

// A law whose loss falls by less than this over all sizes does not fall.
constexpr double kLeastFall = 0.01;

void Warn(Fit& fit, WarningKind kind, std::string message) {
  fit.warnings.push_back({kind, std::move(message)});
}

// `3 subjects`, `1 row`.
std::string Counted(size_t count, const std::string& noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

// With as many the bootstrap's intervals were right (96.6 and 97.1 %).
constexpr int kSubjectsForTwoSizes = 34;

// What the coverage bench found (README.md) beyond 92 to 98 %: exponents of sums of powers.
void WarnOfCoverage(const FitOptions& options, Fit& fit) {
  const bool given = !fit.parameters.empty() && fit.parameters.front().interval.has_value();
  if (!given || options.confidence != 0.95) return;
  if (options.uncertainty == UncertaintyMethod::kJackknife && options.form != Form::kLog) {
    Warn(fit, WarningKind::kCoverage,
         "intervals of exponents are wider than they need be: where 95 % was asked, they held the "
         "truth in 98 to 99.6 % of simulated sweeps (those of losses in 94 to 98 %)");
  }
  if (options.uncertainty == UncertaintyMethod::kBootstrap && SizeVariables(options.form) == 2 &&
      options.points_are == PointsAre::kMeans && fit.subjects < kSubjectsForTwoSizes) {
    Warn(fit, WarningKind::kCoverage,
         "intervals of exponents are wider than they need be: where 95 % was asked, they held the "
         "truth in 99 % of simulated sweeps of 12 subjects (those of losses in 94 to 97 %)");
  }
}

void WarnOfSizes(const LossTable& table, Fit& fit) {
  const size_t sizes = table.sizes().size();
  const size_t parameters = fit.parameters.size();
  if (sizes > parameters) return;
  Warn(fit, WarningKind::kFewSizes,
       absl::StrCat("only ", sizes, " distinct sizes for ", parameters,
                    " parameters: nothing is left to test the law by, so R2 says nothing and "
                    "what lies beyond the sizes rests on the form alone; run ",
                    parameters + 1, " sizes or more"));
}

}  // namespace

bool IsAtLow(const PointFit& fit, size_t k) {
  return fit.theta[k] <= fit.bounds[k].low + fit.bounds[k].low_margin;
}

bool IsAtHigh(const PointFit& fit, size_t k) {
  return fit.theta[k] >= fit.bounds[k].high - fit.bounds[k].high_margin;
}

void WarnOfData(const LossTable& table, const FitOptions& options, Fit& fit) {
  WarnOfSizes(table, fit);
  if (!table.dropped_subjects().empty()) {
    Warn(fit, WarningKind::kDroppedSubjects,
         absl::StrCat("left out, since they were not tested at every size: ",
                      absl::StrJoin(table.dropped_subjects(), ", ")));
  }
  if (options.uncertainty == UncertaintyMethod::kNone) return;
  const bool rows = options.points_are == PointsAre::kRows;
  const Clusters& clusters = table.clusters();
  if (clusters.subjects() < kMinSubjects) {
    Warn(fit, WarningKind::kFewSubjects,
         absl::StrCat("no intervals: ", Counted(clusters.subjects(), rows ? "cluster" : "subject"),
                      ", and at least ", kMinSubjects, " are needed to tell how much they differ"));
  } else if (!rows && !clusters.HasRepeatedTraining() && !clusters.HasFoldsToLeaveOut()) {
    Warn(fit, WarningKind::kOneSeed,
         "one seed, or seeds not told apart: the intervals leave out how much training itself "
         "varies, and are too narrow; "
         "run 2 seeds or more");
  }
}

void WarnOfFit(const Law& law, const FitOptions& options, const PointFit& point_fit, Fit& fit) {
  for (size_t k = 0; k < fit.parameters.size(); ++k) {
    const Parameter& parameter = fit.parameters[k];
    if (!parameter.at_bound) continue;
    const bool low = IsAtLow(point_fit, k);
    Warn(fit, WarningKind::kAtBound,
         absl::StrCat(parameter.name, " = ", parameter.value, " sits at the ",
                      low ? "lower" : "upper", " end of what is searched",
                      low ? law.parameters[k].at_low : law.parameters[k].at_high,
                      ": the parameters have no intervals, since each would hold only if this one "
                      "is right"));
  }
  // In order of the first size, so that of two sizes the one is told by the other's mean only.
  const double fall = std::log(fit.points.front().fitted / fit.points.back().fitted);
  if (law.size_variables == 1 && fall < kLeastFall) {
    Warn(fit, WarningKind::kNotFalling,
         absl::StrCat(
             "the loss does not fall with size: the law is fit only for losses that do (fitted ",
             fit.points.front().fitted, " at the smallest size, ", fit.points.back().fitted,
             " at the largest)"));
  }
  WarnOfCoverage(options, fit);
  const Convergence& report = fit.convergence;
  if (2 * report.converged < report.starts) {
    Warn(fit, WarningKind::kNoConvergence,
         absl::StrCat("only ", report.converged, " of ", report.starts,
                      " starts converged: do not trust this fit"));
  }
  const bool has_interval = !fit.points.empty() && fit.points.front().interval.has_value();
  if (report.resamples_failed > 0 && !has_interval) {
    Warn(fit, WarningKind::kNoConvergence,
         absl::StrCat("no intervals: ", report.resamples_failed, " of ", report.resamples,
                      " refits without a subject or a seed were not possible"));
  }
}

}  // namespace retort::scaling
