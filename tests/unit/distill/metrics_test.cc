#include "worker/distill/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace retort::distill {
namespace {

// Log-probabilities with the given mass at the given heart rates and next to nothing elsewhere.
std::vector<float> Distribution(const std::vector<std::pair<int, double>>& masses) {
  std::vector<float> log_p(180, -100.0f);
  for (const auto& [bpm, mass] : masses) log_p[bpm - 30] = static_cast<float>(std::log(mass));
  return log_p;
}

TEST(DecodeTest, GivesArgMaxExpectationAndMedian) {
  const auto d = Decode(Distribution({{60, 0.3}, {70, 0.3}, {80, 0.4}}), 70.4);
  EXPECT_EQ(d.argmax_bpm, 80);
  EXPECT_NEAR(d.expectation_bpm, 71, 1e-5);
  EXPECT_EQ(d.median_bpm, 70);
  EXPECT_NEAR(d.confidence, 0.4, 1e-6);
  EXPECT_NEAR(d.nll, -std::log(0.3), 1e-5);
  EXPECT_FALSE(d.correct);
  EXPECT_TRUE(Decode(Distribution({{60, 0.3}, {80, 0.7}}), 79.6).correct);
}

TEST(DecodeTest, MedianIsTheSmallestClassThatReachesOneHalf) {
  EXPECT_EQ(Decode(Distribution({{60, 0.5}, {90, 0.5}}), 60).median_bpm, 60);
  EXPECT_EQ(Decode(Distribution({{30, 1}}), 60).median_bpm, 30);
  EXPECT_EQ(Decode(Distribution({{209, 1}}), 60).median_bpm, 209);
}

TEST(DecodeTest, AveragesProbabilitiesOfChannels) {
  auto rows = Distribution({{60, 0.9}, {70, 0.1}});
  const auto other = Distribution({{70, 1.0}});
  rows.insert(rows.end(), other.begin(), other.end());
  const auto mean = MeanDistribution(rows, 2);
  EXPECT_NEAR(std::exp(mean[60 - 30]), 0.45, 1e-6);
  EXPECT_NEAR(std::exp(mean[70 - 30]), 0.55, 1e-6);
}

// A window of one subject whose channels estimate certain heart rates.
WindowEstimate Window(int subject, double reference, std::vector<double> estimates) {
  WindowEstimate w;
  w.subject = subject;
  w.reference_bpm = reference;
  double sum = 0;
  for (double estimate : estimates) {
    Decoded d;
    d.median_bpm = estimate;
    d.argmax_bpm = estimate + 1;
    d.expectation_bpm = estimate - 1;
    d.confidence = 0.5;
    d.nll = 2;
    d.correct = estimate == reference;
    w.channels.push_back(d);
    w.fft_bpm.push_back(reference + 10);
    sum += estimate;
  }
  w.all_channels.median_bpm = sum / static_cast<double>(estimates.size());
  return w;
}

class EvaluateTest : public testing::Test {
 protected:
  EvaluateTest() {
    // Errors: subject 0: +2 -2, +4 0; subject 2: +10 +20.
    evaluation_ =
        Evaluate({Window(0, 60, {62, 58}), Window(0, 80, {84, 80}), Window(2, 100, {110, 120})},
                 {"anna", "bert", "carl"}, 90);
    overall_ = evaluation_.overall();
  }
  v1::Evaluation evaluation_;
  v1::HeartRateMetrics overall_;
};

TEST_F(EvaluateTest, ErrorsAreMeansOverSubjects) {
  EXPECT_EQ(overall_.windows(), 3);
  EXPECT_DOUBLE_EQ(overall_.mae_bpm(), (2 + 15) / 2.0);
  EXPECT_DOUBLE_EQ(overall_.mae_argmax_bpm(), ((3 + 1 + 5 + 1) / 4.0 + (11 + 21) / 2.0) / 2);
  EXPECT_DOUBLE_EQ(overall_.mae_expectation_bpm(), ((1 + 3 + 3 + 1) / 4.0 + (9 + 19) / 2.0) / 2);
  EXPECT_DOUBLE_EQ(overall_.mae_all_channels_bpm(), ((0 + 2) / 2.0 + 15) / 2);
  EXPECT_DOUBLE_EQ(overall_.floor_mean_bpm(), ((30 + 10) / 2.0 + 10) / 2);
  EXPECT_DOUBLE_EQ(overall_.floor_fft_bpm(), 10);
}

TEST_F(EvaluateTest, TheRestIsPooledOverObservations) {
  // Errors: 2 -2 4 0 10 20; mean 34/6.
  const double bias = 34.0 / 6;
  EXPECT_NEAR(overall_.rmse_bpm(), std::sqrt((4 + 4 + 16 + 0 + 100 + 400) / 6.0), 1e-12);
  EXPECT_NEAR(overall_.bias_bpm(), bias, 1e-12);
  const double deviation = std::sqrt((524 - 6 * bias * bias) / 5);
  EXPECT_NEAR(overall_.loa_low_bpm(), bias - 1.96 * deviation, 1e-9);
  EXPECT_NEAR(overall_.loa_high_bpm(), bias + 1.96 * deviation, 1e-9);
  // Sorted: 0 2 2 4 10 20; at 0.9 * 5 = 4.5 between 10 and 20.
  EXPECT_NEAR(overall_.p90_bpm(), 15, 1e-12);
  EXPECT_NEAR(overall_.within_5_bpm(), 4 / 6.0, 1e-12);
  EXPECT_NEAR(overall_.within_10_bpm(), 5 / 6.0, 1e-12);
  EXPECT_NEAR(overall_.cross_entropy(), 2, 1e-12);
  // All in the bin of 0.5; one of six is correct.
  EXPECT_NEAR(overall_.calibration_error(), 0.5 - 1 / 6.0, 1e-12);
  // numpy.corrcoef([62, 58, 84, 80, 110, 120], [60, 60, 80, 80, 100, 100])
  EXPECT_NEAR(overall_.pearson_r(), 0.98287443, 1e-7);
}

TEST_F(EvaluateTest, SubjectsAreNamedAndTheWorstIsKnown) {
  ASSERT_EQ(evaluation_.subjects_size(), 2);
  EXPECT_EQ(evaluation_.subjects(0).subject(), "anna");
  EXPECT_EQ(evaluation_.subjects(1).subject(), "carl");
  EXPECT_DOUBLE_EQ(evaluation_.subjects(0).metrics().mae_bpm(), 2);
  EXPECT_DOUBLE_EQ(evaluation_.worst_subject_mae_bpm(), 15);
  // One reference only: no correlation.
  EXPECT_TRUE(std::isnan(evaluation_.subjects(1).metrics().pearson_r()));
}

TEST(CalibrationTest, BinsKeepOverAndUnderconfidenceApart) {
  WindowEstimate w = Window(0, 60, {60, 60});
  w.channels[0].confidence = 0.9;
  w.channels[0].correct = false;
  w.channels[1].confidence = 0.1;
  w.channels[1].correct = true;
  EXPECT_NEAR(Evaluate({w}, {"a"}, 60).overall().calibration_error(), 0.9, 1e-12);
}

}  // namespace
}  // namespace retort::distill
