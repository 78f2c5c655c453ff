#include "client/scaling/jackknife.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace retort::scaling {
namespace {

TEST(StudentT, QuantilesMatchPublishedTables) {
  // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2; df 1 is tan(pi (p - 1/2)).
  EXPECT_NEAR(StudentTQuantile(0.975, 1), 12.7062047, 1e-6);
  EXPECT_NEAR(StudentTQuantile(0.975, 2), 4.30265273, 1e-7);
  EXPECT_NEAR(StudentTQuantile(0.975, 5), 2.57058184, 1e-7);
  EXPECT_NEAR(StudentTQuantile(0.975, 11), 2.20098516, 1e-7);
  EXPECT_NEAR(StudentTQuantile(0.995, 33), 2.73327664, 1e-7);
  EXPECT_NEAR(StudentTQuantile(0.975, 1e7), 1.95996425, 1e-6);
  EXPECT_NEAR(StudentTQuantile(0.025, 5), -2.57058184, 1e-7);
  EXPECT_NEAR(StudentTQuantile(0.5, 7), 0, 1e-12);
}

TEST(StudentT, TwoSidedPInvertsTheQuantile) {
  for (const double df : {1.0, 1.5, 3.0, 11.0, 33.0, 500.0}) {
    for (const double p : {1e-6, 0.01, 0.05, 0.5, 0.999}) {
      EXPECT_NEAR(StudentTTwoSidedP(StudentTQuantile(1 - p / 2, df), df), p, 1e-9 + 1e-6 * p);
    }
  }
  EXPECT_DOUBLE_EQ(StudentTTwoSidedP(0, 4), 1);
  EXPECT_EQ(StudentTTwoSidedP(INFINITY, 4), 0);
}

// The mean over subjects and seeds of a table, as a statistic.
std::optional<std::vector<double>> MeanWithout(const std::vector<std::vector<double>>& table,
                                               const LeftOut& left_out) {
  double sum = 0;
  int n = 0;
  for (int i = 0; i < static_cast<int>(table.size()); ++i) {
    for (int j = 0; j < static_cast<int>(table[i].size()); ++j) {
      if (left_out.subject == i || left_out.seed == j) continue;
      sum += table[i][j];
      ++n;
    }
  }
  return std::vector<double>{sum / n};
}

TEST(Jackknife, OfAMeanIsTheClassicalStandardErrorOfBothKindsOfClusters) {
  const std::vector<std::vector<double>> table = {{1, 4}, {3, 7}, {2, 8}};
  // Subject means 2.5, 5, 5: their sample variance 25/12, over 3. Seed means 2, 19/3: 169/18,
  // over 2.
  const double subject_variance = 25.0 / 12 / 3, seed_variance = 169.0 / 18 / 2;
  const JackknifeResult both =
      Jackknife(3, 2, 1, [&](const LeftOut& left_out) { return MeanWithout(table, left_out); });
  ASSERT_EQ(both.uncertainty.size(), 1u);
  EXPECT_EQ(both.resamples, 5);
  EXPECT_NEAR(both.uncertainty[0].standard_error, std::sqrt(subject_variance + seed_variance),
              1e-12);
  const double total = subject_variance + seed_variance;
  const double df =
      total * total / (subject_variance * subject_variance / 2 + seed_variance * seed_variance);
  EXPECT_NEAR(both.uncertainty[0].degrees_of_freedom, df, 1e-9);
  EXPECT_LT(df, 2);
}

TEST(Jackknife, WithOneSeedCountsSubjectsAlone) {
  const std::vector<std::vector<double>> table = {{1}, {3}, {5}};
  const JackknifeResult result =
      Jackknife(3, 1, 1, [&](const LeftOut& left_out) { return MeanWithout(table, left_out); });
  ASSERT_EQ(result.uncertainty.size(), 1u);
  EXPECT_EQ(result.resamples, 3);
  EXPECT_NEAR(result.uncertainty[0].standard_error, std::sqrt(4.0 / 3), 1e-12);
  EXPECT_EQ(result.uncertainty[0].degrees_of_freedom, 2);
}

TEST(Jackknife, GivesNoUncertaintyIfAResampleFails) {
  const JackknifeResult result =
      Jackknife(3, 1, 1, [](const LeftOut& left_out) -> std::optional<std::vector<double>> {
        if (left_out.subject == 1) return std::nullopt;
        return std::vector<double>{1.0};
      });
  EXPECT_EQ(result.failed, 1);
  EXPECT_TRUE(result.uncertainty.empty());
}

TEST(ConfidenceInterval, IsSymmetricAndCollapsesWithoutSpread) {
  const Interval interval =
      ConfidenceInterval(10, {.standard_error = 2, .degrees_of_freedom = 11}, 0.95);
  EXPECT_NEAR(interval.low, 10 - 2 * 2.20098516, 1e-6);
  EXPECT_NEAR(interval.high, 10 + 2 * 2.20098516, 1e-6);
  EXPECT_EQ(ConfidenceInterval(3, {.standard_error = 0, .degrees_of_freedom = 5}, 0.95).high, 3);
}

}  // namespace
}  // namespace retort::scaling
