#include "client/data/lag.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/data/recording.h"
#include "client/data/signal.h"
#include "common/spec/heart_rate.h"

namespace retort {
namespace {

constexpr double kReachS = 10, kStepS = 0.5;
constexpr int kShifts = 41;  // -10 to 10 s
constexpr size_t kMinWindows = 40;
constexpr double kClearLagS = 1, kClearCertainty = 4;

// The value at x of a piecewise linear curve through (0, y[0]), (1, y[1]), ....
template <typename T>
double At(const std::vector<T>& y, double x) {
  const double last = static_cast<double>(y.size()) - 1;
  x = std::clamp(x, 0.0, last);
  const auto i = static_cast<size_t>(std::min(x, last - 1));
  const double part = x - static_cast<double>(i);
  return (1 - part) * y[i] + part * y[i + 1];
}

// The label at window number x, which may lie between two: the mean with Gaussian weights of one
// window's width. Linear interpolation would average two labels half way between and one at a
// window, and that alone makes some labels fit better when moved by half a step.
double SmoothAt(const std::vector<double>& bpm, double x) {
  const auto last = static_cast<int>(bpm.size()) - 1;
  const int middle = static_cast<int>(std::lround(x));
  double sum = 0, weights = 0;
  for (int i = std::max(0, middle - 5); i <= std::min(last, middle + 5); ++i) {
    const double weight = std::exp(-0.5 * (i - x) * (i - x));
    sum += weight * bpm[i];
    weights += weight;
  }
  return sum / weights;
}

// A stretch of windows every 2 s.
struct Track {
  std::vector<double> bpm;
  std::vector<std::vector<float>> amplitude;  // [windows][180], of all channels, of sum 1 squared
};

// Mean over the windows of the amplitude at the labels, for each shift: [windows][kShifts].
void AppendScores(const Track& track, std::vector<std::vector<double>>& scores) {
  const auto reach = static_cast<size_t>(kReachS) / kStrideS;
  for (size_t w = reach; w + reach < track.bpm.size(); ++w) {
    auto& row = scores.emplace_back(kShifts);
    for (int s = 0; s < kShifts; ++s) {
      const double lag_s = s * kStepS - kReachS;
      const double bpm = SmoothAt(track.bpm, static_cast<double>(w) - lag_s / kStrideS);
      row[s] = At(track.amplitude[w], bpm - kFirstBpm);
    }
  }
}

// t statistic of the differences between two shifts, over the means of blocks of about 10 windows:
// neighbouring windows share their signal.
double Certainty(const std::vector<std::vector<double>>& scores, int a, int b) {
  const size_t blocks = std::max<size_t>(4, scores.size() / 10);
  std::vector<double> means;
  for (size_t k = 0; k < blocks; ++k) {
    const size_t begin = k * scores.size() / blocks, end = (k + 1) * scores.size() / blocks;
    double sum = 0;
    for (size_t w = begin; w < end; ++w) sum += scores[w][a] - scores[w][b];
    means.push_back(sum / static_cast<double>(end - begin));
  }
  const auto n = static_cast<double>(blocks);
  const double mean = std::accumulate(means.begin(), means.end(), 0.0) / n;
  double squares = 0;
  for (const double m : means) squares += (m - mean) * (m - mean);
  const double error = std::sqrt(squares / (n - 1) / n);
  return error > 0 ? mean / error : 0;
}

LabelLag LagOf(const std::string& recording, const std::vector<std::vector<double>>& scores) {
  std::vector<double> means(kShifts);
  for (const auto& row : scores) {
    for (int s = 0; s < kShifts; ++s) means[s] += row[s];
  }
  const int best = static_cast<int>(std::max_element(means.begin(), means.end()) - means.begin());
  const int zero = kShifts / 2;
  LabelLag lag{recording, best * kStepS - kReachS, Certainty(scores, best, zero), false};
  lag.clear = std::abs(lag.lag_s) >= kClearLagS && lag.certainty >= kClearCertainty;
  return lag;
}

}  // namespace

std::vector<LabelLag> EstimateLags(const Dataset& d) {
  const PeakHeartRate peak(d.samples, d.samples / static_cast<double>(kWindowS));
  const auto per_window = static_cast<size_t>(d.channels_count) * d.samples;
  std::vector<std::vector<std::vector<double>>> scores(d.recordings.size());
  Track track;
  for (int64_t w = 0; w < d.windows_count; ++w) {
    const bool follows = w > 0 && d.recording_W[w] == d.recording_W[w - 1] &&
                         d.start_s_W[w] - d.start_s_W[w - 1] == kStrideS;
    if (!follows) {
      if (w > 0) AppendScores(track, scores[d.recording_W[w - 1]]);
      track = {};
    }
    auto powers = peak.Powers(std::span(d.windows_WCL).subspan(w * per_window, per_window));
    const float total = std::accumulate(powers.begin(), powers.end(), 0.0F);
    for (float& power : powers) power = total > 0 ? std::sqrt(power / total) : 0;
    track.bpm.push_back(d.bpm_W[w]);
    track.amplitude.push_back(std::move(powers));
  }
  AppendScores(track, scores[d.recording_W.back()]);
  std::vector<LabelLag> lags;
  for (size_t r = 0; r < scores.size(); ++r) {
    if (scores[r].size() >= kMinWindows) lags.push_back(LagOf(d.recordings[r], scores[r]));
  }
  return lags;
}

std::string DescribeLags(const std::vector<LabelLag>& lags) {
  std::string out;
  for (const LabelLag& lag : lags) {
    if (!lag.clear) continue;
    if (out.empty()) {
      out =
          "Labels that seem misaligned, by the signals' spectra (their windows would have to be "
          "moved so much;\nonly a warning: leave such recordings out, or give a lag that their "
          "source is known to have):\n";
    }
    absl::StrAppend(&out, absl::StrFormat("  %-24s %+.1f s (t = %.1f)\n", lag.recording, lag.lag_s,
                                          lag.certainty));
  }
  return out;
}

}  // namespace retort
