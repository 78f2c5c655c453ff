// From recordings to a dataset: band-pass, resample, cut into windows, normalise (science: Task).
// Pure.
#ifndef RETORT_CLIENT_DATA_PREPARE_H_
#define RETORT_CLIENT_DATA_PREPARE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/data/recording.h"
#include "common/spec/dataset.h"

namespace retort {

// What a prepared window is. Not options: the networks take exactly this.
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
  // PPG channels to keep, by name or by number from 1, in this order; none means all.
  std::vector<std::string> channels = {};
  // Names of recordings to leave out; unset: those that their source knows to be wrong.
  std::optional<std::vector<std::string>> leave_out = {};
  // Label lag of every recording, seconds; unset: what its source knows.
  std::optional<double> lag_s = {};
  // Of signals with times: between samples further apart nothing is interpolated, and windows that
  // reach into such a gap are left out. By default half a period of the band's upper edge: more
  // cannot be sampled without ambiguity.
  double max_gap_s = 0.125;
};

// INVALID_ARGUMENT: a band that is none.
absl::Status CheckOptions(const PrepareOptions& options);

// All recordings as one dataset, in their order; subjects in order of first appearance. A window in
// which a channel is constant is all zeros there. A label has no window where its seconds lie
// beyond the recording's ends, hold a missing sample of a kept channel, or where the label itself
// is missing. Stretches between missing samples are filtered each by itself.
//
// Metadata: filter, band_hz, rate_hz, window_s, stride_s; and, where there is something to say,
// JSON objects by recording: lag_s, windows_left_out, recordings_left_out. INVALID_ARGUMENT: no
// recording, a recording or channel of the options that there is not, other channels than
// `channel_names`, more labels than windows, a sample or label that cannot be right, no window.
absl::StatusOr<Dataset> PrepareRecordings(std::vector<Recording> recordings,
                                          const std::vector<std::string>& channel_names,
                                          const PrepareOptions& options);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_PREPARE_H_
