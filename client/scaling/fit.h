// Fits a scaling law to losses of networks of several sizes, with its uncertainty. Pure: no I/O, no
// clock, no randomness.
//
// The form `power` is L = E + A * N^-alpha (Hoffmann et al., arXiv 2203.15556, eq. 2, with one size
// variable). The objective is the sum over sizes of Huber(log L_fitted - log L), L_fitted as the
// log-sum-exp of (log E, log A - alpha log N).
//
// A size's loss is the headline: the mean over subjects of each subject's mean over seeds.
// Intervals come from leaving out one subject and one training at a time (jackknife.h), on log
// alpha, log A, log L, and on E itself, which may be zero.
#ifndef RETORT_CLIENT_SCALING_FIT_H_
#define RETORT_CLIENT_SCALING_FIT_H_

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
};

// Forms of laws, as in the table of forms.h.
enum class Form {
  kPower,
};

// The name that users write (`power`).
std::string FormName(Form form);
// The formula, for people (`L = E + A * N^-alpha`).
std::string FormFormula(Form form);
// INVALID_ARGUMENT with the known names.
absl::StatusOr<Form> ParseForm(const std::string& name);

struct FitOptions {
  Form form = Form::kPower;
  // Where Huber's loss turns from quadratic to linear, in units of log L. When unset: 1.345 times a
  // robust scale of the residuals (median absolute deviation, corrected for the parameters fitted),
  // at least 1e-3.
  std::optional<double> huber_delta;
  // Of all intervals; above 0, below 1.
  double confidence = 0.95;
  // Sizes at which Fit::curve is wanted, beside the observed ones (Fit::points).
  std::vector<double> curve_sizes;
};

// A parameter of the law.
struct Parameter {
  std::string name;  // `E`, `A`, `alpha`
  double value = 0;  // E and A in the unit of the loss, alpha without unit
  // Unset under kMinSubjects subjects, and where any parameter of the law is at a bound.
  std::optional<double> standard_error;
  std::optional<Interval> interval;
  // The data pushed it to the edge of what is searched: do not read it as an estimate.
  bool at_bound = false;
};

// The fitted curve at one size.
struct CurvePoint {
  double size = 0;
  double loss = 0;
  std::optional<Interval> interval;  // of the mean loss that the law gives, not of a single run
};

// One distinct size of the data.
struct SizePoint {
  double size = 0;
  double loss = 0;  // mean over subjects of the mean over seeds
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
  int resamples = 0;     // refits of the jackknife
  int resamples_failed = 0;
};

enum class WarningKind {
  kFewSizes,         // fewer than 4 distinct sizes: the floor rests on nothing but the form
  kFewSubjects,      // fewer than 6 subjects: no interval
  kOneSeed,          // intervals leave out the randomness of training
  kAtBound,          // a parameter sits at a bound
  kDroppedSubjects,  // subjects that were not tested at every size were left out
  kNotFalling,       // the loss does not fall with size
  kNoConvergence,    // fewer than half of the starts converged, or a refit did not
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

// Fits the law. Rows of the same (size, subject, seed) are averaged; groups (methods, teachers) are
// the caller's to separate. INVALID_ARGUMENT, with the row or the field, for: no observations; a
// size or loss that is not finite and positive; an option out of range; fewer distinct sizes than
// parameters; the same loss at every size; no subject tested at every size. ABORTED if no start
// converged. Any number of threads may call it at once.
absl::StatusOr<Fit> FitLaw(const std::vector<Observation>& observations, const FitOptions& options);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_FIT_H_
