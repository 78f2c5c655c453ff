// Signals whose samples come with times. Pure.
#ifndef RETORT_CLIENT_DATA_IRREGULAR_H_
#define RETORT_CLIENT_DATA_IRREGULAR_H_

#include <vector>

#include "absl/status/statusor.h"

namespace retort {

// Samples at k / rate_hz; NaN where there is nothing to know them by.
struct RegularSignal {
  int rate_hz = 0;
  std::vector<std::vector<double>> channels;  // [C][N]
};

// Signals onto a regular grid that starts at `origin_s`.
//
// Samples that lie where a grid of a whole rate from `origin_s` wants them (to 6 ms) stay
// as they are. Others are interpolated by monotone cubics (Fritsch and Butland 1984, as
// scipy.interpolate.PchipInterpolator), which look at two samples on each side and never overshoot,
// onto a grid of at least 100 Hz and at least the signal's rate. Between two samples further apart
// than `max_gap_s`, or around one that is not finite, the grid is NaN: nothing is made up.
//
// `time_s` [N], `channels` [C][N]. INVALID_ARGUMENT: fewer than two samples, times that are not
// finite or, but for those of a whole rate, do not grow, a rate above 100 kHz, a grid of more than
// 2^28 samples.
absl::StatusOr<RegularSignal> ToRegular(const std::vector<double>& time_s,
                                        const std::vector<std::vector<double>>& channels,
                                        double origin_s, double max_gap_s);

// Slopes of the monotone cubics through (t, y) at each t; at least two points.
std::vector<double> PchipSlopes(const std::vector<double>& t, const std::vector<double>& y);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_IRREGULAR_H_
