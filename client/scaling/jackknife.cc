#include "client/scaling/jackknife.h"

#include <math.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace retort::scaling {
namespace {

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

// The delete-one variance (n - 1) / n * sum (theta_i - mean)^2 of each statistic.
std::vector<double> DeleteOneVariance(const std::vector<std::vector<double>>& replicates,
                                      int count) {
  const double n = static_cast<double>(replicates.size());
  std::vector<double> variance(count, 0.0);
  for (int k = 0; k < count; ++k) {
    double mean = 0;
    for (const auto& replicate : replicates) mean += replicate[k] / n;
    for (const auto& replicate : replicates) {
      variance[k] += (n - 1) / n * (replicate[k] - mean) * (replicate[k] - mean);
    }
  }
  return variance;
}

// Satterthwaite (1946): degrees of freedom of a sum of independent variance estimates.
double DegreesOfFreedom(double by_subject, int subjects, double by_seed, int seeds) {
  const double most = subjects - 1;
  const double total = by_subject + by_seed;
  if (total <= 0 || seeds < 2) return most;
  const double denominator =
      by_subject * by_subject / (subjects - 1) + by_seed * by_seed / (seeds - 1);
  return std::min(most, total * total / denominator);
}

}  // namespace

JackknifeResult Jackknife(int subjects, int seeds, int count, const Statistics& statistics) {
  JackknifeResult result;
  const auto leave_out_each = [&](int clusters, bool subject) {
    std::vector<std::vector<double>> replicates;
    for (int i = 0; i < clusters; ++i) {
      LeftOut left_out;
      (subject ? left_out.subject : left_out.seed) = i;
      ++result.resamples;
      if (auto replicate = statistics(left_out)) {
        replicates.push_back(*std::move(replicate));
      } else {
        ++result.failed;
      }
    }
    return replicates;
  };
  const auto by_subject = leave_out_each(subjects, true);
  const auto by_seed = leave_out_each(seeds < 2 ? 0 : seeds, false);
  if (result.failed > 0) return result;
  const std::vector<double> subject_variance = DeleteOneVariance(by_subject, count);
  const std::vector<double> seed_variance = DeleteOneVariance(by_seed, count);
  for (int k = 0; k < count; ++k) {
    result.uncertainty.push_back(
        {std::sqrt(subject_variance[k] + seed_variance[k]),
         DegreesOfFreedom(subject_variance[k], subjects, seed_variance[k], seeds)});
  }
  return result;
}

double StudentTTwoSidedP(double t, double degrees_of_freedom) {
  if (std::isinf(t)) return 0;
  const double sum = degrees_of_freedom + t * t;
  return RegularizedBeta(degrees_of_freedom / 2, 0.5, degrees_of_freedom / sum, t * t / sum);
}

double StudentTQuantile(double probability, double degrees_of_freedom) {
  if (probability < 0.5) return -StudentTQuantile(1 - probability, degrees_of_freedom);
  const double two_sided = 2 * (1 - probability);
  double high = 1;
  while (StudentTTwoSidedP(high, degrees_of_freedom) > two_sided && high < 1e300) high *= 2;
  double low = 0;
  for (int i = 0; i < 200 && high - low > 1e-14 * high; ++i) {  // monotone: bisection is safe
    const double middle = (low + high) / 2;
    (StudentTTwoSidedP(middle, degrees_of_freedom) > two_sided ? low : high) = middle;
  }
  return (low + high) / 2;
}

Interval ConfidenceInterval(double estimate, const Uncertainty& uncertainty, double confidence) {
  const double half =
      uncertainty.standard_error == 0
          ? 0
          : uncertainty.standard_error *
                StudentTQuantile((1 + confidence) / 2, uncertainty.degrees_of_freedom);
  return {estimate - half, estimate + half};
}

}  // namespace retort::scaling
