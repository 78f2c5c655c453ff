#include "client/scaling/select.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "client/scaling/bootstrap.h"
#include "tests/unit/scaling/simulate_forms.h"

namespace retort::scaling {
namespace {

using ::testing::HasSubstr;

constexpr LossNoise kLittle = {.subject = 0.3, .subject_size = 0.002, .network = 0.002, .rest = 0};

KnownLaw WithManySizes(KnownLaw law) {
  law.sizes.clear();
  for (double n = 1000; n < 1.1e6; n *= 2) law.sizes.emplace_back(n);
  return law;
}

TEST(SelectForm, FindsTheFormThatMadeTheData) {
  for (const KnownLaw& law : KnownLaws()) {
    if (law.form == Form::kPower2 || law.form == Form::kDistill) continue;
    const auto selection = SelectForm(SimulateCurve(WithManySizes(law), {}, kLittle, 2), {});
    ASSERT_TRUE(selection.ok()) << selection.status();
    EXPECT_EQ(selection->form, law.form) << FormName(law.form);
    EXPECT_TRUE(selection->told_apart) << selection->reason;
    EXPECT_EQ(selection->candidates.size(), 3u);
    EXPECT_EQ(selection->held_out, 2);
  }
}

TEST(SelectForm, ChoosesBetweenFormsOfTwoSizes) {
  for (const KnownLaw& law : {KnownLaws()[3], KnownLaws()[4]}) {
    const auto selection = SelectForm(SimulateCurve(law, {}, kLittle, 2), {});
    ASSERT_TRUE(selection.ok()) << selection.status();
    EXPECT_EQ(selection->form, law.form);
  }
}

TEST(SelectForm, SaysWhenTheDataCannotTell) {
  // Six sizes and the noise of twelve subjects do not show how a law bends.
  KnownLaw law = KnownLaws()[0];
  law.loss = [](const Size& n) { return 0.01 + 12 * std::pow(n.size, -0.05); };
  const auto fit = FitSelectedForm(SimulateCurve(law, {}, {}, 6), {});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_FALSE(fit->selection.told_apart);
  EXPECT_TRUE(fit->fit.HasWarning(WarningKind::kIndistinguishable));
  EXPECT_FALSE(fit->selection.reason.empty());
}

TEST(SelectForm, WithTooFewSizesForAiccGoesByTheHeldOutOnes) {
  KnownLaw law = KnownLaws()[0];
  law.sizes.resize(5);
  const auto selection = SelectForm(SimulateCurve(law, {}, kLittle, 6), {});
  ASSERT_TRUE(selection.ok()) << selection.status();
  EXPECT_EQ(selection->form, Form::kPower);
  EXPECT_FALSE(selection->told_apart);
  EXPECT_THAT(selection->reason, HasSubstr("5 sizes are too few"));
  EXPECT_FALSE(selection->candidates[0].aicc);
  EXPECT_TRUE(selection->candidates[0].held_out_error);
}

TEST(SelectForm, AiccIsThatOfHurvichAndTsai) {
  const auto observations = SimulateLosses({}, {}, {}, 5);
  const auto fit = FitLaw(observations, {});
  ASSERT_TRUE(fit.ok());
  double squares = 0;
  for (const SizePoint& point : fit->points) squares += point.residual * point.residual;
  const double n = 6, k = 4;
  EXPECT_NEAR(*fit->aicc, n * std::log(squares / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1), 1e-9);
}

TEST(SelectForm, DegenerateInputIsAClearError) {
  EXPECT_THAT(std::string(SelectForm({}, {}).status().message()), HasSubstr("there are none"));
  EXPECT_THAT(
      std::string(SelectForm({{1, 4, "a"}, {2, 4, "a"}, {3, 4, "a"}}, {}).status().message()),
      HasSubstr("the loss is 4 at all 3 sizes"));
}

TEST(Bootstrap, IsTheSameOnAnyNumberOfThreadsAndChangesWithTheSeed) {
  const auto observations = SimulateLosses({}, {}, {}, 3);
  FitOptions options;
  options.uncertainty = UncertaintyMethod::kBootstrap;
  options.bootstrap = {.resamples = 100, .seed = 7, .threads = 1};
  const auto one = FitLaw(observations, options);
  options.bootstrap.threads = 3;
  const auto three = FitLaw(observations, options);
  options.bootstrap.seed = 8;
  const auto other = FitLaw(observations, options);
  ASSERT_TRUE(one.ok() && three.ok() && other.ok());
  const auto low = [](const Fit& fit) { return fit.Find("alpha")->interval->low; };
  EXPECT_EQ(low(*one), low(*three));
  EXPECT_NE(low(*one), low(*other));
  EXPECT_EQ(one->convergence.resamples, 100);
}

TEST(Bootstrap, OfAMeanOfRowsIsAsWideAsStudentsInterval) {
  // A line through log loss at two sizes far apart: the curve there is the mean of its rows.
  constexpr int kRows = 10;
  std::mt19937_64 generator(3);
  std::normal_distribution<double> normal;
  std::vector<Observation> rows;
  double mean = 0, squares = 0;
  for (int i = 0; i < kRows; ++i) {
    const double effect = 0.1 * normal(generator);
    mean += effect / kRows;
    squares += effect * effect;
    for (const double size : {1e2, 1e4, 1e6}) {
      rows.push_back({size, (20 - std::log(size)) * std::exp(effect), std::to_string(i)});
    }
  }
  const double error = std::sqrt((squares - kRows * mean * mean) / (kRows - 1) / kRows);
  FitOptions options;
  options.form = Form::kLog;
  options.points_are = PointsAre::kRows;
  options.huber_delta = 100;
  options.uncertainty = UncertaintyMethod::kBootstrap;
  options.bootstrap.resamples = 4000;
  const auto fit = FitLaw(rows, options);
  ASSERT_TRUE(fit.ok()) << fit.status();
  const Interval& interval = *fit->points[1].interval;
  const double width = std::log(interval.high / interval.low);
  EXPECT_NEAR(width / (2 * StudentTQuantile(0.975, kRows - 1) * error), 1, 0.08);
}

TEST(Bootstrap, SaysWhereItsIntervalsAreTooWide) {
  for (const KnownLaw& law : KnownLaws()) {
    if (law.form != Form::kPower && law.form != Form::kDistill) continue;
    FitOptions options;
    options.form = law.form;
    options.uncertainty = UncertaintyMethod::kBootstrap;
    options.bootstrap = {.resamples = 100, .seed = 1, .threads = 2};
    const auto fit = FitLaw(SimulateCurve(law, {}, {}, 3), options);
    ASSERT_TRUE(fit.ok()) << fit.status();
    EXPECT_LT(fit->subjects, 34);
    EXPECT_EQ(fit->HasWarning(WarningKind::kCoverage), law.form == Form::kDistill);
  }
}

TEST(Bootstrap, TooFewResamplesOrThreadsAreRefused) {
  FitOptions options;
  options.uncertainty = UncertaintyMethod::kBootstrap;
  options.bootstrap.resamples = 10;
  const auto observations = SimulateLosses({}, {}, {}, 3);
  EXPECT_THAT(std::string(FitLaw(observations, options).status().message()),
              HasSubstr("resamples: 10"));
  options.bootstrap = {.resamples = 100, .seed = 0, .threads = 0};
  EXPECT_THAT(std::string(FitLaw(observations, options).status().message()),
              HasSubstr("threads: 0"));
}

TEST(Rows, ManyRowsAreAveragedAtEachSize) {
  const KnownLaw law = KnownLaws()[0];
  FitOptions options;
  options.points_are = PointsAre::kRows;
  options.uncertainty = UncertaintyMethod::kBootstrap;
  options.bootstrap = {.resamples = 100, .seed = 0, .threads = 2};
  const auto fit = FitLaw(SimulateRows(law, 30'000, 0.3, 1), options);
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_EQ(fit->points.size(), 6u);
  EXPECT_LT(fit->Find("alpha")->interval->low, 0.5);
  EXPECT_GT(fit->Find("alpha")->interval->high, 0.5);
  EXPECT_NEAR(fit->Find("alpha")->value, 0.5, 0.05);
}

TEST(Rows, TooManySizesAreRefusedWithANumber) {
  std::vector<Observation> rows;
  for (int i = 1; i <= 20'001; ++i) rows.push_back({1.0 * i, 1.0 + 1.0 / i, "s"});
  FitOptions options;
  options.points_are = PointsAre::kRows;
  EXPECT_THAT(std::string(FitLaw(rows, options).status().message()),
              HasSubstr("20001 distinct sizes; at most 20000"));
}

}  // namespace
}  // namespace retort::scaling
