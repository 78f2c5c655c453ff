#include "client/scaling/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "client/scaling/parallel.h"

namespace retort::scaling {
namespace {

// 0..n-1, each as likely: Lemire (2019), ACM Transactions on Modeling and Computer Simulation 29;
// without the rejection step, whose bias is below n / 2^64. Unlike std::uniform_int_distribution
// the same everywhere.
size_t Draw(std::mt19937_64& generator, size_t n) {
  return static_cast<size_t>((static_cast<unsigned __int128>(generator()) * n) >> 64);
}

ClusterWeights DrawWeights(const LossTable& table, uint64_t seed, int resample) {
  std::seed_seq sequence = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32),
                            static_cast<uint32_t>(resample)};
  std::mt19937_64 generator(sequence);
  ClusterWeights weights = table.EqualWeights();
  std::fill(weights.subject.begin(), weights.subject.end(), 0.0);
  for (size_t i = 0; i < weights.subject.size(); ++i)
    ++weights.subject[Draw(generator, weights.subject.size())];
  for (const std::vector<int>& trainings : table.clusters().trainings_by_fold()) {
    if (trainings.size() < 2) continue;  // one shows nothing of how training varies
    for (const int training : trainings) weights.training[training] = 0;
    for (size_t i = 0; i < trainings.size(); ++i)
      ++weights.training[trainings[Draw(generator, trainings.size())]];
  }
  return weights;
}

double NormalTail(double z) { return 0.5 * std::erfc(z / std::sqrt(2.0)); }

// Of sorted values, linear between them.
double Percentile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double part = at - static_cast<double>(below);
  return part == 0 ? sorted[below] : (1 - part) * sorted[below] + part * sorted[below + 1];
}

}  // namespace

Interval BootstrapResult::IntervalOf(size_t statistic, double confidence) const {
  std::vector<double> values;
  for (const std::vector<double>& replicate : replicates) values.push_back(replicate[statistic]);
  std::sort(values.begin(), values.end());
  const double n = std::max(clusters, 2);
  const double t = StudentTQuantile((1 + confidence) / 2, n - 1);
  const double tail = NormalTail(std::sqrt(n / (n - 1)) * t);
  return {Percentile(values, tail), Percentile(values, 1 - tail)};
}

double BootstrapResult::StandardErrorOf(size_t statistic) const {
  const auto n = static_cast<double>(replicates.size());
  double mean = 0, squares = 0;
  for (const std::vector<double>& replicate : replicates) mean += replicate[statistic] / n;
  for (const std::vector<double>& replicate : replicates)
    squares += (replicate[statistic] - mean) * (replicate[statistic] - mean);
  return std::sqrt(squares / (n - 1));
}

BootstrapResult Bootstrap(
    const LossTable& table, const BootstrapOptions& options,
    const std::function<std::optional<std::vector<double>>(const ClusterWeights&)>& statistics) {
  std::vector<std::optional<std::vector<double>>> replicates(options.resamples);
  ParallelFor(options.resamples, options.threads,
              [&](int i) { replicates[i] = statistics(DrawWeights(table, options.seed, i)); });
  BootstrapResult result;
  result.clusters = table.clusters().subjects();
  result.resamples = options.resamples;
  for (auto& replicate : replicates) {
    if (replicate) {
      result.replicates.push_back(*std::move(replicate));
    } else {
      ++result.failed;
    }
  }
  return result;
}

}  // namespace retort::scaling
