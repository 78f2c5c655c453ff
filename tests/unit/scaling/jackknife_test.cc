#include "client/scaling/jackknife.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
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

// One number per (subject, training) of some rows.
struct Row {
  ClusterLabels labels;
  double value;
};

Clusters ClustersOf(const std::vector<Row>& rows) {
  std::vector<ClusterLabels> labels;
  for (const Row& row : rows) labels.push_back(row.labels);
  return Clusters(labels);
}

// The mean of the rows, as a statistic.
JackknifeResult JackknifeMean(const std::vector<Row>& rows,
                              LeaveFoldsOut folds = LeaveFoldsOut::kNo) {
  const Clusters clusters = ClustersOf(rows);
  return Jackknife(clusters, 1, folds,
                   [&](const LeftOut& left_out) -> std::optional<std::vector<double>> {
                     double sum = 0;
                     int n = 0;
                     for (const Row& row : rows) {
                       if (left_out.subject == clusters.SubjectOf(row.labels)) continue;
                       if (left_out.training == clusters.TrainingOf(row.labels)) continue;
                       if (left_out.fold == clusters.FoldOf(row.labels)) continue;
                       sum += row.value;
                       ++n;
                     }
                     return std::vector<double>{sum / n};
                   });
}

TEST(Clusters, ATrainingIsAFoldAndASeed) {
  const std::vector<Row> rows = {
      {{"b", 0, 7}, 0}, {{"a", 1, 7}, 0}, {{"a", 1, 3}, 0}, {{"b", 0, 7}, 0}};
  const Clusters clusters = ClustersOf(rows);
  EXPECT_EQ(clusters.subjects(), 2);
  EXPECT_EQ(clusters.seeds(), 2);
  EXPECT_EQ(clusters.trainings_by_fold(), (std::vector<std::vector<int>>{{0}, {1, 2}}));
  EXPECT_EQ(clusters.SubjectOf(rows[0].labels), 1);
  EXPECT_EQ(clusters.TrainingOf(rows[1].labels), 2);
  EXPECT_TRUE(clusters.HasRepeatedTraining());
  EXPECT_FALSE(Clusters({{"a", 0, 1}, {"a", 1, 2}}).HasRepeatedTraining());
}

TEST(Jackknife, OfAMeanIsTheClassicalVarianceOfBothKindsOfClusters) {
  const JackknifeResult result = JackknifeMean({{{"a", 0, 0}, 1},
                                                {{"a", 0, 1}, 4},  //
                                                {{"b", 0, 0}, 3},
                                                {{"b", 0, 1}, 7},  //
                                                {{"c", 0, 0}, 2},
                                                {{"c", 0, 1}, 8}});
  ASSERT_EQ(result.uncertainty.size(), 1u);
  EXPECT_EQ(result.resamples, 5);
  const Uncertainty& uncertainty = result.uncertainty[0];
  // Subject means 2.5, 5, 5: their sample variance 25/12, over 3. Seed means 2, 19/3: 169/18,
  // over 2.
  EXPECT_NEAR(uncertainty.by_subject.variance, 25.0 / 12 / 3, 1e-12);
  EXPECT_EQ(uncertainty.by_subject.degrees_of_freedom, 2);
  EXPECT_NEAR(uncertainty.by_training.variance, 169.0 / 18 / 2, 1e-12);
  EXPECT_EQ(uncertainty.by_training.degrees_of_freedom, 1);
  EXPECT_NEAR(uncertainty.StandardError(), std::sqrt(25.0 / 36 + 169.0 / 36), 1e-12);
}

TEST(Jackknife, LeavesOutSeedsWithinOneFoldAtATime) {
  const JackknifeResult result = JackknifeMean({{{"a", 0, 0}, 1},
                                                {{"a", 0, 1}, 3},  //
                                                {{"b", 1, 0}, 5},
                                                {{"b", 1, 1}, 1},  //
                                                {{"c", 2, 0}, 4}});
  EXPECT_EQ(result.resamples, 3 + 4);  // fold 2 has one seed and shows nothing
  // Leaving out one of the values of a fold: means of the rest 13/4, 11/4 and 9/4, 13/4.
  EXPECT_NEAR(result.uncertainty[0].by_training.variance, 0.5 * (2 * 0.0625 + 2 * 0.25), 1e-12);
  EXPECT_EQ(result.uncertainty[0].by_training.degrees_of_freedom, 2);
}

