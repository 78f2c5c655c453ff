#include "client/scaling/forms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "client/scaling/objective.h"
#include "client/scaling/robust_cost.h"
#include "client/scaling/smallest.h"
#include "tests/unit/scaling/simulate_forms.h"

namespace retort::scaling {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr LossNoise kNoNoise = {.subject = 0, .subject_size = 0, .network = 0, .rest = 0};

TEST(Forms, EachRecoversItsExactLaw) {
  for (const KnownLaw& law : KnownLaws()) {
    FitOptions options;
    options.form = law.form;
    options.curve_sizes = {law.tenfold};
    const auto fit = FitLaw(SimulateCurve(law, {}, kNoNoise, 1), options);
    ASSERT_TRUE(fit.ok()) << FormName(law.form) << ": " << fit.status().ToString();
    ASSERT_EQ(fit->parameters.size(), law.parameters.size());
    for (size_t k = 0; k < law.parameters.size(); ++k) {
      EXPECT_NEAR(fit->parameters[k].value, law.parameters[k], 1e-4 * law.parameters[k])
          << FormName(law.form) << " " << fit->parameters[k].name;
    }
    EXPECT_NEAR(fit->curve[0].loss, law.loss(law.tenfold), 1e-5);
    EXPECT_NEAR(fit->r_squared, 1, 1e-8);
    EXPECT_GT(fit->convergence.at_best, 3) << FormName(law.form);
  }
}

TEST(Forms, ExpLogIsPowerByAnotherName) {
  const auto observations = SimulateLosses({}, {}, {}, 4);
  FitOptions options;
  const auto power = FitLaw(observations, options);
  options.form = Form::kExpLog;
  const auto exp_log = FitLaw(observations, options);
  ASSERT_TRUE(power.ok() && exp_log.ok());
  const Parameter& alpha = *power->Find("alpha");
  const Parameter& k = *exp_log->Find("k");
  EXPECT_NEAR(k.value, alpha.value * std::log(10), 1e-9);
  EXPECT_NEAR(k.interval->low, alpha.interval->low * std::log(10), 1e-7);
  EXPECT_NEAR(power->Find("A")->value, exp_log->Find("A")->value, 1e-6);
  EXPECT_EQ(power->r_squared, exp_log->r_squared);
  EXPECT_EQ(LawOf(Form::kExpLog).same_as, Form::kPower);
}

TEST(Forms, TheObjectiveIsTheSumOfHuberLosses) {
  Points points;
  for (const double x : {-2.0, -1.0, 0.0, 1.0, 2.0}) {
    points.log_size.push_back(x);
    points.log_loss.push_back(1 - 0.3 * x + (x == 1 ? 0.5 : 0.02 * x * x));
    points.weight.push_back(x == 0 ? 3 : 1);
  }
  const Law& law = LawOf(Form::kPower);
  const Theta theta = {std::log(1.5), 0.2, 0.4};
  for (const double delta : {0.05, 0.3, 10.0}) {
    const std::unique_ptr<ceres::CostFunction> cost(law.cost(points, delta));
    std::vector<double> residuals(5), jacobian(15);
    const double* parameters[] = {theta.data()};
    double* jacobians[] = {jacobian.data()};
    ASSERT_TRUE(cost->Evaluate(parameters, residuals.data(), jacobians));
    double half_squares = 0, huber = 0;
    for (size_t i = 0; i < 5; ++i) {
      half_squares += residuals[i] * residuals[i] / 2;
      const double r = std::abs(law.log_loss(theta, points.log_size[i], 0) - points.log_loss[i]);
      huber += points.weight[i] * (r <= delta ? r * r / 2 : delta * (r - delta / 2));
    }
    EXPECT_NEAR(half_squares, huber, 1e-12) << delta;
    // The slopes are those of the residuals.
    for (int k = 0; k < 3; ++k) {
      Theta moved = theta;
      moved[k] += 1e-6;
      const double* there[] = {moved.data()};
      std::vector<double> changed(5);
      ASSERT_TRUE(cost->Evaluate(there, changed.data(), nullptr));
      for (size_t i = 0; i < 5; ++i)
        EXPECT_NEAR((changed[i] - residuals[i]) / 1e-6, jacobian[3 * i + k], 1e-4);
    }
  }
}

TEST(Forms, TheGridOfHoffmannHas4500Starts) {
  Points points;
  points.centers = {.size = 10, .size2 = 5};
  const std::vector<Theta> grid = LawOf(Form::kPower2).chinchilla_starts(points);
  EXPECT_EQ(grid.size(), 4500u);
  // A and B are those at size 1, as in the paper.
  const std::vector<double> last = LawOf(Form::kPower2).natural(grid.back(), points.centers);
  EXPECT_THAT(last, ElementsAre(DoubleNear(std::exp(1), 1e-9), DoubleNear(std::exp(25), 1e-3), 2,
                                DoubleNear(std::exp(25), 1e-3), 2));

  FitOptions options;
  options.preset = Preset::kChinchilla;
  options.points_are = PointsAre::kRows;
  options.uncertainty = UncertaintyMethod::kNone;
  options.bootstrap.threads = 2;
  const auto power = FitLaw(SimulateRows(KnownLaws()[0], 40, 0.01, 3), options);
  ASSERT_TRUE(power.ok()) << power.status();
  EXPECT_EQ(power->convergence.starts, 150);
  EXPECT_GT(power->convergence.at_best, 100);
  EXPECT_EQ(power->huber_delta, 1e-3);
}

TEST(Forms, OutliersHardlyMoveALawOfTwoSizes) {
  const KnownLaw law = KnownLaws()[3];
  auto rows = SimulateRows(law, 240, 0.002, 5);
  for (size_t i = 0; i < rows.size(); i += 9) rows[i].loss *= i % 2 == 0 ? 3 : 0.5;
  FitOptions options;
  options.form = Form::kPower2;
  options.points_are = PointsAre::kRows;
  options.uncertainty = UncertaintyMethod::kNone;
  const auto robust = FitLaw(rows, options);
  options.huber_delta = 100;
  const auto plain = FitLaw(rows, options);
  ASSERT_TRUE(robust.ok() && plain.ok());
  const auto error = [&](const Fit& fit, const std::string& name, double truth) {
    return std::abs(std::log(fit.Find(name)->value / truth));
  };
  EXPECT_LT(error(*robust, "alpha", 0.5), 0.1);
  EXPECT_LT(error(*robust, "beta", 0.4), 0.1);
  EXPECT_LT(error(*robust, "E", 2), 0.1);
  EXPECT_GT(error(*plain, "alpha", 0.5) + error(*plain, "beta", 0.4),
            2 * (error(*robust, "alpha", 0.5) + error(*robust, "beta", 0.4)));
}

TEST(Forms, ALogLawThatFallsBelowZeroFarOutIsZeroThere) {
  std::vector<Observation> rows;
  for (const double n : {1e2, 1e3, 1e4, 1e5}) rows.push_back({n, 6 - std::log10(n), "s", 0});
  FitOptions options;
  options.form = Form::kLog;
  options.curve_sizes = {1e5, 1e8};
  const auto fit = FitLaw(rows, options);
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_NEAR(fit->curve[0].loss, 1, 1e-6);
  EXPECT_EQ(fit->curve[1].loss, 0);
}

TEST(Forms, TeachersTooFewForKappaAreAnError) {
  const KnownLaw law = KnownLaws()[4];
  auto rows = SimulateCurve(law, {}, kNoNoise, 1);
  std::erase_if(rows, [](const Observation& row) { return row.size2 == 5.5; });
  FitOptions options;
  options.form = Form::kDistill;
  const auto fit = FitLaw(rows, options);
  EXPECT_EQ(fit.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(fit.status().message()), HasSubstr("2 distinct second sizes"));
}

TEST(SmallestSize, IsWhereTheUpperEndOfTheIntervalComesDownToTheLoss) {
  const TrueLaw law;
  const auto observations = SimulateLosses(law, {}, {}, 3);
  const auto smallest = SmallestSize(observations, {}, 5, 0.95);
  ASSERT_TRUE(smallest.ok()) << smallest.status();
  ASSERT_TRUE(smallest->size && smallest->without_confidence);
  EXPECT_GT(*smallest->size, *smallest->without_confidence);
  FitOptions options;
  options.confidence = 0.9;  // two-sided
  options.curve_sizes = {*smallest->size, *smallest->without_confidence};
  const auto fit = FitLaw(observations, options);
  ASSERT_TRUE(fit.ok());
  EXPECT_NEAR(fit->curve[0].interval->high, 5, 0.01);
  EXPECT_NEAR(fit->curve[1].loss, 5, 0.01);
  EXPECT_GE(*smallest->measured_size, *smallest->size);
  // Under the floor there is none, and no trained network keeps it.
  const auto none = SmallestSize(observations, {}, 1, 0.95);
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->size || none->measured_size || none->without_confidence);
}

TEST(SmallestSize, RefusesWhatCannotBeAnswered) {
  const auto observations = SimulateLosses({}, {.subjects = 4}, {}, 3);
  EXPECT_EQ(SmallestSize(observations, {}, 5, 0.95).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(SmallestSize(observations, {}, -5, 0.95).status().message()),
              HasSubstr("-5"));
  EXPECT_THAT(std::string(SmallestSize(observations, {}, 5, 0.4).status().message()),
              HasSubstr("0.4"));
}

}  // namespace
}  // namespace retort::scaling
