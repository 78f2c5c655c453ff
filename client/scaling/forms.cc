#include "client/scaling/forms.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/scaling/robust_cost.h"

namespace retort::scaling {
namespace {

// What is below this share of the smallest loss is no part of it.
constexpr double kLeastShare = 1e-4;

template <typename T>
T LogSumExp(const T& a, const T& b) {
  using std::exp;
  using std::log;
  return a > b ? a + log(T(1) + exp(b - a)) : b + log(T(1) + exp(a - b));
}

struct Range {
  double low = 0;
  double high = 0;

  // The larger distance of its ends from the centre, which is 0.
  double Reach() const { return std::max(-low, high); }
};

Range RangeOf(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {*low, *high};
}

double MeanLoss(const Points& points) {
  double mean = 0;
  for (const double log_loss : points.log_loss) {
    mean += std::exp(log_loss) / static_cast<double>(points.count());
  }
  return mean;
}

// Log of the floor E. The objective hardly changes once E is small, so a search may stop short of
// the bound: a floor under a thousandth of the smallest loss is none.
Bound FloorBound(const Points& points) {
  const Range loss = RangeOf(points.log_loss);
  return {.low = loss.low + std::log(kLeastShare),
          .high = loss.high,
          .low_margin = std::log(10),
          .high_margin = 1e-3};
}

constexpr Bound kExponentBound = {.low = 1e-3, .high = 10, .low_margin = 1e-3, .high_margin = 1e-3};

// Log of a term A * N^-alpha at the centre. A steep term that matters at the smallest size only is
// tiny there.
Bound TermBound(const Points& points, const std::vector<double>& log_size) {
  const Range loss = RangeOf(points.log_loss);
  return {.low = loss.low + std::log(kLeastShare) - kExponentBound.high * RangeOf(log_size).Reach(),
          .high = loss.high + 1,
          .low_margin = 1e-3,
          .high_margin = 1e-3};
}

// Floors to start from: shares of the smallest loss.
std::vector<double> FloorStarts(const Points& points, const std::vector<double>& shares) {
  std::vector<double> floors;
  for (const double share : shares)
    floors.push_back(share * std::exp(RangeOf(points.log_loss).low));
  return floors;
}

// L = E + A * N^-alpha with theta = (log E, log A', alpha), A' the second term at the centre.
struct Power {
  static constexpr int kParameters = 3;

  template <typename T>
  static T LogLoss(const T* theta, double x, double /*x2*/) {
    return LogSumExp(theta[0], T(theta[1] - theta[2] * x));
  }

  static std::vector<double> Natural(const Theta& theta, const Centers& centers) {
    return {std::exp(theta[0]), std::exp(theta[1] + theta[2] * centers.size), theta[2]};
  }

  static std::vector<Bound> Bounds(const Points& points) {
    return {FloorBound(points), TermBound(points, points.log_size), kExponentBound};
  }

  static std::vector<Theta> Starts(const Points& points) {
    const double mean = MeanLoss(points);
    std::vector<Theta> starts;
    for (const double floor : FloorStarts(points, {1e-3, 0.2, 0.5, 0.8, 0.95})) {
      for (const double alpha : {0.03, 0.1, 0.2, 0.4, 0.8, 1.6}) {
        starts.push_back({std::log(floor), std::log(std::max(mean - floor, 1e-3 * mean)), alpha});
      }
    }
    return starts;
  }

