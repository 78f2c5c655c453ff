// How far labels are off the signals, as far as the signals tell. Pure. Only ever for a warning: a
// lag that is fitted to predictions or spectra leaks the answer into the data.
#ifndef RETORT_CLIENT_DATA_LAG_H_
#define RETORT_CLIENT_DATA_LAG_H_

#include <string>
#include <vector>

#include "common/spec/dataset.h"

namespace retort {

// Of one recording, in steps of 0.5 s from -10 to 10 s.
struct LabelLag {
  std::string recording;
  double lag_s = 0;      // labels fit windows so much later than theirs
  double certainty = 0;  // t statistic of the better fit over blocks of windows; 0 for lag 0
  // Whether it is clearly not zero: at least 1 s, and a certainty of at least 4.
  bool clear = false;
};

// The shift at which the amplitude of the windows' spectra at the (smoothed) labels is
// largest, averaged over windows: motion has strong peaks elsewhere, which this does not follow.
// Only of recordings with at least 40 windows whose labels reach 10 s to both sides without a gap.
std::vector<LabelLag> EstimateLags(const Dataset& dataset);

// A warning, a line for each recording whose labels are clearly off; empty if there is none.
std::string DescribeLags(const std::vector<LabelLag>& lags);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_LAG_H_
