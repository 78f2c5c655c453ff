#include "client/scaling/fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/scaling/forms.h"
#include "client/scaling/jackknife.h"
#include "client/scaling/loss_table.h"
#include "client/scaling/objective.h"
#include "common/status.h"

namespace retort::scaling {
namespace {

constexpr double kSmallestDelta = 1e-3;
// A law whose loss falls by less than this over all sizes does not fall.
constexpr double kLeastFall = 0.01;

absl::Status CheckOptions(const FitOptions& options) {
  if (!(options.confidence > 0 && options.confidence < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("confidence: ", options.confidence, " is not between 0 and 1; 0.95 is usual"));
  }
  if (options.huber_delta && !(std::isfinite(*options.huber_delta) && *options.huber_delta > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("huber_delta: ", *options.huber_delta, " is not a positive, finite number"));
  }
  for (const double size : options.curve_sizes) {
    if (!std::isfinite(size) || size <= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("curve_sizes: ", size, " is not a positive, finite number"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckData(const Law& law, const std::vector<double>& sizes,
                       const std::vector<double>& losses) {
  if (sizes.size() < law.parameters.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("observations: ", sizes.size(), " distinct size", sizes.size() == 1 ? "" : "s",
                     "; the form ", law.name, " (", law.formula, ") needs at least ",
                     law.parameters.size(), ", and 4 or more to be worth reading"));
  }
  const auto [smallest, largest] = std::minmax_element(losses.begin(), losses.end());
  if (*largest - *smallest <= 1e-12 * *largest) {
    return absl::InvalidArgumentError(
        absl::StrCat("observations: the loss is ", *smallest, " at all ", sizes.size(),
                     " sizes; there is no dependence on size to fit"));
  }
  return absl::OkStatus();
}

Points MakePoints(const std::vector<double>& sizes, const std::vector<double>& losses) {
  Points points;
  for (const double size : sizes) points.center += std::log(size) / sizes.size();
  for (size_t i = 0; i < sizes.size(); ++i) {
    points.log_size.push_back(std::log(sizes[i]) - points.center);
    points.log_loss.push_back(std::log(losses[i]));
  }
  return points;
}

// A fit in the making: what is fixed for the point fit and all its resamples.
struct Model {
  const Law& law;
  const LossTable& table;
  std::vector<Bound> bounds;
  double huber_delta;
  Theta theta;                    // of the point fit
  double center;                  // of log size
  std::vector<double> log_sizes;  // where the curve is wanted, minus the centre
};

// Huber's delta from the residuals of a least-squares fit, then from those of the fit with that
// delta.
double ChooseDelta(const Law& law, const Points& points, const std::vector<Bound>& bounds,
                   const std::vector<Theta>& starts) {
  double delta = std::numeric_limits<double>::infinity();
  for (int round = 0; round < 2; ++round) {
    const Search search = Minimize(law, points, bounds, delta, starts);
    if (!search.best) break;
    const double scale = RobustScale(Residuals(law, points, search.best->theta),
                                     static_cast<int>(law.parameters.size()));
    delta = std::max(1.345 * scale, kSmallestDelta);
  }
  return std::isfinite(delta) ? delta : kSmallestDelta;
}

// What the jackknife watches: each parameter on the scale of its interval, then log loss along the
// curve.
std::vector<double> Watched(const Model& model, const Theta& theta) {
  std::vector<double> watched = model.law.natural(theta, model.center);
  for (size_t k = 0; k < watched.size(); ++k) {
    if (model.law.parameters[k].scale == IntervalScale::kLog) watched[k] = std::log(watched[k]);
  }
  for (const double log_size : model.log_sizes)
    watched.push_back(model.law.log_loss(theta, log_size));
  return watched;
}

std::optional<std::vector<double>> WatchedWithout(const Model& model, const LeftOut& left_out) {
  const auto losses = model.table.Losses(left_out);
  if (!losses) return std::nullopt;
  const Points points = MakePoints(model.table.sizes(), *losses);
  // Warm, and from the two sides, since the floor's gradient vanishes towards its lower bound.
  std::vector<Theta> starts = {model.theta};
  const std::vector<Theta> grid = model.law.starts(points);
  starts.push_back(grid.front());
  starts.push_back(grid[grid.size() / 2]);
  starts.push_back(grid.back());
  const Search search =
      Minimize(model.law, points, model.law.bounds(points), model.huber_delta, starts);
  if (!search.best) return std::nullopt;
  return Watched(model, search.best->theta);
}

Convergence Report(const Search& search) {
  Convergence report;
  report.starts = search.starts;
  report.converged = static_cast<int>(search.objectives.size());
  report.objective = search.best->objective;
  for (const double objective : search.objectives) {
    const double above = objective - report.objective;
    if (above <= std::max(1e-6 * report.objective, 1e-12)) ++report.at_best;
    report.spread = std::max(report.spread, above);
  }
  return report;
}

double RSquared(const Points& points, const std::vector<double>& residuals) {
  double mean = 0, total = 0, left = 0;
  for (const double y : points.log_loss) mean += y / points.log_loss.size();
  for (const double y : points.log_loss) total += (y - mean) * (y - mean);
  for (const double residual : residuals) left += residual * residual;
  return 1 - left / total;
}

bool IsAtLow(const Model& model, size_t k) {
  return model.theta[k] <= model.bounds[k].low + model.bounds[k].low_margin;
}

bool IsAtHigh(const Model& model, size_t k) {
  return model.theta[k] >= model.bounds[k].high - model.bounds[k].high_margin;
}

// The interval of a parameter from that of the scale on which the jackknife watched it.
void FillInterval(const LawParameter& law, const Uncertainty& uncertainty, double confidence,
                  Parameter& parameter) {
  if (law.scale == IntervalScale::kLog) {
    const Interval log = ConfidenceInterval(std::log(parameter.value), uncertainty, confidence);
    parameter.standard_error = parameter.value * uncertainty.StandardError();
    parameter.interval = Interval{std::exp(log.low), std::exp(log.high)};
  } else {
    const Interval interval = ConfidenceInterval(parameter.value, uncertainty, confidence);
    parameter.standard_error = uncertainty.StandardError();
    parameter.interval = Interval{std::max(0.0, interval.low), interval.high};
  }
}

void FillParameters(const Model& model, const JackknifeResult& jackknife, Fit& fit) {
  const std::vector<double> values = model.law.natural(model.theta, model.center);
  for (size_t k = 0; k < values.size(); ++k) {
    Parameter parameter;
    parameter.name = model.law.parameters[k].name;
    parameter.value = values[k];
    parameter.at_bound = IsAtLow(model, k) || IsAtHigh(model, k);
    if (model.law.parameters[k].low_means_zero && IsAtLow(model, k)) parameter.value = 0;
    fit.parameters.push_back(std::move(parameter));
  }
  // With one parameter held at a bound the others look far surer than they are: in simulations with
  // a floor that the data did not show, the interval of alpha held the truth in 0-86 % of such
  // fits.
  const bool free = std::none_of(fit.parameters.begin(), fit.parameters.end(),
                                 [](const Parameter& parameter) { return parameter.at_bound; });
  if (!free || jackknife.uncertainty.empty()) return;
  for (size_t k = 0; k < values.size(); ++k) {
    FillInterval(model.law.parameters[k], jackknife.uncertainty[k], fit.confidence,
                 fit.parameters[k]);
  }
}

// The interval of the i-th point of the curve.
std::optional<Interval> CurveInterval(const Model& model, const JackknifeResult& jackknife,
                                      size_t i, double confidence) {
  if (jackknife.uncertainty.empty()) return std::nullopt;
  const Interval log =
      ConfidenceInterval(model.law.log_loss(model.theta, model.log_sizes[i]),
                         jackknife.uncertainty[model.law.parameters.size() + i], confidence);
  return Interval{std::exp(log.low), std::exp(log.high)};
}

void FillCurve(const Model& model, const Points& points, const JackknifeResult& jackknife,
               const std::vector<double>& curve_sizes, Fit& fit) {
  const auto fitted = [&](size_t i) {
    return std::exp(model.law.log_loss(model.theta, model.log_sizes[i]));
  };
  const size_t sizes = points.log_size.size();
  const std::vector<double> residuals = Residuals(model.law, points, model.theta);
  for (size_t i = 0; i < sizes; ++i) {
    fit.points.push_back({.size = model.table.sizes()[i],
                          .loss = std::exp(points.log_loss[i]),
                          .fitted = fitted(i),
                          .interval = CurveInterval(model, jackknife, i, fit.confidence),
                          .residual = residuals[i]});
  }
  for (size_t i = 0; i < curve_sizes.size(); ++i) {
    fit.curve.push_back({.size = curve_sizes[i],
                         .loss = fitted(sizes + i),
                         .interval = CurveInterval(model, jackknife, sizes + i, fit.confidence)});
  }
  fit.r_squared = RSquared(points, residuals);
}

void WarnOfData(const LossTable& table, Fit& fit) {
  const auto warn = [&](WarningKind kind, std::string message) {
    fit.warnings.push_back({kind, std::move(message)});
  };
  const size_t sizes = table.sizes().size();
  if (sizes < 4) {
    warn(WarningKind::kFewSizes,
         absl::StrCat("only ", sizes, " distinct sizes for ", fit.parameters.size(),
                      " parameters: nothing is left to test the law by, so R2 says nothing and the "
                      "floor E rests on the "
                      "form alone; run 4 sizes or more"));
  }
  if (!table.dropped_subjects().empty()) {
    warn(WarningKind::kDroppedSubjects,
         absl::StrCat("left out, since they were not tested at every size: ",
                      absl::StrJoin(table.dropped_subjects(), ", ")));
  }
  if (table.clusters().subjects() < kMinSubjects) {
    warn(WarningKind::kFewSubjects,
         absl::StrCat("no intervals: ", table.clusters().subjects(), " subject",
                      table.clusters().subjects() == 1 ? "" : "s", ", and at least ", kMinSubjects,
                      " are needed to tell how much they differ"));
  } else if (!table.clusters().HasRepeatedTraining()) {
    warn(WarningKind::kOneSeed,
         "one seed: the intervals leave out how much training itself varies, and are too narrow; "
         "run 2 seeds or more");
  }
}

void WarnOfFit(const Model& model, Fit& fit) {
  const auto warn = [&](WarningKind kind, std::string message) {
    fit.warnings.push_back({kind, std::move(message)});
  };
  for (size_t k = 0; k < fit.parameters.size(); ++k) {
    const Parameter& parameter = fit.parameters[k];
    if (!parameter.at_bound) continue;
    const LawParameter& law = model.law.parameters[k];
    warn(
        WarningKind::kAtBound,
        absl::StrCat(
            parameter.name, " = ", parameter.value, " sits at the ",
            IsAtLow(model, k) ? "lower" : "upper", " end of what is searched",
            IsAtLow(model, k) ? law.at_low : law.at_high,
            ": the parameters have no intervals, since each would hold only if this one is right"));
  }
  const double fall = std::log(fit.points.front().fitted / fit.points.back().fitted);
  if (fall < kLeastFall) {
    warn(WarningKind::kNotFalling,
         absl::StrCat(
             "the loss does not fall with size: the law is fit only for losses that do (fitted ",
             fit.points.front().fitted, " at the smallest size, ", fit.points.back().fitted,
             " at the largest)"));
  }
  const Convergence& report = fit.convergence;
  if (2 * report.converged < report.starts) {
    warn(WarningKind::kNoConvergence, absl::StrCat("only ", report.converged, " of ", report.starts,
                                                   " starts converged: do not trust this fit"));
  }
  if (report.resamples_failed > 0) {
    warn(WarningKind::kNoConvergence,
         absl::StrCat("no intervals: ", report.resamples_failed, " of ", report.resamples,
                      " refits without a subject or a seed were not possible"));
  }
}

}  // namespace

const Parameter* Fit::Find(const std::string& name) const {
  for (const Parameter& parameter : parameters) {
    if (parameter.name == name) return &parameter;
  }
  return nullptr;
}

bool Fit::HasWarning(WarningKind kind) const {
  return std::any_of(warnings.begin(), warnings.end(),
                     [&](const Warning& warning) { return warning.kind == kind; });
}

absl::StatusOr<Fit> FitLaw(const std::vector<Observation>& observations,
                           const FitOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckOptions(options));
  RETORT_ASSIGN_OR_RETURN(const LossTable table, LossTable::Make(observations));
  const Law& law = LawOf(options.form);
  const std::vector<double> losses = *table.Losses({});  // the table has a subject at every size
  RETORT_RETURN_IF_ERROR(CheckData(law, table.sizes(), losses));

  const Points points = MakePoints(table.sizes(), losses);
  const std::vector<Bound> bounds = law.bounds(points);
  const std::vector<Theta> starts = law.starts(points);
  const double delta =
      options.huber_delta ? *options.huber_delta : ChooseDelta(law, points, bounds, starts);
  const Search search = Minimize(law, points, bounds, delta, starts);
  if (!search.best) {
    return absl::AbortedError(absl::StrCat("the fit of ", law.name, " converged from none of ",
                                           search.starts,
                                           " starts; look at the losses for outliers"));
  }

  Model model{law, table, bounds, delta, search.best->theta, points.center, points.log_size};
  for (const double size : options.curve_sizes)
    model.log_sizes.push_back(std::log(size) - points.center);
  JackknifeResult jackknife;
  if (table.clusters().subjects() >= kMinSubjects) {
    const int count = static_cast<int>(law.parameters.size() + model.log_sizes.size());
    jackknife = Jackknife(table.clusters(), count, LeaveFoldsOut::kNo,
                          [&](const LeftOut& left_out) { return WatchedWithout(model, left_out); });
  }

  Fit fit;
  fit.form = options.form;
  fit.huber_delta = delta;
  fit.confidence = options.confidence;
  fit.subjects = table.clusters().subjects();
  fit.seeds = table.clusters().seeds();
  fit.convergence = Report(search);
  fit.convergence.resamples = jackknife.resamples;
  fit.convergence.resamples_failed = jackknife.failed;
  FillParameters(model, jackknife, fit);
  FillCurve(model, points, jackknife, options.curve_sizes, fit);
  WarnOfData(table, fit);
  WarnOfFit(model, fit);
  return fit;
}

}  // namespace retort::scaling
