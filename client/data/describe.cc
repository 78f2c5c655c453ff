#include "client/data/describe.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/data/prepare.h"
#include "client/data/signal.h"

namespace retort {
namespace {

// What each window has, before it is averaged.
struct WindowErrors {
  double mean;
  double fft;
  double fft_all_channels;
};

// For each subject the mean heart rate of all others; of the only one there is, its own.
std::vector<double> MeansOfOthers(const Dataset& d) {
  double total = 0;
  std::vector<double> sums(d.subjects.size()), counts(d.subjects.size());
  for (int64_t w = 0; w < d.windows_count; ++w) {
    total += d.bpm_W[w];
    sums[d.subject_W[w]] += d.bpm_W[w];
    counts[d.subject_W[w]] += 1;
  }
  const auto n = static_cast<double>(d.windows_count);
  std::vector<double> means;
  for (size_t s = 0; s < sums.size(); ++s) {
    means.push_back(counts[s] < n ? (total - sums[s]) / (n - counts[s]) : total / n);
  }
  return means;
}

std::vector<WindowErrors> ErrorsOf(const Dataset& d) {
  const auto predicted = MeansOfOthers(d);
  const PeakHeartRate peak(d.samples, d.samples / static_cast<double>(kWindowS));
  const auto per_window = static_cast<size_t>(d.channels_count) * d.samples;
  std::vector<WindowErrors> errors;
  for (int64_t w = 0; w < d.windows_count; ++w) {
    const double bpm = d.bpm_W[w];
    double fft = 0;
    for (int c = 0; c < d.channels_count; ++c) {
      fft += std::abs(d.fft_bpm_WC[w * d.channels_count + c] - bpm) / d.channels_count;
    }
    const auto window = std::span(d.windows_WCL).subspan(w * per_window, per_window);
    errors.push_back(
        {std::abs(bpm - predicted[d.subject_W[w]]), fft, std::abs(peak(window) - bpm)});
  }
  return errors;
}

WindowFacts FactsOf(const Dataset& d, const std::vector<WindowErrors>& errors,
                    const std::vector<int64_t>& windows) {
  WindowFacts facts;
  facts.windows = static_cast<int64_t>(windows.size());
  facts.min_bpm = facts.max_bpm = d.bpm_W[windows[0]];
  const auto n = static_cast<double>(windows.size());
  for (int64_t w : windows) {
    const double bpm = d.bpm_W[w];
    facts.min_bpm = std::min(facts.min_bpm, bpm);
    facts.max_bpm = std::max(facts.max_bpm, bpm);
    facts.mean_bpm += bpm / n;
    facts.mean_floor_bpm += errors[w].mean / n;
    facts.fft_floor_bpm += errors[w].fft / n;
    facts.fft_all_channels_floor_bpm += errors[w].fft_all_channels / n;
  }
  return facts;
}

// A line for each 10 BPM between the lowest and the highest heart rate.
std::string Histogram(const std::vector<float>& bpm_W) {
  constexpr int kBinBpm = 10;
  constexpr int64_t kLongestBar = 50;
  std::map<int, int64_t> bins;
  for (const float bpm : bpm_W) ++bins[static_cast<int>(bpm) / kBinBpm];
  int64_t most = 0;
  for (const auto& [bin, count] : bins) most = std::max(most, count);
  std::string out = "heart rate, BPM   windows\n";
  for (int bin = bins.begin()->first; bin <= bins.rbegin()->first; ++bin) {
    const int64_t count = bins[bin];
    const auto bar = static_cast<size_t>((count * kLongestBar + most - 1) / most);
    absl::StrAppend(
        &out, absl::StrFormat("%3d to %3d %14d%s%s\n", bin * kBinBpm, (bin + 1) * kBinBpm, count,
                              bar > 0 ? " " : "", std::string(bar, '#')));
  }
  return out;
}

std::string Row(const std::string& name, const WindowFacts& f) {
  return absl::StrFormat("%-16s %8d %9.1f %9.1f %9.1f %11.1f %10.1f %13.1f\n", name, f.windows,
                         f.min_bpm, f.mean_bpm, f.max_bpm, f.mean_floor_bpm, f.fft_floor_bpm,
                         f.fft_all_channels_floor_bpm);
}

}  // namespace

DatasetSummary Summarize(const Dataset& dataset) {
  std::vector<int64_t> all(dataset.windows_count);
  std::iota(all.begin(), all.end(), int64_t{0});
  std::vector<std::vector<int64_t>> by_subject(dataset.subjects.size());
  for (int64_t w : all) by_subject[dataset.subject_W[w]].push_back(w);

  const auto errors = ErrorsOf(dataset);
  DatasetSummary summary;
  summary.all = FactsOf(dataset, errors, all);
  for (size_t s = 0; s < by_subject.size(); ++s) {
    summary.subjects.push_back({dataset.subjects[s], FactsOf(dataset, errors, by_subject[s])});
  }
  return summary;
}

std::string DescribeDataset(const Dataset& dataset) {
  const DatasetSummary summary = Summarize(dataset);
  std::string channels;
  for (const auto& name : dataset.channels) absl::StrAppend(&channels, " ", name);
  std::string out = absl::StrCat(dataset.windows_count, " windows of ", dataset.samples,
                                 " samples, channels", channels, ", ", dataset.subjects.size(),
                                 " subjects, ", dataset.recordings.size(), " recordings\n");
  for (const auto& [key, value] : dataset.metadata) absl::StrAppend(&out, key, ": ", value, "\n");
  absl::StrAppend(&out, absl::StrFormat("\n%-16s %8s %9s %9s %9s %11s %10s %13s\n", "subject",
                                        "windows", "min BPM", "mean BPM", "max BPM", "mean floor",
                                        "FFT floor", "FFT, all ch."));
  for (const auto& [subject, facts] : summary.subjects) absl::StrAppend(&out, Row(subject, facts));
  absl::StrAppend(&out, Row("all", summary.all),
                  "Floors, mean absolute error in BPM: predicting the mean of the other subjects; "
                  "the strongest spectral peak of single channels, and of all channels added.\n\n",
                  Histogram(dataset.bpm_W));
  return out;
}

}  // namespace retort
