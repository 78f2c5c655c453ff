// One fit without its uncertainty: the checks, the search, and how well the law fits.
#ifndef RETORT_CLIENT_SCALING_POINT_FIT_H_
#define RETORT_CLIENT_SCALING_POINT_FIT_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/scaling/forms.h"
#include "client/scaling/loss_table.h"
#include "client/scaling/objective.h"

namespace retort::scaling {

struct PointFit {
  Search search;
  Theta theta;
  std::vector<Bound> bounds;
  double huber_delta = 0;
};

// INVALID_ARGUMENT with the option, its value and what would be right.
absl::Status CheckOptions(const FitOptions& options);

// As FitLaw, of which this is the first half.
absl::StatusOr<PointFit> FitPoints(const Law& law, const LossTable& table,
                                   const FitOptions& options);

// The minimum of resampled points, from the minimum of all and, so that none hangs at a bound where
// the gradient vanishes, from `more` of the form's own starts. Nothing if none converged.
std::optional<Theta> Refit(const Law& law, const Points& points, const PointFit& whole, int more);

// How well the law fits at the distinct sizes.
struct Goodness {
  std::vector<double> log_loss;   // per size: mean over its points
  std::vector<double> residuals;  // per size: mean of log fitted - log loss over its points
  double r_squared = 0;           // of log loss
  std::optional<double> aicc;     // unset with too few sizes
};
Goodness GoodnessOf(const Law& law, const LossTable& table, const Theta& theta);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_POINT_FIT_H_
