// The smallest network that keeps a loss, with confidence. Pure.
#ifndef RETORT_CLIENT_SCALING_SMALLEST_H_
#define RETORT_CLIENT_SCALING_SMALLEST_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "client/scaling/fit.h"

namespace retort::scaling {

struct Smallest {
  // The smallest size at which the law's loss is at most the one asked for, with the confidence
  // asked for (one-sided). Unset if there is none up to ten times the largest size of the data.
  std::optional<double> size;
  bool beyond_data = false;  // `size` is larger than every size of the data
  // The smallest size of the data that keeps it likewise.
  std::optional<double> measured_size;
  // Where the law itself, without regard to its uncertainty, comes down to that loss.
  std::optional<double> without_confidence;
};

// Of the law options.form, of one size variable. INVALID_ARGUMENT as FitLaw, and for a loss that is
// not positive or a confidence not above 0.5 and below 1. FAILED_PRECONDITION where the fit has no
// intervals, with the reason.
absl::StatusOr<Smallest> SmallestSize(const std::vector<Observation>& observations,
                                      const FitOptions& options, double loss, double confidence);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_SMALLEST_H_
