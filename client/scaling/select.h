// Which form of law the data speak for, and whether they can tell forms apart at all. Pure.
#ifndef RETORT_CLIENT_SCALING_SELECT_H_
#define RETORT_CLIENT_SCALING_SELECT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/scaling/fit.h"

namespace retort::scaling {

// One form that was tried. `exp-log` never is: its curves are those of `power`.
struct Candidate {
  Form form = Form::kPower;
  std::optional<double> aicc;  // Fit::aicc
  // Root of the mean squared log residual at the largest sizes, of the law fitted to the others.
  // Unset where too few others are left.
  std::optional<double> held_out_error;
  std::string problem;  // why it could not be fitted; empty if it could
};

struct Selection {
  Form form = Form::kPower;  // the choice
  std::vector<Candidate> candidates;
  int held_out = 0;  // sizes
  // AICc and the held-out sizes agree on the form, and no other comes within 2 of its AICc (Burnham
  // & Anderson 2002, section 2.6). If not, `reason` says why, for people.
  bool told_apart = false;
  std::string reason;
};

// Chooses among `power`, `exp` and `log`, or, where observations have two sizes, `power2` and
// `distill`: the smallest AICc; with too few sizes for that, the smallest held-out error; with too
// few for that, the first. options.form is not looked at. Held out are the largest fifth of the
// (first) sizes, at least one. Errors as FitLaw's of the first form, if no form can be fitted.
absl::StatusOr<Selection> SelectForm(const std::vector<Observation>& observations,
                                     const FitOptions& options);

struct SelectedFit {
  Fit fit;  // warns if forms cannot be told apart
  Selection selection;
};

// Selects, then fits with all that options ask for.
absl::StatusOr<SelectedFit> FitSelectedForm(const std::vector<Observation>& observations,
                                            const FitOptions& options);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_SELECT_H_
