#include "server/progress.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

core::SweepRow Row(int64_t done, double done_s, double cost_done, int64_t open, double cost_open) {
  core::SweepRow row;
  row.counts[core::IndexOf(core::JobState::kSucceeded)] = done;
  row.counts[core::IndexOf(core::JobState::kQueued)] = open;
  row.done_s = done_s;
  row.cost_done = cost_done;
  row.cost_open = cost_open;
  return row;
}

TEST(ExpectedSecondsTest, IsWhatIsLeftOverTheRateOfAllSlots) {
  EXPECT_LT(ExpectedSeconds(Row(0, 0, 0, 10, 600), 2), 0) << "no attempt has succeeded yet";
  // Ten jobs of 30 s like the one that is done.
  EXPECT_DOUBLE_EQ(ExpectedSeconds(Row(1, 30, 300, 10, 3000), 2), 150);
  EXPECT_DOUBLE_EQ(ExpectedSeconds(Row(1, 30, 300, 10, 3000), 1), 300);
  EXPECT_LT(ExpectedSeconds(Row(1, 30, 300, 10, 3000), 0), 0) << "nobody works";
  EXPECT_EQ(ExpectedSeconds(Row(1, 30, 300, 0, 0), 2), 0);
}

TEST(ExpectedSecondsTest, OneJobThatIsLeftTakesOneSlot) {
  EXPECT_DOUBLE_EQ(ExpectedSeconds(Row(1, 30, 300, 1, 300), 16), 30);
}

TEST(ExpectedSecondsTest, ManySmallJobsTakeMoreThanTheirShareOfTheTeachersCost) {
  // One teacher of 102 s, then a thousand students of a thousandth of its cost.
  const double eta_s = ExpectedSeconds(Row(1, 102, 1000, 1000, 1000), 1);
  EXPECT_DOUBLE_EQ(eta_s, 1000 * 2 + 100);
}

TEST(ExpectedSecondsTest, JobsThatWereKnownSayNothingOfTheRate) {
  core::SweepRow row = Row(5, 0, 0, 10, 600);
  row.known = 5;
  EXPECT_LT(ExpectedSeconds(row, 2), 0);
}

}  // namespace
}  // namespace retort
