// Recordings as readers give them: signals at their own rate and reference heart rates. Pure.
#ifndef RETORT_CLIENT_DATA_RECORDING_H_
#define RETORT_CLIENT_DATA_RECORDING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace retort {

// Windows of all sets: 8 s, every 2 s.
inline constexpr int kWindowS = 8;
inline constexpr int kStrideS = 2;
// Outside, a reference is not a heart rate, BPM.
inline constexpr double kMinBpm = 20, kMaxBpm = 250;
// Labels further off than this are not late, but another recording's.
inline constexpr double kMaxLagS = 30;

// One recording of one subject. `bpm[i]` is the reference of seconds [2i + lag_s, 2i + 8 + lag_s).
struct Recording {
  std::string name;     // unique in a dataset
  std::string subject;  // recordings of the same person share it
  int rate_hz = 0;
  std::vector<std::vector<double>> channels;  // PPG [C][N]
  std::vector<double> bpm;
  // Fixed knowledge of its source, never fitted.
  double lag_s = 0;
  // Whether NaN is allowed, and says that a sample or a label is missing.
  bool may_miss = false;
  // Not empty: left out unless the user says otherwise, and why.
  std::string known_bad = {};
};

// How many whole windows a recording of `samples` at `rate_hz` has.
int64_t WindowsIn(int64_t samples, int rate_hz);

// INVALID_ARGUMENT: not `channels` channels of one length, a rate below `min_rate_hz`, a sample or
// label that cannot be right, other labels than there can be.
absl::Status CheckRecording(const Recording& recording, size_t channels, int min_rate_hz);

// Indices of the channels that `wanted` names, each by name or by its number from 1; all for none.
// INVALID_ARGUMENT: a channel that there is not, or twice.
absl::StatusOr<std::vector<size_t>> ChooseChannels(const std::vector<std::string>& names,
                                                   const std::vector<std::string>& wanted);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_RECORDING_H_
