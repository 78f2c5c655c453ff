// The table of forms: everything that is peculiar to one form of law. Objective, search and
// uncertainty are the same for all.
#ifndef RETORT_CLIENT_SCALING_FORMS_H_
#define RETORT_CLIENT_SCALING_FORMS_H_

#include <ceres/cost_function.h>

#include <string>
#include <vector>

#include "client/scaling/fit.h"

namespace retort::scaling {

// A form's parameters as the search sees them: without units, of order one ("internal"), see
// Law::natural.
using Theta = std::vector<double>;

// The data of a fit: one entry per distinct size.
struct Points {
  std::vector<double> log_size;  // minus `center`, so that parameters hardly depend on each other
  std::vector<double> log_loss;
  double center = 0;  // mean of log size
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
  std::vector<LawParameter> parameters;
  // Fitted log loss.
  double (*log_loss)(const Theta& theta, double log_size);
  // One residual, log fitted - log loss, with automatic derivatives; the caller owns it.
  ceres::CostFunction* (*residual)(double log_size, double log_loss);
  // Parameters in units of the user, in the order of `parameters`.
  std::vector<double> (*natural)(const Theta& theta, double center);
  std::vector<Bound> (*bounds)(const Points& points);
  // The grid of starts.
  std::vector<Theta> (*starts)(const Points& points);
};

// Never null for a value of the enumeration.
const Law& LawOf(Form form);
// All forms, in the order in which they are listed to users.
const std::vector<Law>& Laws();

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_FORMS_H_
