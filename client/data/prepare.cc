#include "client/data/prepare.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/data/signal.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int kFilterOrder = 4;
constexpr double kMinBpm = 20, kMaxBpm = 250;  // outside, a reference is not a heart rate

absl::Status CheckRecording(const Recording& recording, size_t channels) {
  const auto wrong = [&](const auto&... why) {
    return absl::InvalidArgumentError(absl::StrCat("recording '", recording.name, "': ", why...));
  };
  if (recording.channels.size() != channels) {
    return wrong("has ", recording.channels.size(), " PPG channels; must have ", channels);
  }
  if (recording.rate_hz < kPreparedRateHz || recording.rate_hz > 100'000) {
    return wrong("its rate is ", recording.rate_hz, " Hz; must be from ", kPreparedRateHz,
                 " to 100000 Hz");
  }
  const size_t samples = recording.channels[0].size();
  for (size_t c = 0; c < channels; ++c) {
    const auto& x = recording.channels[c];
    if (x.size() != samples) {
      return wrong("channel ", c + 1, " has ", x.size(), " samples, channel 1 has ", samples);
    }
    for (size_t i = 0; i < samples; ++i) {
      if (!std::isfinite(x[i])) {
        return wrong("PPG channel ", c + 1, " is ", x[i], " at sample ", i + 1, " of ", samples,
                     "; must be a finite number");
      }
    }
  }
  const auto windows = static_cast<size_t>(WindowsIn(samples, recording.rate_hz));
  if (recording.bpm.empty() || recording.bpm.size() > windows) {
    return wrong("has ", recording.bpm.size(), " labels; its ", samples, " samples at ",
                 recording.rate_hz, " Hz have ", windows, " windows of ", kWindowS, " s every ",
                 kStrideS, " s");
  }
  for (size_t i = 0; i < recording.bpm.size(); ++i) {
    if (!(recording.bpm[i] >= kMinBpm && recording.bpm[i] <= kMaxBpm)) {
      return wrong("label ", i + 1, " is ", recording.bpm[i], " BPM; must be from ", kMinBpm,
                   " to ", kMaxBpm);
    }
  }
  return absl::OkStatus();
}

// Windows of one channel before normalisation, [L = labels][200].
//
// What sees a recording whole is resampled whole. `window` and `causal` resample each window by
// itself: the resampling filter would otherwise look 0.4 s beyond the window's end.
std::vector<std::vector<double>> CutWindows(const Recording& recording, std::span<const double> x,
                                            std::span<const SosSection> sos, FilterMode mode) {
  const int rate = recording.rate_hz;
  const auto resample = [&](std::span<const double> y) {
    return Resample(y, kPreparedRateHz, rate);
  };
  std::vector<std::vector<double>> windows;
  if (mode == FilterMode::kRecording) {
    const auto y = resample(FilterZeroPhase(sos, x));
    for (size_t i = 0; i < recording.bpm.size(); ++i) {
      const auto start = y.begin() + static_cast<int64_t>(i) * kStrideS * kPreparedRateHz;
      windows.emplace_back(start, start + kWindowSamples);
    }
    return windows;
  }
  const bool causal = mode == FilterMode::kCausal;
  const auto whole = causal ? FilterCausal(sos, x) : std::vector<double>(x.begin(), x.end());
  for (size_t i = 0; i < recording.bpm.size(); ++i) {
    const auto window =
        std::span(whole).subspan(i * kStrideS * rate, static_cast<size_t>(kWindowS) * rate);
    windows.push_back(causal ? resample(window) : resample(FilterZeroPhase(sos, window)));
  }
  return windows;
}

// Whether the sensor gave one and the same number for the whole window. What the filter makes of
// that is rounding noise or ringing, which normalisation would blow up to the size of a pulse.
bool IsFlat(std::span<const double> x, size_t window, int rate_hz) {
  const auto raw = x.subspan(window * kStrideS * rate_hz, static_cast<size_t>(kWindowS) * rate_hz);
  return std::all_of(raw.begin(), raw.end(), [&](double value) { return value == raw[0]; });
}

