#include "client/data/prepare.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/data/notes.h"
#include "client/data/signal.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int kFilterOrder = 4;

// Samples [begin, end) of a recording that are all there.
struct Stretch {
  int64_t begin;
  int64_t end;
};

// The stretches that can hold a window, in order.
std::vector<Stretch> StretchesOf(const Recording& recording) {
  const auto samples = static_cast<int64_t>(recording.channels[0].size());
  const int64_t window = static_cast<int64_t>(kWindowS) * recording.rate_hz;
  std::vector<Stretch> stretches;
  int64_t begin = 0;
  for (int64_t i = 0; i <= samples; ++i) {
    const bool there =
        i < samples && std::none_of(recording.channels.begin(), recording.channels.end(),
                                    [&](const auto& x) { return std::isnan(x[i]); });
    if (there) continue;
    if (i - begin >= window) stretches.push_back({begin, i});
    begin = i + 1;
  }
  return stretches;
}

// A window to cut.
struct Window {
  int64_t start;   // its first sample
  size_t stretch;  // that it lies in
  double bpm;
};

// The windows of a recording that have all their samples and a label; `left_out` says which have
// not.
std::vector<Window> WindowsOf(const Recording& recording, const std::vector<Stretch>& stretches,
                              std::string& left_out) {
  const auto samples = static_cast<int64_t>(recording.channels[0].size());
  const int64_t length = static_cast<int64_t>(kWindowS) * recording.rate_hz;
  int64_t outside = 0, gaps = 0, unlabelled = 0;
  std::vector<Window> windows;
  for (size_t i = 0; i < recording.bpm.size(); ++i) {
    const double start_s = static_cast<double>(i) * kStrideS + recording.lag_s;
    const int64_t start = std::llround(start_s * recording.rate_hz);
    const auto stretch =
        std::find_if(stretches.begin(), stretches.end(), [&](const Stretch& candidate) {
          return start >= candidate.begin && start + length <= candidate.end;
        });
    if (start < 0 || start + length > samples) {
      ++outside;
    } else if (stretch == stretches.end()) {
      ++gaps;
    } else if (std::isnan(recording.bpm[i])) {
      ++unlabelled;
    } else {
      windows.push_back(
          {start, static_cast<size_t>(stretch - stretches.begin()), recording.bpm[i]});
    }
  }
  left_out.clear();
  for (const auto& [count, why] : {std::pair{outside, " beyond the recording's ends"},
                                   {gaps, " with missing samples"},
                                   {unlabelled, " without a label"}}) {
    if (count > 0) absl::StrAppend(&left_out, left_out.empty() ? "" : ", ", count, why);
  }
  return windows;
}

// Windows of one channel before normalisation, [W][200].
//
// What sees a recording whole is resampled whole. `window` and `causal` resample each window by
// itself: the resampling filter would otherwise look 0.4 s beyond the window's end.
std::vector<std::vector<double>> CutWindows(std::span<const double> x, int rate_hz,
                                            const std::vector<Stretch>& stretches,
                                            const std::vector<Window>& windows,
                                            std::span<const SosSection> sos, FilterMode mode) {
  const auto resample = [&](std::span<const double> y) {
    return Resample(y, kPreparedRateHz, rate_hz);
  };
  const auto part = [](std::span<const double> y, int64_t begin, int64_t length) {
    return y.subspan(static_cast<size_t>(begin), static_cast<size_t>(length));
  };
  std::vector<std::vector<double>> filtered;  // by stretch
  for (const auto& [begin, end] : stretches) {
    const auto whole = part(x, begin, end - begin);
    if (mode == FilterMode::kRecording) {
      filtered.push_back(resample(FilterZeroPhase(sos, whole)));
    } else if (mode == FilterMode::kCausal) {
      filtered.push_back(FilterCausal(sos, whole));
    } else {
      filtered.emplace_back(whole.begin(), whole.end());
    }
  }
  std::vector<std::vector<double>> cut;
  for (const Window& window : windows) {
    const auto& y = filtered[window.stretch];
    const int64_t offset = window.start - stretches[window.stretch].begin;
    if (mode == FilterMode::kRecording) {
      const auto at = std::llround(static_cast<double>(offset) * kPreparedRateHz / rate_hz);
      cut.emplace_back(y.begin() + at, y.begin() + at + kWindowSamples);
      continue;
    }
    const auto own = part(y, offset, static_cast<int64_t>(kWindowS) * rate_hz);
    cut.push_back(resample(mode == FilterMode::kCausal ? std::vector(own.begin(), own.end())
                                                       : FilterZeroPhase(sos, own)));
  }
  return cut;
}

// Whether the sensor gave one and the same number for the whole window. What the filter makes of
// that is rounding noise or ringing, which normalisation would blow up to the size of a pulse.
bool IsFlat(std::span<const double> x, int64_t start, int rate_hz) {
  const auto raw = x.subspan(static_cast<size_t>(start), static_cast<size_t>(kWindowS) * rate_hz);
  return std::all_of(raw.begin(), raw.end(), [&](double value) { return value == raw[0]; });
}