  static std::vector<Theta> ChinchillaStarts(const Points& points) {
    std::vector<Theta> starts;
    for (const double alpha : {0.0, 0.5, 1.0, 1.5, 2.0}) {
      for (const double e : {-1.0, -0.5, 0.0, 0.5, 1.0}) {
        for (const double a : {0.0, 5.0, 10.0, 15.0, 20.0, 25.0}) {
          starts.push_back({e, a - alpha * points.centers.size, alpha});
        }
      }
    }
    return starts;
  }
};

// The same curves by k = alpha * ln 10.
struct ExpLog : Power {
  static std::vector<double> Natural(const Theta& theta, const Centers& centers) {
    std::vector<double> natural = Power::Natural(theta, centers);
    natural[2] *= std::log(10);
    return natural;
  }
};

// L = E + A * exp(-k * N) with theta = (log E, log A, log k'), k' = k times the size at the centre.
struct Exp {
  static constexpr int kParameters = 3;
  // Of k * N at the smallest size: beyond it nothing of the term is left anywhere.
  static constexpr double kSteepest = 20;
  // Of k * N at the largest size: below it the term is a straight line.
  static constexpr double kFlattest = 1e-3;

  template <typename T>
  static T LogLoss(const T* theta, double x, double /*x2*/) {
    using std::exp;
    return LogSumExp(theta[0], T(theta[1] - exp(theta[2] + x)));
  }

  static std::vector<double> Natural(const Theta& theta, const Centers& centers) {
    return {std::exp(theta[0]), std::exp(theta[1]), std::exp(theta[2] - centers.size)};
  }

  static std::vector<Bound> Bounds(const Points& points) {
    const Range x = RangeOf(points.log_size);
    const Range loss = RangeOf(points.log_loss);
    return {FloorBound(points),
            {.low = loss.low + std::log(kLeastShare),
             .high = loss.high + kSteepest + 1,
             .low_margin = 1e-3,
             .high_margin = 1e-3},
            {.low = std::log(kFlattest) - x.high,
             .high = std::log(kSteepest) - x.low,
             .low_margin = 1e-2,
             .high_margin = 1e-3}};
  }

  static std::vector<Theta> Starts(const Points& points) {
    constexpr int kSteps = 7;
    const Range x = RangeOf(points.log_size);
    const double largest = std::exp(RangeOf(points.log_loss).high);
    std::vector<Theta> starts;
    for (const double floor : FloorStarts(points, {1e-3, 0.5, 0.8, 0.95})) {
      for (int i = 0; i < kSteps; ++i) {
        // The term falls to 1/e at this size.
        const double at = x.low + i * (x.high - x.low) / (kSteps - 1);
        const double drop = std::max(largest - floor, 1e-3 * largest);
        starts.push_back({std::log(floor), std::log(drop) + std::exp(x.low - at), -at});
      }
    }
    return starts;
  }
};

// L = a - b * log N with theta = (log L', r): L' the loss at the centre, r = b / L'. Within the
// bounds of r the loss is positive at every size of the data.
struct Log {
  static constexpr int kParameters = 2;

  template <typename T>
  static T LogLoss(const T* theta, double x, double /*x2*/) {
    using std::log;
    return theta[0] + log(T(1) - theta[1] * x);
  }

  static std::vector<double> Natural(const Theta& theta, const Centers& centers) {
    const double b = std::exp(theta[0]) * theta[1];
    return {std::exp(theta[0]) + b * centers.size, b};
  }

  static std::vector<Bound> Bounds(const Points& points) {
    constexpr double kInside = 1 - 1e-6;
    const Range x = RangeOf(points.log_size);
    const Range loss = RangeOf(points.log_loss);
    const double low = kInside / x.low, high = kInside / x.high;
    return {{.low = loss.low - 5, .high = loss.high + 5, .low_margin = 1e-3, .high_margin = 1e-3},
            {.low = low, .high = high, .low_margin = -1e-3 * low, .high_margin = 1e-3 * high}};
  }

  static std::vector<Theta> Starts(const Points& points) {
    const double largest = RangeOf(points.log_size).high;
    std::vector<Theta> starts;
    for (const double left : {1.2, 0.9, 0.6, 0.3, 0.1}) {  // of the loss, at the largest size
      starts.push_back({std::log(MeanLoss(points)), (1 - left) / largest});
    }
    return starts;
  }
};

// L = E + A * N^-alpha + B * M^-beta with theta = (log E, log A', alpha, log B', beta), A' and B'
// the terms at the centre.
struct Power2 {
  static constexpr int kParameters = 5;

