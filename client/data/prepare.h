// From recordings to a dataset: band-pass, resample, cut into windows, normalise (science: Task).
// Pure.
#ifndef RETORT_CLIENT_DATA_PREPARE_H_
#define RETORT_CLIENT_DATA_PREPARE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/spec/dataset.h"

namespace retort {

// What a prepared window is. Not options: the networks take exactly this.
inline constexpr int kWindowS = 8;
inline constexpr int kStrideS = 2;
inline constexpr int kPreparedRateHz = 25;
inline constexpr int kWindowSamples = kWindowS * kPreparedRateHz;  // 200

// What the band-pass and the resampling of a window see.
enum class FilterMode {
  kRecording,  // zero phase over the whole recording: sees its future
  kWindow,     // zero phase over the window alone
  kCausal,     // the window and what came before it: what a wearable can do in real time
};

// `recording`, `window` or `causal`.
std::string_view NameOf(FilterMode mode);
absl::StatusOr<FilterMode> ParseFilterMode(std::string_view name);

struct PrepareOptions {
  FilterMode filter = FilterMode::kRecording;
  // Edges of the 4th-order Butterworth band-pass, Hz; 0 < low_hz < high_hz < 12.5.
  double low_hz = 0.5;
  double high_hz = 4.0;
};

// INVALID_ARGUMENT: a band that is none.
absl::Status CheckOptions(const PrepareOptions& options);

// One recording of one subject. `bpm[i]` is the reference of seconds [2i, 2i+8).
struct Recording {
  std::string name;     // unique in a dataset
  std::string subject;  // recordings of the same person share it
  int rate_hz = 0;
  std::vector<std::vector<double>> channels;  // PPG [C][N]
  std::vector<double> bpm;
};

// How many whole windows a recording of `samples` at `rate_hz` has.
int64_t WindowsIn(int64_t samples, int rate_hz);

// All recordings as one dataset, in their order; subjects in order of first appearance. A window in
// which a channel is constant is all zeros there. Writes the
// metadata that it knows: filter, band_hz, rate_hz, window_s, stride_s. INVALID_ARGUMENT: no
// recording, other channels than `channel_names`, more labels than windows, a sample or label that
// cannot be right.
absl::StatusOr<Dataset> PrepareRecordings(const std::vector<Recording>& recordings,
                                          const std::vector<std::string>& channel_names,
                                          const PrepareOptions& options);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_PREPARE_H_