TEST(Jackknife, LeavesOutWholeFoldsOnRequest) {
  const std::vector<Row> rows = {{{"a", 3, 0}, 1}, {{"b", 5, 0}, 3}, {{"c", 9, 0}, 5}};
  const JackknifeResult with = JackknifeMean(rows, LeaveFoldsOut::kIfSeveral);
  EXPECT_EQ(with.resamples, 3 + 3);
  EXPECT_NEAR(with.uncertainty[0].by_fold.variance, 4.0 / 3, 1e-12);
  EXPECT_EQ(with.uncertainty[0].by_fold.degrees_of_freedom, 2);
  EXPECT_EQ(JackknifeMean(rows).uncertainty[0].by_fold.degrees_of_freedom, 0);
  const std::vector<Row> two_folds = {{{"a", 3, 0}, 1}, {{"b", 5, 0}, 3}, {{"c", 5, 0}, 5}};
  EXPECT_EQ(JackknifeMean(two_folds, LeaveFoldsOut::kIfSeveral).resamples, 3);
}

TEST(Jackknife, WithOneSeedCountsSubjectsAlone) {
  const JackknifeResult result =
      JackknifeMean({{{"a", 0, 0}, 1}, {{"b", 0, 0}, 3}, {{"c", 0, 0}, 5}});
  EXPECT_EQ(result.resamples, 3);
  EXPECT_NEAR(result.uncertainty[0].StandardError(), std::sqrt(4.0 / 3), 1e-12);
  EXPECT_EQ(result.uncertainty[0].by_training.degrees_of_freedom, 0);
}

TEST(Jackknife, GivesNoUncertaintyIfAResampleFails) {
  const Clusters clusters({{"a", 0, 0}, {"b", 0, 0}, {"c", 0, 0}});
  const JackknifeResult result =
      Jackknife(clusters, 1, LeaveFoldsOut::kNo,
                [](const LeftOut& left_out) -> std::optional<std::vector<double>> {
                  if (left_out.subject == 1) return std::nullopt;
                  return std::vector<double>{1.0};
                });
  EXPECT_EQ(result.failed, 1);
  EXPECT_TRUE(result.uncertainty.empty());
}

TEST(ConfidenceInterval, GivesEachKindItsOwnDegreesOfFreedom) {
  const Interval one =
      ConfidenceInterval(10, {.by_subject = {4, 11}, .by_training = {}, .by_fold = {}}, 0.95);
  EXPECT_NEAR(one.low, 10 - 2 * 2.20098516, 1e-6);
  EXPECT_NEAR(one.high, 10 + 2 * 2.20098516, 1e-6);
  const Interval both =
      ConfidenceInterval(10, {.by_subject = {4, 11}, .by_training = {1, 1}, .by_fold = {}}, 0.95);
  EXPECT_NEAR(both.high, 10 + std::hypot(2 * 2.20098516, 12.7062047), 1e-6);
  EXPECT_EQ(
      ConfidenceInterval(3, {.by_subject = {0, 5}, .by_training = {}, .by_fold = {}}, 0.95).high,
      3);
}

TEST(ConfidenceInterval, TakesTheWiderOfSubjectsWithTrainingsAndFolds) {
  const VarianceComponent subjects = {4, 11}, folds = {4, 3};
  const Interval wide =
      ConfidenceInterval(0, {.by_subject = subjects, .by_training = {}, .by_fold = folds}, 0.95);
  EXPECT_NEAR(wide.high, 2 * 3.18244631, 1e-6);
  const Interval same =
      ConfidenceInterval(0, {.by_subject = subjects, .by_training = {}, .by_fold = {1, 3}}, 0.95);
  EXPECT_NEAR(same.high, 2 * 2.20098516, 1e-6);
}

TEST(TwoSidedP, IsWhereTheIntervalTouchesZero) {
  const Uncertainty both = {.by_subject = {4, 11}, .by_training = {1, 3}, .by_fold = {}};
  for (const double estimate : {0.5, -3.0, 8.0}) {
    const double p = TwoSidedP(estimate, both);
    const Interval interval = ConfidenceInterval(estimate, both, 1 - p);
    EXPECT_NEAR(std::min(std::abs(interval.low), std::abs(interval.high)), 0, 1e-9);
  }
  EXPECT_NEAR(TwoSidedP(2 * 2.20098516, {.by_subject = {4, 11}, .by_training = {}, .by_fold = {}}),
              0.05, 1e-8);
  EXPECT_EQ(TwoSidedP(0, both), 1);
  EXPECT_EQ(TwoSidedP(1, {}), 0);
}

}  // namespace
}  // namespace retort::scaling
