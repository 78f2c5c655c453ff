#include "worker/distill/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace retort::distill {
namespace {

constexpr double kWarmupShare = 0.3;
constexpr double kStartDivisor = 25;
constexpr double kEndDivisor = 25e4;

// From `from` at 0 to `to` at 1 along half a cosine.
double Anneal(double from, double to, double at) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * at)) / 2;
}

}  // namespace

double LearningRate(v1::Schedule schedule, double peak, int64_t step, int64_t steps) {
  const double at = static_cast<double>(step);
  const double last = static_cast<double>(std::max<int64_t>(steps - 1, 1));
  switch (schedule) {
    case v1::SCHEDULE_ONE_CYCLE: {
      const double top = std::max(kWarmupShare * static_cast<double>(steps) - 1, 0.0);
      if (at < top) return Anneal(peak / kStartDivisor, peak, at / top);
      return Anneal(peak, peak / kEndDivisor, last > top ? (at - top) / (last - top) : 0);
    }
    case v1::SCHEDULE_COSINE:
      return Anneal(peak, 0, at / static_cast<double>(std::max<int64_t>(steps, 1)));
    default:
      return peak;
  }
}

}  // namespace retort::distill
