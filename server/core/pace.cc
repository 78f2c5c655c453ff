#include "server/core/pace.h"

#include <algorithm>
#include <cmath>

namespace retort::core {
namespace {

// The least weight of a new result: how quickly the old is forgotten.
constexpr double kWorkerWeight = 0.1;
constexpr double kClassWeight = 0.02;
// Most that one result counts for, in logarithms: a machine that was suspended, or a clock that was
// set, must not spoil a mean for long.
constexpr double kMostSurprise = 1.5;

}  // namespace

double Speed::factor() const { return std::exp(log); }

size_t Pace::ClassOf(double cost) {
  int exponent = 0;
  std::frexp(cost, &exponent);
  return static_cast<size_t>(std::clamp(exponent / 2, 0, static_cast<int>(kClasses) - 1));
}

void Pace::Learn(double cost, double seconds, Speed& speed) {
  if (!(cost > 0) || !(seconds > 0) || !std::isfinite(cost) || !std::isfinite(seconds)) return;
  Class& known = classes_[ClassOf(cost)];
  const double took = std::log(seconds / cost);
  if (known.results == 0) {
    // The first of its class says nothing of the worker.
    known = {took + speed.log, 1, std::exp(took + speed.log)};
    return;
  }
  const double all = known.log_s_per_cost - speed.log - took;  // positive: faster than expected
  const double faster = speed.known() ? std::clamp(all, -kMostSurprise, kMostSurprise) : all;
  speed.log += faster * std::max(kWorkerWeight, 1.0 / (speed.results + 1));
  if (speed.known()) {
    known.log_s_per_cost -= faster * std::max(kClassWeight, 0.5 / (known.results + 1));
    known.results = std::min(known.results + 1, 1'000'000);
    known.s_per_cost = std::exp(known.log_s_per_cost);
  }
  speed.results = std::min(speed.results + 1, 1'000'000);
}

double Pace::Seconds(double cost) const {
  if (!(cost > 0)) return -1;
  const auto at = static_cast<int>(ClassOf(cost));
  for (int away = 0; away < static_cast<int>(kClasses); ++away) {
    for (const int other : {at + away, at - away}) {
      if (other < 0 || other >= static_cast<int>(kClasses)) continue;
      const Class& known = classes_[static_cast<size_t>(other)];
      if (known.results > 0) return cost * known.s_per_cost;
    }
  }
  return -1;
}

}  // namespace retort::core