void AppendRecording(const Recording& recording, const PrepareOptions& options,
                     const PeakHeartRate& peak, Dataset& d) {
  const auto sos =
      ButterworthBandPass(kFilterOrder, options.low_hz, options.high_hz, recording.rate_hz);
  const size_t channels = recording.channels.size(), windows = recording.bpm.size();
  const size_t first = d.bpm_W.size();
  d.windows_WCL.resize((first + windows) * channels * kWindowSamples);
  d.fft_bpm_WC.resize((first + windows) * channels);
  for (size_t c = 0; c < channels; ++c) {
    const auto cut = CutWindows(recording, recording.channels[c], sos, options.filter);
    for (size_t i = 0; i < windows; ++i) {
      const size_t row = (first + i) * channels + c;
      const auto out = std::span(d.windows_WCL).subspan(row * kWindowSamples, kWindowSamples);
      if (!IsFlat(recording.channels[c], i, recording.rate_hz)) {
        std::copy(cut[i].begin(), cut[i].end(), out.begin());
        ZScore(out);
      }
      d.fft_bpm_WC[row] = peak(out);
    }
  }
  const auto subject = std::find(d.subjects.begin(), d.subjects.end(), recording.subject);
  const auto subject_index = static_cast<int32_t>(subject - d.subjects.begin());
  if (subject == d.subjects.end()) d.subjects.push_back(recording.subject);
  for (size_t i = 0; i < windows; ++i) {
    d.bpm_W.push_back(static_cast<float>(recording.bpm[i]));
    d.subject_W.push_back(subject_index);
    d.start_s_W.push_back(static_cast<float>(i * kStrideS));
    d.recording_W.push_back(static_cast<int32_t>(d.recordings.size()));
  }
  d.recordings.push_back(recording.name);
}

}  // namespace

std::string_view NameOf(FilterMode mode) {
  switch (mode) {
    case FilterMode::kRecording:
      return "recording";
    case FilterMode::kWindow:
      return "window";
    case FilterMode::kCausal:
      return "causal";
  }
  return "";
}

absl::StatusOr<FilterMode> ParseFilterMode(std::string_view name) {
  for (const FilterMode mode : {FilterMode::kRecording, FilterMode::kWindow, FilterMode::kCausal}) {
    if (name == NameOf(mode)) return mode;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("filter is '", std::string(name), "'; must be recording, window or causal"));
}

absl::Status CheckOptions(const PrepareOptions& options) {
  const double nyquist = kPreparedRateHz / 2.0;
  // A narrower or lower band has poles so near the unit circle that nothing is left of a window.
  if (options.low_hz >= 0.01 && options.high_hz >= options.low_hz + 0.1 &&
      options.high_hz < nyquist) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the band is ", options.low_hz, " to ", options.high_hz,
                   " Hz; its lower edge must be at least 0.01 Hz, its upper edge at least 0.1 Hz "
                   "above that and below ",
                   nyquist, " Hz"));
}

int64_t WindowsIn(int64_t samples, int rate_hz) {
  const int64_t window = static_cast<int64_t>(kWindowS) * rate_hz;
  return samples < window ? 0 : (samples - window) / (static_cast<int64_t>(kStrideS) * rate_hz) + 1;
}

absl::StatusOr<Dataset> PrepareRecordings(const std::vector<Recording>& recordings,
                                          const std::vector<std::string>& channel_names,
                                          const PrepareOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckOptions(options));
  if (recordings.empty() || channel_names.empty()) {
    return absl::InvalidArgumentError("a dataset needs at least one recording and one channel");
  }
  for (const auto& recording : recordings) {
    RETORT_RETURN_IF_ERROR(CheckRecording(recording, channel_names.size()));
  }
  Dataset d;
  d.channels = channel_names;
  d.channels_count = static_cast<int32_t>(channel_names.size());
  d.samples = kWindowSamples;
  const PeakHeartRate peak(kWindowSamples, kPreparedRateHz);
  for (const auto& recording : recordings) AppendRecording(recording, options, peak, d);
  d.windows_count = static_cast<int64_t>(d.bpm_W.size());
  d.metadata = {{"filter", std::string(NameOf(options.filter))},
                {"band_hz", absl::StrCat(options.low_hz, "-", options.high_hz)},
                {"rate_hz", absl::StrCat(kPreparedRateHz)},
                {"window_s", absl::StrCat(kWindowS)},
                {"stride_s", absl::StrCat(kStrideS)}};
  RETORT_RETURN_IF_ERROR(ToStatusOr(CheckDataset(d, "the prepared dataset")).status());
  return d;
}

}  // namespace retort
