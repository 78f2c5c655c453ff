// When to try again.
#ifndef RETORT_COMMON_BACKOFF_H_
#define RETORT_COMMON_BACKOFF_H_

#include <algorithm>
#include <cmath>

#include "absl/time/time.h"

namespace retort {

// How long to wait before try `failures + 1`: doubling from `first` to at most `most`, of which a
// share of 50 to 100 % is taken by `random01` in [0, 1), so that many callers do not return
// together.
inline absl::Duration BackoffDelay(int failures, double random01,
                                   absl::Duration first = absl::Milliseconds(100),
                                   absl::Duration most = absl::Seconds(5)) {
  const absl::Duration full = std::min(most, first * std::pow(2.0, std::min(failures, 30)));
  return full * (0.5 + 0.5 * random01);
}

}  // namespace retort

#endif  // RETORT_COMMON_BACKOFF_H_
