// Fits a scaling law to losses of networks of several sizes, with its uncertainty. Pure: no I/O, no
// clock, no randomness but from a seed.
//
// The forms of law stand in a table (forms.h). The objective is the weighted sum over points of
// Huber(log L_fitted - log L), sums of powers as log-sum-exp (Hoffmann et al., arXiv 2203.15556,
// eq. 3).
//
// A point is a size, and its loss the headline: the mean over subjects of each subject's mean over
// seeds. Of data without subjects each row is a point (PointsAre). Intervals come from leaving out
// one subject and one training at a time (jackknife.h), on the scale of the parameter (forms.h) and
// on log L, or from a clustered bootstrap (bootstrap.h).
#ifndef RETORT_CLIENT_SCALING_FIT_H_
#define RETORT_CLIENT_SCALING_FIT_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/scaling/interval.h"

namespace retort::scaling {

// One network tested on one subject.
struct Observation {
  double size = 0;      // e.g. parameters of the body, or multiply-accumulates; positive
  double loss = 0;      // e.g. the subject's MAE in BPM; positive
  std::string subject;  // cluster; the same for all rows where there are no subjects
  int64_t seed = 0;     // of the training
  int fold = 0;         // of the split: with the seed, the training cluster (jackknife.h)
  // For forms of two size variables: the other one, e.g. windows to learn from, or the teacher's
  // loss; positive.
  double size2 = 0;
};

// A size, or the two sizes of a form that has two.
struct Size {
  Size(double size_ = 0, double size2_ = 0) : size(size_), size2(size2_) {}  // NOLINT: implicit
  double size;
  double size2;  // 0 where there is none

  friend auto operator<=>(const Size&, const Size&) = default;
};

// Forms of laws, as in the table of forms.h.
enum class Form {
  kPower,
  kExp,
  kExpLog,
  kLog,
  kPower2,
  kDistill,
};

// The name that users write (`power`).
std::string FormName(Form form);
// The formula, for people (`L = E + A * N^-alpha`).
std::string FormFormula(Form form);
// 1 or 2.
int SizeVariables(Form form);
// INVALID_ARGUMENT with the known names.
absl::StatusOr<Form> ParseForm(const std::string& name);

// What one point of the fit is.
enum class PointsAre {
  // A size: the mean over subjects of each one's mean over its rows there, over the subjects that
  // have rows at every size.
  kMeans,
  // A row. Subjects are clusters of rows and may have any sizes. Of more than 20,000 rows a size is
  // a point again: their geometric mean, with their number as weight.
  kRows,
};

// Where searches start, and Huber's delta if none is set.
enum class Preset {
  kRobust,      // the form's own grid; delta by the residuals (FitOptions::huber_delta)
  kChinchilla,  // of Hoffmann et al. 2022: delta 1e-3; their grid, 4,500 starts of `power2`, 150 of
                // `power` and `exp-log`; the own grid for forms that are not sums of powers
};

enum class UncertaintyMethod { kNone, kJackknife, kBootstrap };

struct BootstrapOptions {
  int resamples = 1000;  // at least 100
  uint64_t seed = 0;
  int threads = 1;  // at least 1; the answer does not depend on it
};

struct FitOptions {
  Form form = Form::kPower;
  Preset preset = Preset::kRobust;
  PointsAre points_are = PointsAre::kMeans;
  UncertaintyMethod uncertainty = UncertaintyMethod::kJackknife;
  BootstrapOptions bootstrap;  // `threads` also of the starts of the point fit
  // Where Huber's loss turns from quadratic to linear, in units of log L. When unset: 1.345 times a
  // robust scale of the residuals (median absolute deviation, corrected for the parameters fitted),
  // at least 1e-3.
  std::optional<double> huber_delta;
  // Of all intervals; above 0, below 1.
  double confidence = 0.95;
  // Sizes at which Fit::curve is wanted, beside the observed ones (Fit::points).
  std::vector<Size> curve_sizes;
};

// A parameter of the law.
struct Parameter {
  std::string name;  // as in the formula
  double value = 0;  // E, A, B, a and b in the unit of the loss, exponents and kappa without unit
  // Unset under kMinSubjects subjects, and where any parameter of the law is at a bound.
  std::optional<double> standard_error;
  std::optional<Interval> interval;
  // The data pushed it to the edge of what is searched: do not read it as an estimate.
  bool at_bound = false;
};

// The fitted curve at one size.
struct CurvePoint {
  double size = 0;
  double size2 = 0;  // 0 for forms of one
  double loss = 0;   // 0 where the law gives a loss that is not positive: `log` far out
  std::optional<Interval> interval;  // of the mean loss that the law gives, not of a single run
};

// One distinct size of the data.
struct SizePoint {
  double size = 0;
  double size2 = 0;  // 0 for forms of one
  double loss = 0;   // mean over subjects of the mean over seeds; of rows, their geometric mean
  double fitted = 0;
  std::optional<Interval> interval;  // of `fitted`
  double residual = 0;               // log fitted - log loss
};

// How well the minimum is known.
struct Convergence {
  int starts = 0;        // of the point fit
  int converged = 0;     // of them
  int at_best = 0;       // converged to the best objective, within 1e-6 of it or 1e-12
  double objective = 0;  // best: the sum of Huber losses
  double spread = 0;     // worst minus best objective among those that converged
  int resamples = 0;     // refits of the jackknife or bootstrap
  int resamples_failed = 0;
};

enum class WarningKind {
  kFewSizes,           // fewer than 4 distinct sizes: the floor rests on nothing but the form
  kFewSubjects,        // fewer than 6 subjects: no interval
  kOneSeed,            // intervals leave out the randomness of training
  kAtBound,            // a parameter sits at a bound
  kDroppedSubjects,    // subjects that were not tested at every size were left out
  kNotFalling,         // the loss does not fall with size
  kNoConvergence,      // fewer than half of the starts converged, or a refit did not
  kCoverage,           // intervals of this kind hold the truth more or less often than they say
  kIndistinguishable,  // the data do not settle the form (select.h)
};

struct Warning {
  WarningKind kind;
  std::string message;  // a sentence for people
};

struct Fit {
  Form form = Form::kPower;
  std::vector<Parameter> parameters;  // in the order of the formula
  // Of log L at the distinct sizes; 1, and meaningless, with as many parameters as sizes.
  double r_squared = 0;
  // Akaike's criterion with the correction for small samples (Hurvich & Tsai 1989), of log
  // residuals at distinct sizes, the variance counted as a parameter. Unset with fewer than
  // parameters + 3 sizes.
  std::optional<double> aicc;
  double huber_delta = 0;  // the one that was used
  double confidence = 0.95;
  int subjects = 0;
  int seeds = 0;                  // distinct
  std::vector<SizePoint> points;  // ascending size
  std::vector<CurvePoint> curve;  // as FitOptions::curve_sizes
  Convergence convergence;
  std::vector<Warning> warnings;

  // The parameter of that name, or null.
  const Parameter* Find(const std::string& name) const;
  bool HasWarning(WarningKind kind) const;
};

// Fits the law. Groups (methods, teachers) are the caller's to separate. INVALID_ARGUMENT, with the
// row or the field, for: no observations; a size or loss that is not finite and positive; an option
// out of range; fewer distinct sizes than parameters, or than 3 of each size variable (`log`: 2);
// the same loss at every size; no subject tested at every size, of points that are means. ABORTED
// if no start converged. Any number of threads may call it at once.
absl::StatusOr<Fit> FitLaw(const std::vector<Observation>& observations, const FitOptions& options);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_FIT_H_
