// The table of forms: everything that is peculiar to one form of law. Objective, search and
// uncertainty are the same for all.
#ifndef RETORT_CLIENT_SCALING_FORMS_H_
#define RETORT_CLIENT_SCALING_FORMS_H_

#include <ceres/cost_function.h>

#include <optional>
#include <string>
#include <vector>

#include "client/scaling/fit.h"

namespace retort::scaling {

// A form's parameters as the search sees them: without units, of order one ("internal"), see
// Law::natural.
using Theta = std::vector<double>;

// What log sizes are counted from, so that parameters hardly depend on each other: the mean log
// size of the whole sample, the same for all its resamples.
struct Centers {
  double size = 0;
  double size2 = 0;
};

// The data of a fit. All vectors are of one length, but `log_size2`, which is empty for forms of
// one size variable.
struct Points {
  Centers centers;
  std::vector<double> log_size;   // minus its centre
  std::vector<double> log_size2;  // likewise
  std::vector<double> log_loss;
  std::vector<double> weight;  // above 0

  size_t count() const { return log_loss.size(); }
  double LogSize2(size_t i) const { return log_size2.empty() ? 0 : log_size2[i]; }
};

// Where an internal parameter is searched.
struct Bound {
  double low = 0;
  double high = 0;
  double low_margin = 0;   // so near to `low` it counts as there
  double high_margin = 0;  // so near to `high`, likewise
};

// How the interval of a parameter is made.
enum class IntervalScale {
  kLog,              // on its logarithm
  kNatural,          // on itself
  kNaturalFromZero,  // on itself, cut off below 0
};

struct LawParameter {
  std::string name;
  IntervalScale scale;
  bool low_means_zero = false;  // at its lower bound the parameter is reported as 0
  // What it means that the fit ended at the lower or upper bound: a phrase that begins with a
  // comma.
  std::string at_low;
  std::string at_high;
};

// One form. Sizes enter as log size minus the centre.
struct Law {
  Form form;
  std::string name;
  std::string formula;
  int size_variables = 1;
  // The form of which this is another parametrisation, with the same curves; itself otherwise.
  Form same_as;
  // Least number of distinct values of each size variable.
  int least_sizes = 2;
  std::vector<LawParameter> parameters;
  // Fitted log loss; not a number where the law gives a loss that is not positive.
  double (*log_loss)(const Theta& theta, double log_size, double log_size2);
  // All residuals, one for each point, such that half their sum of squares is the objective
  // (objective.h), with automatic derivatives. The caller owns it; `points` must outlive it.
  ceres::CostFunction* (*cost)(const Points& points, double huber_delta);
  // Parameters in units of the user, in the order of `parameters`.
  std::vector<double> (*natural)(const Theta& theta, const Centers& centers);
  std::vector<Bound> (*bounds)(const Points& points);
  // The grid of starts.
  std::vector<Theta> (*starts)(const Points& points);
  // The grid of Hoffmann et al. 2022 (arXiv 2203.15556, appendix D.3), or the part of it that this
  // form has parameters for; null for forms that are not sums of powers.
  std::vector<Theta> (*chinchilla_starts)(const Points& points) = nullptr;
};

// Never null for a value of the enumeration.
const Law& LawOf(Form form);
// All forms, in the order in which they are listed to users.
const std::vector<Law>& Laws();

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_FORMS_H_