  template <typename T>
  static T LogLoss(const T* theta, double x, double x2) {
    return LogSumExp(LogSumExp(theta[0], T(theta[1] - theta[2] * x)), T(theta[3] - theta[4] * x2));
  }

  static std::vector<double> Natural(const Theta& theta, const Centers& centers) {
    return {std::exp(theta[0]), std::exp(theta[1] + theta[2] * centers.size), theta[2],
            std::exp(theta[3] + theta[4] * centers.size2), theta[4]};
  }

  static std::vector<Bound> Bounds(const Points& points) {
    return {FloorBound(points), TermBound(points, points.log_size), kExponentBound,
            TermBound(points, points.log_size2), kExponentBound};
  }

  static std::vector<Theta> Starts(const Points& points) {
    const double mean = MeanLoss(points);
    std::vector<Theta> starts;
    for (const double floor : FloorStarts(points, {1e-3, 0.5, 0.9})) {
      const double terms = std::max(mean - floor, 1e-3 * mean);
      for (const double share : {0.2, 0.8}) {
        for (const double alpha : {0.1, 0.4, 1.2}) {
          for (const double beta : {0.1, 0.4, 1.2}) {
            starts.push_back({std::log(floor), std::log(share * terms), alpha,
                              std::log((1 - share) * terms), beta});
          }
        }
      }
    }
    return starts;
  }

  // All 4,500.
  static std::vector<Theta> ChinchillaStarts(const Points& points) {
    std::vector<Theta> starts;
    for (const Theta& one : Power::ChinchillaStarts(points)) {
      for (const double beta : {0.0, 0.5, 1.0, 1.5, 2.0}) {
        for (const double b : {0.0, 5.0, 10.0, 15.0, 20.0, 25.0}) {
          starts.push_back({one[0], one[1], one[2], b - beta * points.centers.size2, beta});
        }
      }
    }
    return starts;
  }
};

// log L = log(E + A * N^-alpha) + kappa * log T with theta = (log E', log A', alpha, kappa), E' and
// A' at the centre of sizes and of the teachers' losses T.
struct Distill {
  static constexpr int kParameters = 4;

  template <typename T>
  static T LogLoss(const T* theta, double x, double x2) {
    return Power::LogLoss<T>(theta, x, 0) + theta[3] * x2;
  }

  static std::vector<double> Natural(const Theta& theta, const Centers& centers) {
    std::vector<double> natural = Power::Natural(theta, centers);
    natural[0] *= std::exp(-theta[3] * centers.size2);
    natural[1] *= std::exp(-theta[3] * centers.size2);
    natural.push_back(theta[3]);
    return natural;
  }

  static std::vector<Bound> Bounds(const Points& points) {
    std::vector<Bound> bounds = Power::Bounds(points);
    bounds.push_back({.low = -10, .high = 10, .low_margin = 1e-2, .high_margin = 1e-2});
    return bounds;
  }

