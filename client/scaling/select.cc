#include "client/scaling/select.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/scaling/forms.h"
#include "client/scaling/loss_table.h"
#include "client/scaling/point_fit.h"
#include "common/status.h"

namespace retort::scaling {
namespace {

constexpr double kAiccTie = 2;

// The position of the first held-out size.
size_t FirstHeldOut(const std::vector<Size>& sizes) {
  std::set<double> first;
  for (const Size& size : sizes) first.insert(size.size);
  const size_t count = std::max<size_t>(1, first.size() / 5);
  const double smallest = *std::prev(first.end(), static_cast<int>(count));
  const auto at = std::find_if(sizes.begin(), sizes.end(),
                               [&](const Size& size) { return size.size >= smallest; });
  return at - sizes.begin();
}

std::optional<double> HeldOutError(const Law& law, const LossTable& table, size_t first,
                                   const FitOptions& options) {
  if (first < law.parameters.size()) return std::nullopt;
  const LossTable seen = table.UpTo(first);
  const auto fit = FitPoints(law, seen, options);
  if (!fit.ok()) return std::nullopt;
  const Centers& centers = seen.centers();
  const std::vector<double> losses = GoodnessOf(law, table, fit->theta).log_loss;
  double squares = 0;
  for (size_t i = first; i < table.sizes().size(); ++i) {
    const Size& size = table.sizes()[i];
    const double x2 = law.size_variables == 2 ? std::log(size.size2) - centers.size2 : 0;
    const double fitted = law.log_loss(fit->theta, std::log(size.size) - centers.size, x2);
    squares += (fitted - losses[i]) * (fitted - losses[i]);
  }
  const double error = std::sqrt(squares / static_cast<double>(table.sizes().size() - first));
  // A law that falls below 0 there has failed.
  return std::isfinite(error) ? error : std::numeric_limits<double>::max();
}

Candidate Try(Form form, const LossTable& table, size_t first, const FitOptions& options) {
  Candidate candidate{form, {}, {}, ""};
  const Law& law = LawOf(form);
  const auto fit = FitPoints(law, table, options);
  if (!fit.ok()) {
    candidate.problem = std::string(fit.status().message());
    return candidate;
  }
  candidate.aicc = GoodnessOf(law, table, fit->theta).aicc;
  candidate.held_out_error = HeldOutError(law, table, first, options);
  return candidate;
}

// The candidate that is fitted and has the smallest of that number; null if none has one.
const Candidate* Best(const std::vector<Candidate>& candidates,
                      std::optional<double> Candidate::*number) {
  const Candidate* best = nullptr;
  for (const Candidate& candidate : candidates) {
    if (!(candidate.*number)) continue;
    if (best == nullptr || *(candidate.*number) < *(best->*number)) best = &candidate;
  }
  return best;
}

void Choose(size_t sizes, Selection& selection) {
  std::vector<Candidate> fitted;
  for (const Candidate& candidate : selection.candidates) {
    if (candidate.problem.empty()) fitted.push_back(candidate);
  }
  const Candidate* held_out = Best(fitted, &Candidate::held_out_error);
  const bool has_aicc = std::all_of(fitted.begin(), fitted.end(), [](const Candidate& candidate) {
    return candidate.aicc.has_value();
  });
  if (!has_aicc) {
    selection.form = held_out != nullptr ? held_out->form : fitted.front().form;
    selection.reason =
        absl::StrCat(sizes, " sizes are too few to tell forms apart: ", FormName(selection.form),
                     held_out != nullptr ? " has the smallest error at the held-out largest sizes"
                                         : " is the first of the table");
    return;
  }
  const Candidate* best = Best(fitted, &Candidate::aicc);
  selection.form = best->form;
  std::vector<std::string> rivals;
  for (const Candidate& candidate : fitted) {
    if (candidate.form != best->form && *candidate.aicc - *best->aicc < kAiccTie) {
      rivals.push_back(
          absl::StrFormat("%s (AICc %.1f)", FormName(candidate.form), *candidate.aicc));
    }
  }
  if (!rivals.empty()) {
    selection.reason = absl::StrFormat(
        "the data cannot tell %s (AICc %.1f) from %s, which differ beyond the sizes measured",
        FormName(best->form), *best->aicc, absl::StrJoin(rivals, " and "));
  } else if (held_out != nullptr && held_out->form != best->form) {
    selection.reason = absl::StrFormat(
        "the data do not settle the form: AICc prefers %s, but %s predicts the held-out largest "
        "sizes better (error of log loss %.3f%s)",
        FormName(best->form), FormName(held_out->form), *held_out->held_out_error,
        best->held_out_error ? absl::StrFormat(" against %.3f", *best->held_out_error) : "");
  }
  selection.told_apart = selection.reason.empty();
}

bool HasTwoSizes(const std::vector<Observation>& observations) {
  return std::any_of(observations.begin(), observations.end(),
                     [](const Observation& row) { return row.size2 != 0; });
}

}  // namespace

absl::StatusOr<Selection> SelectForm(const std::vector<Observation>& observations,
                                     const FitOptions& options) {
  const bool two = HasTwoSizes(observations);
  FitOptions checked = options;
  checked.form = two ? Form::kPower2 : Form::kPower;
  RETORT_RETURN_IF_ERROR(CheckOptions(checked));
  RETORT_ASSIGN_OR_RETURN(const LossTable table,
                          LossTable::Make(observations, two ? 2 : 1, options.points_are));
  const size_t first = FirstHeldOut(table.sizes());
  Selection selection;
  selection.held_out = static_cast<int>(table.sizes().size() - first);
  for (const Form form : two ? std::vector<Form>{Form::kPower2, Form::kDistill}
                             : std::vector<Form>{Form::kPower, Form::kExp, Form::kLog}) {
    selection.candidates.push_back(Try(form, table, first, options));
  }
  if (std::none_of(selection.candidates.begin(), selection.candidates.end(),
                   [](const Candidate& candidate) { return candidate.problem.empty(); })) {
    return absl::InvalidArgumentError(selection.candidates.front().problem);
  }
  Choose(table.sizes().size(), selection);
  return selection;
}

absl::StatusOr<SelectedFit> FitSelectedForm(const std::vector<Observation>& observations,
                                            const FitOptions& options) {
  RETORT_ASSIGN_OR_RETURN(Selection selection, SelectForm(observations, options));
  FitOptions chosen = options;
  chosen.form = selection.form;
  RETORT_ASSIGN_OR_RETURN(Fit fit, FitLaw(observations, chosen));
  if (!selection.told_apart)
    fit.warnings.push_back({WarningKind::kIndistinguishable, selection.reason});
  return SelectedFit{std::move(fit), std::move(selection)};
}

}  // namespace retort::scaling
