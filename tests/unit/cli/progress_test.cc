#include "client/cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace retort {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

SweepProgress Progress(int done, int running, int queued) {
  SweepProgress progress;
  progress.sweep.set_name("sweeps/ieee");
  progress.sweep.set_state(v1::SWEEP_STATE_ACTIVE);
  progress.sweep.mutable_counts()->set_succeeded(done);
  progress.sweep.mutable_counts()->set_running(running);
  progress.sweep.mutable_counts()->set_queued(queued);
  progress.sweep.set_eta_s(-1);
  return progress;
}

TEST(ProgressLine, CountsJobsAndDrawsABarThatFits) {
  SweepProgress progress = Progress(5, 2, 3);
  progress.sweep.set_eta_s(240);
  EXPECT_EQ(ProgressLine(progress, 200),
            "ieee [############............] 5/10 done, 2 running, about 4 min left");
  for (int width = 1; width < 100; ++width) {
    EXPECT_LT(ProgressLine(progress, width).size(), static_cast<size_t>(width));
  }
}

TEST(ProgressLine, SaysWhatIsNotAsItShouldBe) {
  SweepProgress progress = Progress(5, 2, 3);
  progress.sweep.mutable_counts()->set_failed(1);
  EXPECT_THAT(ProgressLine(progress, 200), HasSubstr("5/11 done, 2 running, 1 failed"));
  progress.away = absl::Seconds(12);
  EXPECT_THAT(ProgressLine(progress, 200), HasSubstr("coordinator away for 12 s"));
  progress.away = absl::ZeroDuration();
  progress.sweep.set_state(v1::SWEEP_STATE_PAUSED);
  progress.sweep.set_reason("budget of 3 h is spent");
  EXPECT_THAT(ProgressLine(progress, 200), HasSubstr("paused: budget of 3 h is spent"));
}

TEST(ProgressDisplay, WritesAPlainLinePerChangeWhenPiped) {
  std::ostringstream out, err;
  const Terminal terminal{out, err};
  const absl::Time start = absl::UnixEpoch();
  ProgressDisplay display(terminal);
  display.Show(Progress(1, 1, 8), start);
  display.Show(Progress(1, 1, 8), start + absl::Seconds(10));  // nothing new
  display.Show(Progress(2, 1, 7), start + absl::Seconds(1));   // too soon
  display.Show(Progress(3, 1, 6), start + absl::Seconds(20));
  EXPECT_THAT(err.str(), HasSubstr("1/10 done"));
  EXPECT_THAT(err.str(), Not(HasSubstr("2/10 done")));
  EXPECT_THAT(err.str(), HasSubstr("3/10 done"));
  EXPECT_THAT(err.str(), Not(HasSubstr("\x1b")));
  EXPECT_EQ(out.str(), "");
}

TEST(ProgressDisplay, SaysOnceAndAtOnceThatTheCoordinatorIsAwayAndIsBack) {
  std::ostringstream out, err;
  const Terminal terminal{out, err};
  const absl::Time start = absl::UnixEpoch();
  ProgressDisplay display(terminal);
  SweepProgress progress = Progress(1, 1, 8);
  display.Show(progress, start);
  for (int s = 2; s < 60; ++s) {
    progress.away = absl::Seconds(s);
    display.Show(progress, start + absl::Seconds(s));
  }
  progress.away = absl::ZeroDuration();
  display.Show(progress, start + absl::Milliseconds(59100));
  const std::string said = err.str();
  EXPECT_THAT(said, HasSubstr("coordinator away for 2 s\n"));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 3) << said;
}

TEST(ProgressDisplay, RedrawsOneLineOnATerminalAndTakesItAwayAtTheEnd) {
  std::ostringstream out, err;
  const Terminal terminal{out, err, true, true, true, 80};
  {
    ProgressDisplay display(terminal);
    display.Show(Progress(1, 1, 8), absl::UnixEpoch());
    display.Show(Progress(2, 1, 7), absl::UnixEpoch() + absl::Seconds(1));
    EXPECT_THAT(err.str(), Not(HasSubstr("\n")));
  }
  EXPECT_TRUE(err.str().ends_with("\r\x1b[K")) << err.str();
}

}  // namespace
}  // namespace retort
