#include "client/launch/autoscale.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using enum SlurmPhase;
using State = ScaleWorker::State;

const absl::Time kStart = absl::FromUnixSeconds(1700000000);

std::vector<std::string> Texts(const std::vector<SlurmTaskId>& tasks) {
  std::vector<std::string> texts;
  for (const SlurmTaskId& task : tasks) texts.push_back(task.text());
  return texts;
}

// Slurm and the coordinator, as an autoscaler sees them.
class AutoscaleTest : public ::testing::Test {
 protected:
  AutoscaleTest() {
    policy_.most = 4;
    Reset();
  }
  void Reset() { scaler_ = std::make_unique<Autoscaler>(policy_); }
  void Task(int64_t job, int64_t index, const std::string& state) {
    tasks_.push_back({{job, index}, PhaseOf(state), state});
  }
  void Worker(const std::string& name, int jobs, State state = State::kActive, int slots = 1) {
    workers_.push_back({name, state, slots, jobs});
  }
  void Clear() {
    tasks_.clear();
    workers_.clear();
  }
  ScaleActions Decide(int64_t jobs) {
    return scaler_->Decide({tasks_, ScaleView::Coordinator{jobs, workers_}}, now_);
  }

  ScalePolicy policy_;
  std::unique_ptr<Autoscaler> scaler_;
  std::vector<SlurmTask> tasks_;
  std::vector<ScaleWorker> workers_;
  absl::Time now_ = kStart;
};

TEST(ScaleTest, RangesAreRead) {
  EXPECT_EQ(*ParseScale("0:16"), std::pair(0, 16));
  EXPECT_EQ(*ParseScale("3:3"), std::pair(3, 3));
  for (const char* text : {"", "4", "4:", ":4", "5:4", "0:0", "-1:4", "0:4:8", "0:x", "0:99999"}) {
    EXPECT_FALSE(ParseScale(text).ok()) << text;
  }
}

TEST(ScaleTest, WorkersAreKnownByTheirNames) {
  EXPECT_EQ(RunOf("slurm-17-2", "slurm")->task.text(), "17_2");
  EXPECT_EQ(RunOf("slurm-17-2", "slurm")->restarts, 0);
  EXPECT_EQ(RunOf("my-slurm-17-2-r3", "my-slurm")->restarts, 3);
  for (const char* name : {"slurm", "slurm-17", "slurm-17-x", "slurm-17-2-3", "slurm-17-2-r",
                           "slurmy-17-2", "other-17-2", "slurm-17-2-r3-4"}) {
    EXPECT_FALSE(RunOf(name, "slurm").has_value()) << name;
  }
}

TEST_F(AutoscaleTest, GrowsWithTheQueueUpToTheMost) {
  EXPECT_EQ(Decide(0).submit, 0);
  EXPECT_EQ(Decide(3).submit, 3);
  EXPECT_EQ(Decide(100).submit, 4);
  policy_.slots = 4;
  Reset();
  EXPECT_EQ(Decide(9).submit, 3);
  policy_.least = 2;
  Reset();
  EXPECT_EQ(Decide(0).submit, 2);
}

TEST_F(AutoscaleTest, OtherWorkersTakeTheirShare) {
  Worker("lab-1", 2, State::kActive, 2);
  Worker("lab-2", 0, State::kAway, 8);
  EXPECT_EQ(Decide(3).submit, 1);
}

TEST_F(AutoscaleTest, NothingIsDoneWhereNothingIsKnown) {
  Task(1, 0, "PENDING");
  Worker("slurm-1-0", 0, State::kDraining);
  ScaleView view{tasks_, ScaleView::Coordinator{9, workers_}};
  ScaleView blind = view;
  blind.tasks.reset();
  EXPECT_FALSE(scaler_->Decide(blind, now_).any());
  blind = view;
  blind.coordinator.reset();
  EXPECT_FALSE(scaler_->Decide(blind, now_).any());
  EXPECT_TRUE(scaler_->Decide(view, now_).any());
}

// What a task in each state of Slurm is for the decision: whether its place is filled again when
// jobs wait, whether it is cancelled when none do, and whether its idle worker is drained.
TEST_F(AutoscaleTest, EveryStateOfSlurm) {
  policy_.most = 1;
  policy_.idle = absl::ZeroDuration();
  std::vector<std::string> states = SlurmStates();
  ASSERT_EQ(states.size(), 24u);
  states.push_back("NOT_YET_INVENTED");
  for (const std::string& state : states) {
    Reset();
    Clear();
    Task(1, 0, state);
    const SlurmPhase phase = PhaseOf(state);
    EXPECT_EQ(Decide(5).submit, phase == kEnded ? 1 : 0) << state;
    EXPECT_THAT(Decide(0).cancel, SizeIs(phase == kWaiting ? 1 : 0)) << state;
    EXPECT_THAT(Decide(0).terminate, IsEmpty()) << state;
    Worker("slurm-1-0", 0);
    EXPECT_THAT(Decide(0).drain, SizeIs(phase == kRunning ? 1 : 0)) << state;
    workers_[0].state = State::kDraining;
    EXPECT_THAT(Decide(0).terminate, SizeIs(phase == kRunning ? 1 : 0)) << state;
  }
}

