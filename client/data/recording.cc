#include "client/data/recording.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace retort {

int64_t WindowsIn(int64_t samples, int rate_hz) {
  const int64_t window = static_cast<int64_t>(kWindowS) * rate_hz;
  return samples < window ? 0 : (samples - window) / (static_cast<int64_t>(kStrideS) * rate_hz) + 1;
}

absl::Status CheckRecording(const Recording& recording, size_t channels, int min_rate_hz) {
  const auto wrong = [&](const auto&... why) {
    return absl::InvalidArgumentError(absl::StrCat("recording '", recording.name, "': ", why...));
  };
  const auto missing = [&](double value) { return recording.may_miss && std::isnan(value); };
  if (recording.channels.size() != channels) {
    return wrong("has ", recording.channels.size(), " PPG channels; must have ", channels);
  }
  if (recording.rate_hz < min_rate_hz || recording.rate_hz > 100'000) {
    return wrong("its rate is ", recording.rate_hz, " Hz; must be from ", min_rate_hz,
                 " to 100000 Hz");
  }
  if (!(std::abs(recording.lag_s) <= kMaxLagS)) {
    return wrong("its label lag is ", recording.lag_s, " s; must be from -", kMaxLagS, " to ",
                 kMaxLagS, " s");
  }
  const size_t samples = recording.channels[0].size();
  for (size_t c = 0; c < channels; ++c) {
    const auto& x = recording.channels[c];
    if (x.size() != samples) {
      return wrong("channel ", c + 1, " has ", x.size(), " samples, channel 1 has ", samples);
    }
    for (size_t i = 0; i < samples; ++i) {
      if (!std::isfinite(x[i]) && !missing(x[i])) {
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
    const double bpm = recording.bpm[i];
    if (!(bpm >= kMinBpm && bpm <= kMaxBpm) && !missing(bpm)) {
      return wrong("label ", i + 1, " is ", bpm, " BPM; must be from ", kMinBpm, " to ", kMaxBpm);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<size_t>> ChooseChannels(const std::vector<std::string>& names,
                                                   const std::vector<std::string>& wanted) {
  std::vector<size_t> chosen;
  if (wanted.empty()) {
    for (size_t c = 0; c < names.size(); ++c) chosen.push_back(c);
    return chosen;
  }
  for (const auto& want : wanted) {
    size_t at = std::find(names.begin(), names.end(), want) - names.begin();
    if (int number = 0; at == names.size() && absl::SimpleAtoi(want, &number) && number >= 1) {
      at = static_cast<size_t>(number) - 1;
    }
    if (at >= names.size()) {
      return absl::InvalidArgumentError(absl::StrCat("channels: no channel '", want,
                                                     "'; must be of ", absl::StrJoin(names, ", "),
                                                     ", or a number from 1 to ", names.size()));
    }
    if (std::find(chosen.begin(), chosen.end(), at) != chosen.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("channels: '", want, "' is channel ", names[at], ", which is there twice"));
    }
    chosen.push_back(at);
  }
  return chosen;
}

}  // namespace retort