// Its windows behind those of `d`. Returns why windows were left out, or nothing.
std::string AppendRecording(const Recording& recording, const PrepareOptions& options,
                            const PeakHeartRate& peak, Dataset& d) {
  std::string left_out;
  const auto stretches = StretchesOf(recording);
  const auto windows = WindowsOf(recording, stretches, left_out);
  if (windows.empty()) return left_out;
  const auto sos =
      ButterworthBandPass(kFilterOrder, options.low_hz, options.high_hz, recording.rate_hz);
  const size_t channels = recording.channels.size(), first = d.bpm_W.size();
  d.windows_WCL.resize((first + windows.size()) * channels * kWindowSamples);
  d.fft_bpm_WC.resize((first + windows.size()) * channels);
  for (size_t c = 0; c < channels; ++c) {
    const auto& x = recording.channels[c];
    const auto cut = CutWindows(x, recording.rate_hz, stretches, windows, sos, options.filter);
    for (size_t i = 0; i < windows.size(); ++i) {
      const size_t row = (first + i) * channels + c;
      const auto out = std::span(d.windows_WCL).subspan(row * kWindowSamples, kWindowSamples);
      if (!IsFlat(x, windows[i].start, recording.rate_hz)) {
        std::copy(cut[i].begin(), cut[i].end(), out.begin());
        ZScore(out);
      }
      d.fft_bpm_WC[row] = peak(out);
    }
  }
  const auto subject = std::find(d.subjects.begin(), d.subjects.end(), recording.subject);
  const auto subject_index = static_cast<int32_t>(subject - d.subjects.begin());
  if (subject == d.subjects.end()) d.subjects.push_back(recording.subject);
  for (const Window& window : windows) {
    d.bpm_W.push_back(static_cast<float>(window.bpm));
    d.subject_W.push_back(subject_index);
    d.start_s_W.push_back(
        static_cast<float>(static_cast<double>(window.start) / recording.rate_hz));
    d.recording_W.push_back(static_cast<int32_t>(d.recordings.size()));
  }
  d.recordings.push_back(recording.name);
  return left_out;
}

// Takes away what the user or the source wants left out, and says it in `notes`.
absl::Status LeaveOut(const std::optional<std::vector<std::string>>& wanted,
                      std::vector<Recording>& recordings, Notes& notes) {
  std::vector<std::string> names;
  for (const auto& recording : recordings) names.push_back(recording.name);
  for (const auto& name : wanted.value_or(std::vector<std::string>{})) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    return absl::InvalidArgumentError(absl::StrCat("leave-out: no recording '", name,
                                                   "'; there are: ", absl::StrJoin(names, ", ")));
  }
  std::erase_if(recordings, [&](const Recording& recording) {
    const bool out =
        wanted ? std::find(wanted->begin(), wanted->end(), recording.name) != wanted->end()
               : !recording.known_bad.empty();
    if (out) {
      notes[recording.name] = recording.known_bad.empty() ? "as asked" : recording.known_bad;
    }
    return out;
  });
  return absl::OkStatus();
}

// Keeps the channels of these indices.
void KeepChannels(const std::vector<size_t>& kept, Recording& recording) {
  std::vector<std::vector<double>> channels;
  for (const size_t c : kept) channels.push_back(std::move(recording.channels[c]));
  recording.channels = std::move(channels);
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

absl::StatusOr<Dataset> PrepareRecordings(std::vector<Recording> recordings,
                                          const std::vector<std::string>& channel_names,
                                          const PrepareOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckOptions(options));
  std::map<std::string, Notes> notes;
  RETORT_RETURN_IF_ERROR(LeaveOut(options.leave_out, recordings, notes["recordings_left_out"]));
  if (recordings.empty() || channel_names.empty()) {
    return absl::InvalidArgumentError("a dataset needs at least one recording and one channel");
  }
  RETORT_ASSIGN_OR_RETURN(const auto kept, ChooseChannels(channel_names, options.channels));
  Dataset d;
  for (const size_t c : kept) d.channels.push_back(channel_names[c]);
  d.channels_count = static_cast<int32_t>(kept.size());
  d.samples = kWindowSamples;
  const PeakHeartRate peak(kWindowSamples, kPreparedRateHz);
  for (auto& recording : recordings) {
    if (options.lag_s) recording.lag_s = *options.lag_s;
    RETORT_RETURN_IF_ERROR(CheckRecording(recording, channel_names.size(), kPreparedRateHz));
    KeepChannels(kept, recording);
    const size_t had = d.bpm_W.size();
    const std::string left_out = AppendRecording(recording, options, peak, d);
    if (d.bpm_W.size() == had) {
      notes["recordings_left_out"][recording.name] = absl::StrCat("no window: ", left_out);
      continue;
    }
    if (!left_out.empty()) notes["windows_left_out"][recording.name] = left_out;
    if (recording.lag_s != 0) notes["lag_s"][recording.name] = absl::StrCat(recording.lag_s);
  }
  d.windows_count = static_cast<int64_t>(d.bpm_W.size());
  if (d.windows_count == 0) {
    const auto& [name, why] = *notes["recordings_left_out"].rbegin();
    return absl::InvalidArgumentError(
        absl::StrCat("no window is left of any recording; the last, '", name, "': ", why));
  }
  d.metadata = {{"filter", std::string(NameOf(options.filter))},
                {"band_hz", absl::StrCat(options.low_hz, "-", options.high_hz)},
                {"rate_hz", absl::StrCat(kPreparedRateHz)},
                {"window_s", absl::StrCat(kWindowS)},
                {"stride_s", absl::StrCat(kStrideS)}};
  for (const auto& [key, by_recording] : notes) {
    if (!by_recording.empty()) d.metadata[key] = NotesToJson(by_recording);
  }
  RETORT_RETURN_IF_ERROR(ToStatusOr(CheckDataset(d, "the prepared dataset")).status());
  return d;
}

}  // namespace retort
