#include "client/data/irregular.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr int kMinGridHz = 100, kMaxGridHz = 100'000;
constexpr double kMaxSamples = 1 << 28;

absl::Status CheckTimes(const std::vector<double>& time_s, double max_gap_s) {
  if (!(max_gap_s > 0 && max_gap_s <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the largest gap is ", max_gap_s, " s; must be above 0 and at most 1 s"));
  }
  if (time_s.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", time_s.size(), " samples; must have at least 2"));
  }
  for (size_t i = 0; i < time_s.size(); ++i) {
    if (!std::isfinite(time_s[i])) {
      return absl::InvalidArgumentError(absl::StrCat("the time of sample ", i + 1, " is ",
                                                     time_s[i], "; must be a finite number"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckGrowth(const std::vector<double>& time_s) {
  for (size_t i = 1; i < time_s.size(); ++i) {
    if (time_s[i] <= time_s[i - 1]) {
      return absl::InvalidArgumentError(absl::StrCat("the time of sample ", i + 1, " is ",
                                                     time_s[i], " s, behind one at ", time_s[i - 1],
                                                     " s; times must grow"));
    }
  }
  return absl::OkStatus();
}

// Files print times to some digits: those of a 125 Hz signal to a hundredth of a second are common.
constexpr double kClockToleranceS = 0.006;

// Whether each sample lies near origin + i / rate.
bool IsRegular(const std::vector<double>& time_s, double origin_s, int rate_hz) {
  for (size_t i = 0; i < time_s.size(); ++i) {
    const double wanted = origin_s + static_cast<double>(i) / rate_hz;
    if (std::abs(time_s[i] - wanted) > kClockToleranceS) return false;
  }
  return true;
}

// Slope at the end of the first of two intervals of lengths h0, h1 with slopes d0, d1, kept in
// shape.
double EndSlope(double h0, double h1, double d0, double d1) {
  const double slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1);
  if (slope * d0 <= 0) return 0;
  if (d0 * d1 < 0 && std::abs(slope) > 3 * std::abs(d0)) return 3 * d0;
  return slope;
}

// Fills the grid points that samples [begin, end) reach; those are all there and near each other.
void Interpolate(const std::vector<double>& time_s, const std::vector<double>& x, size_t begin,
                 size_t end, double origin_s, int rate_hz, std::vector<double>& grid) {
  const std::vector<double> t(time_s.begin() + static_cast<int64_t>(begin),
                              time_s.begin() + static_cast<int64_t>(end));
  const std::vector<double> y(x.begin() + static_cast<int64_t>(begin),
                              x.begin() + static_cast<int64_t>(end));
  if (t.size() < 2) return;
  const auto slopes = PchipSlopes(t, y);
  // A grid point that misses the last sample by rounding alone belongs to it.
  constexpr double kRounding = 1e-9;
  const double first = std::ceil((t.front() - origin_s) * rate_hz - kRounding);
  size_t i = 0;
  for (auto k = static_cast<int64_t>(std::max(0.0, first)); k < static_cast<int64_t>(grid.size());
       ++k) {
    const double at = origin_s + static_cast<double>(k) / rate_hz;
    if (at > t.back() + kRounding) break;
    while (i + 2 < t.size() && at >= t[i + 1]) ++i;
    const double h = t[i + 1] - t[i], s = std::clamp((at - t[i]) / h, 0.0, 1.0);
    grid[k] = y[i] * (1 + 2 * s) * (1 - s) * (1 - s) + slopes[i] * h * s * (1 - s) * (1 - s) +
              y[i + 1] * s * s * (3 - 2 * s) - slopes[i + 1] * h * s * s * (1 - s);
  }
}

}  // namespace

std::vector<double> PchipSlopes(const std::vector<double>& t, const std::vector<double>& y) {
  const size_t n = t.size();
  std::vector<double> h(n - 1), d(n - 1), slopes(n);
  for (size_t i = 0; i + 1 < n; ++i) {
    h[i] = t[i + 1] - t[i];
    d[i] = (y[i + 1] - y[i]) / h[i];
  }
  if (n == 2) return {d[0], d[0]};
  for (size_t i = 1; i + 1 < n; ++i) {
    if (d[i - 1] * d[i] <= 0) continue;  // an extreme stays one
    const double w1 = 2 * h[i] + h[i - 1], w2 = h[i] + 2 * h[i - 1];
    slopes[i] = (w1 + w2) / (w1 / d[i - 1] + w2 / d[i]);
  }
  slopes[0] = EndSlope(h[0], h[1], d[0], d[1]);
  slopes[n - 1] = EndSlope(h[n - 2], h[n - 3], d[n - 2], d[n - 3]);
  return slopes;
}

absl::StatusOr<RegularSignal> ToRegular(const std::vector<double>& time_s,
                                        const std::vector<std::vector<double>>& channels,
                                        double origin_s, double max_gap_s) {
  RETORT_RETURN_IF_ERROR(CheckTimes(time_s, max_gap_s));
  const double span_s = time_s.back() - time_s.front();
  const double mean_hz = static_cast<double>(time_s.size() - 1) / span_s;
  if (!(mean_hz > 0 && mean_hz <= kMaxGridHz)) {
    return absl::InvalidArgumentError(
        absl::StrCat("its times give a rate of ", mean_hz, " Hz; must be in seconds"));
  }
  if (const int rate = static_cast<int>(std::lround(mean_hz));
      rate >= 25 && IsRegular(time_s, origin_s, rate)) {
    return RegularSignal{rate, channels};
  }
  RETORT_RETURN_IF_ERROR(CheckGrowth(time_s));
  RegularSignal out;
  out.rate_hz = std::min(kMaxGridHz, std::max(kMinGridHz, 25 * static_cast<int>(mean_hz / 25 + 1)));
  const double samples = std::floor((time_s.back() - origin_s) * out.rate_hz + 1e-9) + 1;
  if (!(samples >= 1 && samples <= kMaxSamples)) {
    return absl::InvalidArgumentError(absl::StrCat("its times reach from ", origin_s, " to ",
                                                   time_s.back(), " s; must be in seconds"));
  }
  for (const auto& x : channels) {
    auto& grid = out.channels.emplace_back(static_cast<size_t>(samples), kMissing);
    size_t begin = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      if (!std::isfinite(x[i])) {
        Interpolate(time_s, x, begin, i, origin_s, out.rate_hz, grid);
        begin = i + 1;
      } else if (i > begin && time_s[i] - time_s[i - 1] > max_gap_s) {
        Interpolate(time_s, x, begin, i, origin_s, out.rate_hz, grid);
        begin = i;
      }
    }
    Interpolate(time_s, x, begin, x.size(), origin_s, out.rate_hz, grid);
  }
  return out;
}

}  // namespace retort