TEST_F(AutoscaleTest, WhatWasSubmittedCountsUntilItIsSeen) {
  ASSERT_EQ(Decide(3).submit, 3);
  scaler_->OnSubmitted(7, 3, now_);
  EXPECT_EQ(Decide(3).submit, 0);
  EXPECT_EQ(Decide(4).submit, 1);
  for (int i = 0; i < 3; ++i) Task(7, i, "PENDING");
  EXPECT_EQ(Decide(3).submit, 0);
}

TEST_F(AutoscaleTest, SubmissionWithoutAnAnswerCountsForAWhile) {
  scaler_->OnSubmitted(absl::DeadlineExceededError("sbatch"), 3, now_);
  EXPECT_FALSE(Decide(3).any());
  now_ += policy_.settle;
  EXPECT_EQ(Decide(3).submit, 3);
}

TEST_F(AutoscaleTest, WorkersThatNeverComeAreStartedLessAndLessOften) {
  absl::Duration waited = absl::ZeroDuration();
  for (int64_t job = 1; job <= 8; ++job) {
    Clear();
    Task(job, 0, "FAILED");
    scaler_->OnSubmitted(job, 1, now_);
    const ScaleActions ended = Decide(1);
    EXPECT_EQ(ended.submit, 0);
    ASSERT_THAT(ended.notes, SizeIs(1));
    EXPECT_THAT(ended.notes[0], HasSubstr(absl::StrCat("job ", job, " has ended before a worker")));
    absl::Duration hold = absl::ZeroDuration();
    for (; Decide(1).submit == 0; now_ += absl::Seconds(5)) hold += absl::Seconds(5);
    EXPECT_GE(hold, waited);
    waited = hold;
  }
  EXPECT_EQ(waited, absl::Minutes(10));
  // One that comes makes good for it.
  Clear();
  Task(20, 0, "RUNNING");
  Worker("slurm-20-0", 1);
  scaler_->OnSubmitted(20, 1, now_);
  EXPECT_EQ(Decide(1).submit, 0);
  Clear();
  scaler_->OnSubmitted(21, 1, now_);
  Task(21, 0, "CANCELLED");
  Decide(1);
  now_ += absl::Seconds(30);
  EXPECT_EQ(Decide(1).submit, 1);
}

TEST_F(AutoscaleTest, TasksThatWaitGoFirstNewestBeforeOldest) {
  Task(1, 0, "RUNNING");
  Task(1, 1, "PENDING");
  Task(2, 0, "PENDING");
  Worker("slurm-1-0", 0);
  now_ += absl::Hours(1);
  const ScaleActions actions = Decide(1);
  EXPECT_THAT(Texts(actions.cancel), ElementsAre("2_0", "1_1"));
  EXPECT_THAT(actions.drain, IsEmpty());
}

TEST_F(AutoscaleTest, OnlyWorkersThatAreIdleForAWhileAreDrained) {
  Task(1, 0, "RUNNING");
  Task(1, 1, "RUNNING");
  Task(1, 2, "RUNNING");
  Worker("slurm-1-0", 1);
  Worker("slurm-1-1", 0);
  Worker("slurm-1-2", 0, State::kAway);
  EXPECT_FALSE(Decide(0).any());
  now_ += policy_.idle - absl::Seconds(1);
  EXPECT_FALSE(Decide(0).any());
  workers_[1].jobs = 1;  // it got one in between
  Decide(0);
  workers_[1].jobs = 0;
  now_ += absl::Seconds(2);
  EXPECT_FALSE(Decide(0).any());
  now_ += policy_.idle;
  EXPECT_THAT(Decide(0).drain, ElementsAre("slurm-1-1"));
}

TEST_F(AutoscaleTest, DrainedWorkersEndOnceTheyHaveNothing) {
  Task(1, 0, "RUNNING");
  Worker("slurm-1-0", 1, State::kDraining);
  EXPECT_FALSE(Decide(1).cancel.size());
  EXPECT_THAT(Decide(1).terminate, IsEmpty());
  EXPECT_EQ(Decide(1).submit, 1) << "it takes no jobs, so that another is needed";
  workers_[0].jobs = 0;
  EXPECT_THAT(Texts(Decide(0).terminate), ElementsAre("1_0"));
  EXPECT_THAT(Decide(0).terminate, IsEmpty()) << "once";
  now_ += policy_.settle;
  EXPECT_THAT(Texts(Decide(0).terminate), ElementsAre("1_0"));
}

TEST_F(AutoscaleTest, ThoseThatLeaveStillHoldTheirNodes) {
  for (int i = 0; i < 3; ++i) Task(1, i, "COMPLETING");
  EXPECT_EQ(Decide(9).submit, 1);
}

TEST_F(AutoscaleTest, ATaskThatWasRequeuedIsItsLatestRun) {
  Task(1, 0, "RUNNING");
  Worker("slurm-1-0", 0, State::kDraining);  // of the run before, on another node
  Worker("slurm-1-0-r1", 1);
  EXPECT_FALSE(Decide(1).any());
}

TEST_F(AutoscaleTest, TheLeastStays) {
  policy_.least = 1;
  policy_.idle = absl::ZeroDuration();
  Reset();
  Task(1, 0, "RUNNING");
  Task(1, 1, "RUNNING");
  Worker("slurm-1-0", 0);
  Worker("slurm-1-1", 0);
  EXPECT_THAT(Decide(0).drain, ElementsAre("slurm-1-1"));
}

}  // namespace
}  // namespace retort
