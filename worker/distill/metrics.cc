#include "worker/distill/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "common/spec/heart_rate.h"

namespace retort::distill {
namespace {

constexpr int kBins = 15;  // of the calibration error
// Rounding of log-probabilities in single precision; a distribution that is split in two halves has
// its median in the lower one nevertheless.
constexpr double kHalf = 0.5 - 1e-6;

// Windows of a subject or of all.
using Windows = std::vector<const WindowEstimate*>;

// Mean of `value(window)` over windows.
template <typename F>
double MeanOver(const Windows& windows, F value) {
  double sum = 0;
  for (const auto* window : windows) sum += value(*window);
  return sum / static_cast<double>(windows.size());
}

// Mean absolute error of `estimate(decoded)` over the channels of a window.
template <typename F>
double ChannelError(const WindowEstimate& window, F estimate) {
  double sum = 0;
  for (const auto& decoded : window.channels) {
    sum += std::abs(estimate(decoded) - window.reference_bpm);
  }
  return sum / static_cast<double>(window.channels.size());
}

// The errors that are averaged within a subject and then over subjects.
void SetMeans(const Windows& windows, double train_mean_bpm, v1::HeartRateMetrics& m) {
  const auto channel_mae = [&](double Decoded::*estimate) {
    return MeanOver(windows, [&](const WindowEstimate& w) {
      return ChannelError(w, [&](const Decoded& d) { return d.*estimate; });
    });
  };
  m.set_mae_bpm(channel_mae(&Decoded::median_bpm));
  m.set_mae_argmax_bpm(channel_mae(&Decoded::argmax_bpm));
  m.set_mae_expectation_bpm(channel_mae(&Decoded::expectation_bpm));
  m.set_mae_all_channels_bpm(MeanOver(windows, [](const WindowEstimate& w) {
    return std::abs(w.all_channels.median_bpm - w.reference_bpm);
  }));
  m.set_floor_mean_bpm(MeanOver(windows, [&](const WindowEstimate& w) {
    return std::abs(train_mean_bpm - w.reference_bpm);
  }));
  m.set_floor_fft_bpm(MeanOver(windows, [](const WindowEstimate& w) {
    double sum = 0;
    for (double bpm : w.fft_bpm) sum += std::abs(bpm - w.reference_bpm);
    return sum / static_cast<double>(w.fft_bpm.size());
  }));
}

// Quantile of sorted values with linear interpolation.
double Quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

double Pearson(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  double mean_x = 0, mean_y = 0;
  for (size_t i = 0; i < x.size(); ++i) mean_x += x[i] / n, mean_y += y[i] / n;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double dx = x[i] - mean_x, dy = y[i] - mean_y;
    xx += dx * dx, yy += dy * dy, xy += dx * dy;
  }
  // Rounding of the means leaves constants with a spread of this order.
  const double tiny_x = 1e-18 * n * mean_x * mean_x, tiny_y = 1e-18 * n * mean_y * mean_y;
  if (xx <= tiny_x || yy <= tiny_y) return std::numeric_limits<double>::quiet_NaN();
  return xy / std::sqrt(xx * yy);
}

// Expected calibration error (Guo et al. 2017): the gap between accuracy and confidence, averaged
// over bins of confidence.
double CalibrationError(const Windows& windows, double observations) {
  double gaps[kBins] = {};
  for (const auto* window : windows) {
    for (const auto& decoded : window->channels) {
      const int bin = std::clamp(static_cast<int>(decoded.confidence * kBins), 0, kBins - 1);
      gaps[bin] += (decoded.correct ? 1 : 0) - decoded.confidence;
    }
  }
  double sum = 0;
  for (double gap : gaps) sum += std::abs(gap);
  return sum / observations;
}

// The metrics in which every observation (a channel of a window) weighs the same.
void SetPooled(const Windows& windows, v1::HeartRateMetrics& m) {
  std::vector<double> estimates, references, absolute;
  double sum = 0, squares = 0, nll = 0;
  int within_5 = 0, within_10 = 0;
  for (const auto* window : windows) {
    for (const auto& decoded : window->channels) {
      const double error = decoded.median_bpm - window->reference_bpm;
      estimates.push_back(decoded.median_bpm);
      references.push_back(window->reference_bpm);
      absolute.push_back(std::abs(error));
      sum += error;
      squares += error * error;
      nll += decoded.nll;
      within_5 += std::abs(error) <= 5;
      within_10 += std::abs(error) <= 10;
    }
  }
  const auto n = static_cast<double>(absolute.size());
  const double bias = sum / n;
  double spread = 0;
  for (size_t i = 0; i < estimates.size(); ++i) {
    spread += std::pow(estimates[i] - references[i] - bias, 2);
  }
  const double deviation = n > 1 ? std::sqrt(spread / (n - 1)) : 0;
  std::sort(absolute.begin(), absolute.end());
  m.set_rmse_bpm(std::sqrt(squares / n));
  m.set_bias_bpm(bias);
  m.set_loa_low_bpm(bias - 1.96 * deviation);
  m.set_loa_high_bpm(bias + 1.96 * deviation);
  m.set_p90_bpm(Quantile(absolute, 0.9));
  m.set_within_5_bpm(within_5 / n);
  m.set_within_10_bpm(within_10 / n);
  m.set_pearson_r(Pearson(estimates, references));
  m.set_cross_entropy(nll / n);
  m.set_calibration_error(CalibrationError(windows, n));
}

v1::HeartRateMetrics MetricsOf(const Windows& windows, double train_mean_bpm) {
  v1::HeartRateMetrics m;
  m.set_windows(static_cast<int64_t>(windows.size()));
  SetMeans(windows, train_mean_bpm, m);
  SetPooled(windows, m);
  return m;
}

// Replaces the errors of `overall` by the means over subjects, so that a subject with many windows
// does not weigh more.
void AverageOverSubjects(const v1::Evaluation& evaluation, v1::HeartRateMetrics& overall) {
  const auto mean = [&](double (v1::HeartRateMetrics::*get)() const) {
    double sum = 0;
    for (const auto& subject : evaluation.subjects()) sum += (subject.metrics().*get)();
    return sum / evaluation.subjects_size();
  };
  using M = v1::HeartRateMetrics;
  overall.set_mae_bpm(mean(&M::mae_bpm));
  overall.set_mae_argmax_bpm(mean(&M::mae_argmax_bpm));
  overall.set_mae_expectation_bpm(mean(&M::mae_expectation_bpm));
  overall.set_mae_all_channels_bpm(mean(&M::mae_all_channels_bpm));
  overall.set_floor_mean_bpm(mean(&M::floor_mean_bpm));
  overall.set_floor_fft_bpm(mean(&M::floor_fft_bpm));
}

}  // namespace

