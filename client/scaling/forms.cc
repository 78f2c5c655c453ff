#include "client/scaling/forms.h"

#include <ceres/autodiff_cost_function.h>

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace retort::scaling {
namespace {

template <typename T>
T LogSumExp(const T& a, const T& b) {
  using std::exp;
  using std::log;
  return a > b ? a + log(T(1) + exp(b - a)) : b + log(T(1) + exp(a - b));
}

// L = E + A * N^-alpha with theta = (log E, log A', alpha), A' the second term at the centre of the
// sizes.
struct Power {
  static constexpr int kParameters = 3;
  static constexpr double kSmallestAlpha = 1e-3;
  static constexpr double kLargestAlpha = 10;
  // What is below this share of the smallest loss is no part of it.
  static constexpr double kLeastShare = 1e-4;

  template <typename T>
  static T LogLoss(const T* theta, double log_size) {
    return LogSumExp(theta[0], T(theta[1] - theta[2] * log_size));
  }

  static std::vector<double> Natural(const Theta& theta, double center) {
    return {std::exp(theta[0]), std::exp(theta[1] + theta[2] * center), theta[2]};
  }

  static std::vector<Bound> Bounds(const Points& points) {
    const auto [smallest, largest] =
        std::minmax_element(points.log_loss.begin(), points.log_loss.end());
    const auto [first, last] = std::minmax_element(points.log_size.begin(), points.log_size.end());
    const double least = *smallest + std::log(kLeastShare);
    // A steep law that matters at the smallest size only is tiny at the centre.
    const double reach = kLargestAlpha * std::max(-*first, *last);
    // The objective hardly changes once E is small, so a search may stop short of the bound: a
    // floor under a thousandth of the smallest loss is none.
    return {
        {.low = least, .high = *largest, .low_margin = std::log(10), .high_margin = 1e-3},
        {.low = least - reach, .high = *largest + 1, .low_margin = 1e-3, .high_margin = 1e-3},
        {.low = kSmallestAlpha, .high = kLargestAlpha, .low_margin = 1e-3, .high_margin = 1e-3},
    };
  }

  static std::vector<Theta> Starts(const Points& points) {
    const double smallest = *std::min_element(points.log_loss.begin(), points.log_loss.end());
    double mean_loss = 0;
    for (const double log_loss : points.log_loss)
      mean_loss += std::exp(log_loss) / points.log_loss.size();
    std::vector<Theta> starts;
    for (const double share : {1e-3, 0.2, 0.5, 0.8, 0.95}) {
      for (const double alpha : {0.03, 0.1, 0.2, 0.4, 0.8, 1.6}) {
        const double floor = share * std::exp(smallest);
        starts.push_back(
            {std::log(floor), std::log(std::max(mean_loss - floor, 1e-3 * mean_loss)), alpha});
      }
    }
    return starts;
  }
};

// What ceres::AutoDiffCostFunction calls.
template <typename F>
struct Residual {
  double log_size;
  double log_loss;

  template <typename T>
  bool operator()(const T* theta, T* residual) const {
    residual[0] = F::template LogLoss<T>(theta, log_size) - log_loss;
    return true;
  }
};

template <typename F>
Law MakeLaw(Form form, std::string name, std::string formula,
            std::vector<LawParameter> parameters) {
  return {.form = form,
          .name = std::move(name),
          .formula = std::move(formula),
          .parameters = std::move(parameters),
          .log_loss = [](const Theta& theta,
                         double x) { return F::template LogLoss<double>(theta.data(), x); },
          .residual = [](double log_size, double log_loss) -> ceres::CostFunction* {
            return new ceres::AutoDiffCostFunction<Residual<F>, 1, F::kParameters>(
                new Residual<F>{log_size, log_loss});
          },
          .natural = &F::Natural,
          .bounds = &F::Bounds,
          .starts = &F::Starts};
}

}  // namespace

const std::vector<Law>& Laws() {
  static const auto* const laws = new std::vector<Law>{
      MakeLaw<Power>(
          Form::kPower, "power", "L = E + A * N^-alpha",
          {{.name = "E",
            .scale = IntervalScale::kNaturalFromZero,
            .low_means_zero = true,
            .at_low =
                ", the data show no floor, and alpha is the smallest exponent that they allow",
            .at_high = ", nothing is left for size to explain"},
           {.name = "A",
            .scale = IntervalScale::kLog,
            .low_means_zero = false,
            .at_low = ", size explains nothing",
            .at_high = ", the fit has run away"},
           {.name = "alpha",
            .scale = IntervalScale::kLog,
            .low_means_zero = false,
            .at_low = ", the loss hardly depends on size or falls too slowly for this form",
            .at_high = ", the loss drops once and is then flat"}}),
  };
  return *laws;
}

const Law& LawOf(Form form) {
  const std::vector<Law>& laws = Laws();
  return *std::find_if(laws.begin(), laws.end(), [&](const Law& law) { return law.form == form; });
}

std::string FormName(Form form) { return LawOf(form).name; }

std::string FormFormula(Form form) { return LawOf(form).formula; }

absl::StatusOr<Form> ParseForm(const std::string& name) {
  std::string known;
  for (const Law& law : Laws()) {
    if (law.name == name) return law.form;
    absl::StrAppend(&known, known.empty() ? "" : ", ", law.name);
  }
  return absl::InvalidArgumentError(absl::StrCat("form: '", name, "' is unknown; known: ", known));
}

}  // namespace retort::scaling
