#include "server/progress.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

TEST(ExpectedSecondsTest, IsWhatIsLeftOverTheRateOfAllSlots) {
  core::SweepRow row;
  row.cost_open = 600;
  EXPECT_LT(ExpectedSeconds(row, 2), 0) << "no attempt has succeeded yet";
  row.cost_done = 300;
  row.done_s = 30;  // 10 a second and slot
  EXPECT_DOUBLE_EQ(ExpectedSeconds(row, 2), 30);
  EXPECT_DOUBLE_EQ(ExpectedSeconds(row, 1), 60);
  EXPECT_LT(ExpectedSeconds(row, 0), 0) << "nobody works";
  row.cost_open = 0;
  EXPECT_EQ(ExpectedSeconds(row, 0), 0);
}

}  // namespace
}  // namespace retort
