// The classes of heart rate that every network tells apart (science: Task).
#ifndef RETORT_COMMON_SPEC_HEART_RATE_H_
#define RETORT_COMMON_SPEC_HEART_RATE_H_

#include <algorithm>
#include <cmath>

namespace retort {

inline constexpr int kClasses = 180;  // classes of 1 BPM
inline constexpr int kFirstBpm = 30;  // BPM of class 0
inline constexpr int kLastBpm = kFirstBpm + kClasses - 1;

// Class of a heart rate in BPM: round(bpm) - 30, clamped to 0..179.
inline int ClassOfBpm(double bpm) {
  return std::clamp(static_cast<int>(std::lround(bpm)) - kFirstBpm, 0, kClasses - 1);
}

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_HEART_RATE_H_