  static std::vector<Theta> Starts(const Points& points) {
    std::vector<Theta> starts;
    for (const Theta& one : Power::Starts(points)) {
      for (const double kappa : {0.0, 0.5, 1.0}) {
        starts.push_back({one[0], one[1], one[2], kappa});
      }
    }
    return starts;
  }
};

template <typename F>
Law MakeLaw(Form form, std::string name, std::string formula,
            std::vector<LawParameter> parameters) {
  return {.form = form,
          .name = std::move(name),
          .formula = std::move(formula),
          .same_as = form,
          .parameters = std::move(parameters),
          .log_loss = [](const Theta& theta, double x,
                         double x2) { return F::template LogLoss<double>(theta.data(), x, x2); },
          .cost = [](const Points& points, double huber_delta) -> ceres::CostFunction* {
            return new RobustCost<F>(points, huber_delta);
          },
          .natural = &F::Natural,
          .bounds = &F::Bounds,
          .starts = &F::Starts};
}

LawParameter Floor() {
  return {.name = "E",
          .scale = IntervalScale::kNaturalFromZero,
          .low_means_zero = true,
          .at_low = ", the data show no floor, and the exponent is the smallest that they allow",
          .at_high = ", nothing is left for size to explain"};
}

LawParameter Factor(std::string name) {
  return {.name = std::move(name),
          .scale = IntervalScale::kLog,
          .at_low = ", size explains nothing",
          .at_high = ", the fit has run away"};
}

LawParameter Exponent(std::string name) {
  return {.name = std::move(name),
          .scale = IntervalScale::kLog,
          .at_low = ", the loss hardly depends on size or falls too slowly for this form",
          .at_high = ", the loss drops once and is then flat"};
}

std::vector<Law> MakeLaws() {
  Law power = MakeLaw<Power>(Form::kPower, "power", "L = E + A * N^-alpha",
                             {Floor(), Factor("A"), Exponent("alpha")});
  power.least_sizes = 3;
  power.chinchilla_starts = &Power::ChinchillaStarts;

  Law exp = MakeLaw<Exp>(Form::kExp, "exp", "L = E + A * exp(-k * N)",
                         {Floor(), Factor("A"), Exponent("k")});
  exp.parameters[2].at_low = ", the loss falls along a straight line and shows no end of it";
  exp.least_sizes = 3;

  Law exp_log = MakeLaw<ExpLog>(Form::kExpLog, "exp-log", "L = E + A * exp(-k * log10 N)",
                                {Floor(), Factor("A"), Exponent("k")});
  exp_log.least_sizes = 3;
  exp_log.same_as = Form::kPower;
  exp_log.chinchilla_starts = &Power::ChinchillaStarts;

  Law log =
      MakeLaw<Log>(Form::kLog, "log", "L = a - b * log N",
                   {{.name = "a", .scale = IntervalScale::kNatural, .at_low = "", .at_high = ""},
                    {.name = "b",
                     .scale = IntervalScale::kNatural,
                     .at_low = ", the line reaches 0 at the smallest size",
                     .at_high = ", the line reaches 0 at the largest size"}});

  Law power2 =
      MakeLaw<Power2>(Form::kPower2, "power2", "L = E + A * N^-alpha + B * M^-beta",
                      {Floor(), Factor("A"), Exponent("alpha"), Factor("B"), Exponent("beta")});
  power2.size_variables = 2;
  power2.least_sizes = 3;
  power2.chinchilla_starts = &Power2::ChinchillaStarts;

  Law distill = MakeLaw<Distill>(
      Form::kDistill, "distill", "log L = log(E + A * N^-alpha) + kappa * log T",
      {Floor(),
       Factor("A"),
       Exponent("alpha"),
       {.name = "kappa", .scale = IntervalScale::kNatural, .at_low = "", .at_high = ""}});
  distill.size_variables = 2;
  distill.least_sizes = 3;
  return {power, exp, exp_log, log, power2, distill};
}

}  // namespace

const std::vector<Law>& Laws() {
  static const auto* const laws = new std::vector<Law>(MakeLaws());
  return *laws;
}

const Law& LawOf(Form form) {
  const std::vector<Law>& laws = Laws();
  return *std::find_if(laws.begin(), laws.end(), [&](const Law& law) { return law.form == form; });
}

std::string FormName(Form form) { return LawOf(form).name; }

std::string FormFormula(Form form) { return LawOf(form).formula; }

int SizeVariables(Form form) { return LawOf(form).size_variables; }

absl::StatusOr<Form> ParseForm(const std::string& name) {
  std::string known;
  for (const Law& law : Laws()) {
    if (law.name == name) return law.form;
    absl::StrAppend(&known, known.empty() ? "" : ", ", law.name);
  }
  return absl::InvalidArgumentError(absl::StrCat("form: '", name, "' is unknown; known: ", known));
}

}  // namespace retort::scaling
