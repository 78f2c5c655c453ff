// The objective of all fits and its minimisation: the weighted sum (never the mean: a small scale
// stops optimisers early) of Huber(log fitted - log loss) over the points, by Levenberg-Marquardt
// in Ceres with automatic derivatives.
#ifndef RETORT_CLIENT_SCALING_OBJECTIVE_H_
#define RETORT_CLIENT_SCALING_OBJECTIVE_H_

#include <optional>
#include <vector>

#include "client/scaling/forms.h"

namespace retort::scaling {

struct Minimum {
  Theta theta;
  double objective = 0;
};

// What all starts came to.
struct Search {
  std::optional<Minimum> best;     // unset if none converged; the first of equals
  std::vector<double> objectives;  // of those that converged
  int starts = 0;
};

// Minimises from each start, within `bounds`, on so many threads, on which the answer does not
// depend. `huber_delta` is positive, and infinite for least squares.
Search Minimize(const Law& law, const Points& points, const std::vector<Bound>& bounds,
                double huber_delta, const std::vector<Theta>& starts, int threads = 1);

// log fitted - log loss of each point.
std::vector<double> Residuals(const Law& law, const Points& points, const Theta& theta);

// 1.4826 * the median of |residual|: the standard deviation of normal residuals, hardly moved by
// outliers. Enlarged for the `parameters` that were fitted where there are more residuals than
// those.
double RobustScale(std::vector<double> residuals, int parameters);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_OBJECTIVE_H_
