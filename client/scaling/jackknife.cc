#include "client/scaling/jackknife.h"

#include <math.h>

#include <algorithm>
#include <cmath>

namespace retort::scaling {
namespace {

constexpr int kMinFolds = 3;

double LogGamma(double x) {
  int sign = 0;  // std::lgamma would write it to a global that threads share
  return lgamma_r(x, &sign);
}

// The continued fraction of the regularised incomplete beta function (NIST Digital Library of
// Mathematical Functions, https://dlmf.nist.gov/8.17.E22), evaluated by the modified Lentz method.
// Converges fast for x < (a + 1) / (a + b + 2).
double BetaFraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  constexpr int kMaxTerms = 10000;
  const auto away_from_zero = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double h = d;
  for (int m = 1; m <= kMaxTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    h *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    h *= d * c;
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return h;
}

// I_x(a, b); `y` is 1 - x, given apart because the subtraction would lose digits near 1.
double RegularizedBeta(double a, double b, double x, double y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  const double log_front =
      LogGamma(a + b) - LogGamma(a) - LogGamma(b) + a * std::log(x) + b * std::log(y);
  if (x < (a + 1) / (a + b + 2)) return std::exp(log_front) * BetaFraction(a, b, x) / a;
  return 1 - std::exp(log_front) * BetaFraction(b, a, y) / b;
}

// The delete-one variance (n - 1) / n * sum (theta_i - mean)^2, added to that of each statistic.
void AddDeleteOneVariance(const std::vector<std::vector<double>>& replicates,
                          std::vector<double>& variance) {
  const double n = static_cast<double>(replicates.size());
  for (size_t k = 0; k < variance.size(); ++k) {
    double mean = 0;
    for (const auto& replicate : replicates) mean += replicate[k] / n;
    for (const auto& replicate : replicates) {
      variance[k] += (n - 1) / n * (replicate[k] - mean) * (replicate[k] - mean);
    }
  }
}

// The square of half the width that a component alone gives the interval with this two-sided tail
// probability.
double SquaredHalfWidth(const VarianceComponent& component, double tail) {
  if (component.degrees_of_freedom <= 0 || component.variance <= 0) return 0;
  const double t = StudentTQuantile(1 - tail / 2, component.degrees_of_freedom);
  return t * t * component.variance;
}

double HalfWidth(const Uncertainty& uncertainty, double tail) {
  const double crossed = SquaredHalfWidth(uncertainty.by_subject, tail) +
                         SquaredHalfWidth(uncertainty.by_training, tail);
  return std::sqrt(std::max(crossed, SquaredHalfWidth(uncertainty.by_fold, tail)));
}

}  // namespace

Clusters::Clusters(const std::vector<ClusterLabels>& rows) {
  std::set<int64_t> seeds;
  for (const ClusterLabels& row : rows) {
    subjects_.emplace(row.subject, 0);
    trainings_.emplace(std::pair(row.fold, row.seed), 0);
    seeds.insert(row.seed);
  }
  seeds_ = static_cast<int>(seeds.size());
  int next = 0;
  for (auto& [subject, number] : subjects_) number = next++;
  next = 0;
  for (auto& [training, number] : trainings_) {  // ascending by fold
    number = next++;
    const int fold = folds_.emplace(training.first, static_cast<int>(folds_.size())).first->second;
    trainings_by_fold_.resize(folds_.size());
    trainings_by_fold_[fold].push_back(number);
  }
}

bool Clusters::HasRepeatedTraining() const {
  return std::any_of(trainings_by_fold_.begin(), trainings_by_fold_.end(),
                     [](const std::vector<int>& trainings) { return trainings.size() >= 2; });
}

bool Clusters::HasFoldsToLeaveOut() const {
  return static_cast<int>(trainings_by_fold_.size()) >= kMinFolds;
}

double Uncertainty::StandardError() const {
  return std::sqrt(std::max(by_subject.variance + by_training.variance, by_fold.variance));
}

JackknifeResult Jackknife(const Clusters& clusters, int count, LeaveFoldsOut leave_folds_out,
                          const Statistics& statistics) {
  JackknifeResult result;
  const auto resample = [&](const LeftOut& left_out, std::vector<std::vector<double>>& replicates) {
    ++result.resamples;
    if (auto replicate = statistics(left_out)) {
      replicates.push_back(*std::move(replicate));
    } else {
      ++result.failed;
    }
  };
  std::vector<double> by_subject(count, 0.0), by_training(count, 0.0), by_fold(count, 0.0);
  std::vector<std::vector<double>> replicates;
  for (int i = 0; i < clusters.subjects(); ++i)
    resample({.subject = i, .training = {}, .fold = {}}, replicates);
  AddDeleteOneVariance(replicates, by_subject);
  double training_freedom = 0;
  for (const std::vector<int>& trainings : clusters.trainings_by_fold()) {
    if (trainings.size() < 2) continue;
    replicates.clear();
    for (const int training : trainings)
      resample({.subject = {}, .training = training, .fold = {}}, replicates);
    AddDeleteOneVariance(replicates, by_training);
    training_freedom += static_cast<double>(trainings.size()) - 1;
  }
  const int folds = static_cast<int>(clusters.trainings_by_fold().size());
  const bool by_folds =
      leave_folds_out == LeaveFoldsOut::kIfSeveral && clusters.HasFoldsToLeaveOut();
  if (by_folds) {
    replicates.clear();
    for (int i = 0; i < folds; ++i)
      resample({.subject = {}, .training = {}, .fold = i}, replicates);
    AddDeleteOneVariance(replicates, by_fold);
  }
  if (result.failed > 0) return result;
  for (int k = 0; k < count; ++k) {
    result.uncertainty.push_back({.by_subject = {by_subject[k], clusters.subjects() - 1.0},
                                  .by_training = {by_training[k], training_freedom},
                                  .by_fold = {by_fold[k], by_folds ? folds - 1.0 : 0.0}});
  }
  return result;
}

Interval ConfidenceInterval(double estimate, const Uncertainty& uncertainty, double confidence) {
  const double half = HalfWidth(uncertainty, 1 - confidence);
  return {estimate - half, estimate + half};
}

double TwoSidedP(double estimate, const Uncertainty& uncertainty) {
  if (estimate == 0) return 1;
  if (uncertainty.StandardError() == 0) return 0;
  double low = 1e-12, high = 1;
  if (HalfWidth(uncertainty, low) < std::abs(estimate)) return low;
  for (int i = 0; i < 60; ++i) {  // the half width falls as the tail grows
    const double middle = (low + high) / 2;
    (HalfWidth(uncertainty, middle) > std::abs(estimate) ? low : high) = middle;
  }
  return (low + high) / 2;
}

double StudentTTwoSidedP(double t, double degrees_of_freedom) {
  if (std::isinf(t)) return 0;
  const double sum = degrees_of_freedom + t * t;
  return RegularizedBeta(degrees_of_freedom / 2, 0.5, degrees_of_freedom / sum, t * t / sum);
}

double StudentTQuantile(double probability, double degrees_of_freedom) {
  if (probability < 0.5) return -StudentTQuantile(1 - probability, degrees_of_freedom);
  const double two_sided = 2 * (1 - probability);
  double low = 0, high = 1;
  while (StudentTTwoSidedP(high, degrees_of_freedom) > two_sided && high < 1e300) {
    low = high;
    high *= 2;
  }
  const double half = degrees_of_freedom / 2;
  const double log_scale =
      LogGamma(half + 0.5) - LogGamma(half) - 0.5 * std::log(degrees_of_freedom * M_PI);
  double t = (low + high) / 2;
  // Newton's method, by halves where it would leave the bracket.
  for (int i = 0; i < 200 && high - low > 1e-14 * high; ++i) {
    const double above = StudentTTwoSidedP(t, degrees_of_freedom) - two_sided;
    (above > 0 ? low : high) = t;
    const double log_density = log_scale - (half + 0.5) * std::log1p(t * t / degrees_of_freedom);
    const double next = t + above / (2 * std::exp(log_density));
    const double step = next > low && next < high ? next : (low + high) / 2;
    if (std::abs(step - t) <= 1e-15 * std::abs(t)) break;
    t = step;
  }
  return t;
}

}  // namespace retort::scaling
