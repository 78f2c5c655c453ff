#include "worker/distill/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace retort::distill {
namespace {

TEST(ScheduleTest, OneCycleIsPyTorchs) {
  // torch.optim.lr_scheduler.OneCycleLR(max_lr=0.01, total_steps=100), steps 0, 10, 29, 60, 99.
  const auto at = [](int step) { return LearningRate(v1::SCHEDULE_ONE_CYCLE, 0.01, step, 100); };
  EXPECT_NEAR(at(0), 0.0004, 1e-12);
  EXPECT_NEAR(at(10), 0.0004 + 0.0096 * (1 - std::cos(std::numbers::pi * 10 / 29)) / 2, 1e-12);
  EXPECT_NEAR(at(29), 0.01, 1e-12);
  EXPECT_NEAR(at(64), 0.005, 1e-5);
  EXPECT_NEAR(at(99), 4e-8, 1e-12);
}

TEST(ScheduleTest, ShortRunsStayWithinThePeak) {
  for (int steps = 1; steps < 12; ++steps) {
    for (int step = 0; step < steps; ++step) {
      const double rate = LearningRate(v1::SCHEDULE_ONE_CYCLE, 1, step, steps);
      EXPECT_GT(rate, 0) << step << " of " << steps;
      EXPECT_LE(rate, 1) << step << " of " << steps;
    }
  }
}

TEST(ScheduleTest, CosineFallsFromThePeakAndConstantStays) {
  EXPECT_DOUBLE_EQ(LearningRate(v1::SCHEDULE_COSINE, 2, 0, 10), 2);
  EXPECT_NEAR(LearningRate(v1::SCHEDULE_COSINE, 2, 5, 10), 1, 1e-12);
  EXPECT_NEAR(LearningRate(v1::SCHEDULE_COSINE, 2, 10, 10), 0, 1e-12);
  EXPECT_DOUBLE_EQ(LearningRate(v1::SCHEDULE_CONSTANT, 2, 7, 10), 2);
}

}  // namespace
}  // namespace retort::distill
