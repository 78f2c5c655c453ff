// The clustered bootstrap: an option beside the jackknife (jackknife.h), and the way of rows that
// have no subjects and trainings.
//
// Subjects are drawn with replacement, and, crossed with them, the trainings of each fold that has
// several (the "pigeonhole" bootstrap: Owen, Annals of Applied Statistics 1, 2007); a row counts as
// often as its subject times its training. Intervals are expanded percentiles (Hesterberg, The
// American Statistician 69, 2015): the percentiles are taken so far out that for a mean of n
// clusters the interval is as wide as that of Student's t with n - 1 degrees of freedom.
#ifndef RETORT_CLIENT_SCALING_BOOTSTRAP_H_
#define RETORT_CLIENT_SCALING_BOOTSTRAP_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "client/scaling/fit.h"
#include "client/scaling/loss_table.h"

namespace retort::scaling {

struct BootstrapResult {
  // Per resample that succeeded, in their order: the statistics.
  std::vector<std::vector<double>> replicates;
  int clusters = 0;  // subjects
  int resamples = 0;
  int failed = 0;

  // Whether so few failed (at most one in twenty) that the rest speak for all.
  bool IsUsable() const { return resamples > 0 && failed * 20 <= resamples; }
  // Of the statistic at that position; infinite and not-a-number replicates count as they sort.
  Interval IntervalOf(size_t statistic, double confidence) const;
  // The standard deviation of the replicates.
  double StandardErrorOf(size_t statistic) const;
};

// `statistics` of a resample, always the same number of them; nothing if they cannot be computed.
// It is called from options.threads threads at once. The result depends on the seed and not on the
// number of threads.
BootstrapResult Bootstrap(
    const LossTable& table, const BootstrapOptions& options,
    const std::function<std::optional<std::vector<double>>(const ClusterWeights&)>& statistics);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_BOOTSTRAP_H_