Decoded Decode(std::span<const float> log_p, double reference_bpm) {
  Decoded out;
  const auto best = std::max_element(log_p.begin(), log_p.end()) - log_p.begin();
  double cumulative = 0;
  bool found = false;
  for (size_t c = 0; c < log_p.size(); ++c) {
    const double p = std::exp(static_cast<double>(log_p[c]));
    const double bpm = kFirstBpm + static_cast<double>(c);
    cumulative += p;
    out.expectation_bpm += p * bpm;
    if (!found && cumulative >= kHalf) {
      out.median_bpm = bpm;
      found = true;
    }
  }
  // Single precision leaves the sum a little off 1.
  out.expectation_bpm /= cumulative;
  out.argmax_bpm = kFirstBpm + static_cast<double>(best);
  out.confidence = std::exp(static_cast<double>(log_p[best]));
  const int reference = ClassOfBpm(reference_bpm);
  out.nll = -static_cast<double>(log_p[reference]);
  out.correct = best == reference;
  return out;
}

std::vector<float> MeanDistribution(std::span<const float> log_p, int rows) {
  const size_t classes = log_p.size() / rows;
  std::vector<float> mean(classes);
  for (size_t c = 0; c < classes; ++c) {
    float top = -std::numeric_limits<float>::infinity();
    for (int r = 0; r < rows; ++r) top = std::max(top, log_p[r * classes + c]);
    double sum = 0;
    for (int r = 0; r < rows; ++r)
      sum += std::exp(static_cast<double>(log_p[r * classes + c] - top));
    mean[c] = static_cast<float>(top + std::log(sum / rows));
  }
  return mean;
}

v1::Evaluation Evaluate(const std::vector<WindowEstimate>& windows,
                        const std::vector<std::string>& subjects, double train_mean_bpm) {
  std::map<int, Windows> by_subject;
  Windows all;
  for (const auto& window : windows) {
    by_subject[window.subject].push_back(&window);
    all.push_back(&window);
  }
  v1::Evaluation evaluation;
  for (const auto& [subject, its_windows] : by_subject) {
    auto& entry = *evaluation.add_subjects();
    entry.set_subject(subjects[subject]);
    *entry.mutable_metrics() = MetricsOf(its_windows, train_mean_bpm);
    evaluation.set_worst_subject_mae_bpm(
        std::max(evaluation.worst_subject_mae_bpm(), entry.metrics().mae_bpm()));
  }
  *evaluation.mutable_overall() = MetricsOf(all, train_mean_bpm);
  AverageOverSubjects(evaluation, *evaluation.mutable_overall());
  return evaluation;
}

}  // namespace retort::distill
