// The uncertainty of everything in this folder: a jackknife over two crossed kinds of clusters,
// subjects and seeds.
//
// The variance is the sum of the delete-one-subject and the delete-one-seed jackknife variances
// (Efron & Stein 1981, for one kind of cluster); what both kinds share is counted twice, which errs
// to the wide side. The interval is estimate +- t * standard error, with Satterthwaite's degrees of
// freedom for such a sum, at most subjects - 1.
#ifndef RETORT_CLIENT_SCALING_JACKKNIFE_H_
#define RETORT_CLIENT_SCALING_JACKKNIFE_H_

#include <functional>
#include <optional>
#include <vector>

#include "client/scaling/interval.h"

namespace retort::scaling {

// What a resample lacks: one subject, one seed, or (both unset) nothing.
struct LeftOut {
  std::optional<int> subject;  // 0..subjects-1
  std::optional<int> seed;     // 0..seeds-1
};

// Statistics of the data without `left_out`, always the same number of them; nothing if they cannot
// be computed.
using Statistics = std::function<std::optional<std::vector<double>>(const LeftOut& left_out)>;

// Of one statistic.
struct Uncertainty {
  double standard_error = 0;
  double degrees_of_freedom = 0;
};

struct JackknifeResult {
  std::vector<Uncertainty> uncertainty;  // one per statistic; empty if any resample failed
  int resamples = 0;
  int failed = 0;
};

// Leaves out each subject and, if there are at least two, each seed in turn. `subjects` is at least
// 2, `count` the number of statistics.
JackknifeResult Jackknife(int subjects, int seeds, int count, const Statistics& statistics);

// Quantile of Student's t distribution; `probability` above 0 and below 1, `degrees_of_freedom`
// positive, not necessarily whole.
double StudentTQuantile(double probability, double degrees_of_freedom);

// Probability that |t| exceeds |`t`|.
double StudentTTwoSidedP(double t, double degrees_of_freedom);

// estimate +- half the width for this confidence.
Interval ConfidenceInterval(double estimate, const Uncertainty& uncertainty, double confidence);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_JACKKNIFE_H_
