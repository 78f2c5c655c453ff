// What time brings.
#include "fixture.h"

namespace retort::core {
namespace {

using ::testing::SizeIs;

TEST(TimersTest, AParkedSyncIsAnsweredAfterAQuarterOfALease) {
  Loop loop;
  FakeWorker worker;
  const Token parked = loop.Send(worker);
  loop.Pass(absl::Seconds(14));
  loop.WakeUp();
  EXPECT_FALSE(loop.replies().contains(parked));
  loop.Pass(absl::Seconds(1));
  loop.WakeUp();
  EXPECT_TRUE(loop.replies().contains(parked));
}

TEST(TimersTest, NewJobsWakeParkedWorkersAndSpreadOverThem) {
  Loop loop;
  FakeWorker one, two;
  two.name = "w2";
  one.wanted = two.wanted = 2;
  const Token first = loop.Send(one), second = loop.Send(two);
  loop.Submit("s", {StudentJob("a"), StudentJob("b")});
  ASSERT_TRUE(loop.replies().contains(first));
  ASSERT_TRUE(loop.replies().contains(second));
  EXPECT_THAT(std::get<SyncReply>(loop.replies().at(first)).grants, SizeIs(1));
  EXPECT_THAT(std::get<SyncReply>(loop.replies().at(second)).grants, SizeIs(1));
}

TEST(TimersTest, ASilentWorkerIsAwayAndComesBack) {
  Loop loop;
  FakeWorker worker;
  loop.Send(worker);
  loop.Pass(absl::Seconds(61));
  loop.WakeUp();
  EXPECT_TRUE(loop.state().worker({1}).row.away);
  loop.Send(worker);
  EXPECT_FALSE(loop.state().worker({1}).row.away);
}

TEST(TimersTest, LeasesSurviveARestart) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  const Grant grant = loop.Take(worker);
  loop.Pass(absl::Seconds(55));
  loop.Restart();
  loop.Pass(absl::Seconds(55));
  loop.WakeUp();
  EXPECT_EQ(loop.StateOf("a"), JobState::kRunning) << "leases get a full new term";
  loop.Send(worker);
  loop.Succeed(worker, grant.id);
  EXPECT_EQ(loop.StateOf("a"), JobState::kSucceeded);
}

TEST(TimersTest, AStallExtendsLeases) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  loop.Take(worker);
  // The machine slept for an hour: nobody could reach us.
  loop.Jump(absl::Hours(1));
  loop.WakeUp();
  EXPECT_EQ(loop.StateOf("a"), JobState::kRunning);
  // Then punctual timers count again.
  while (loop.StateOf("a") == JobState::kRunning) {
    ASSERT_LT(loop.state().NextWake(), absl::InfiniteDuration());
    loop.Pass(loop.state().NextWake() - loop.now().monotonic);
    loop.WakeUp();
  }
  EXPECT_EQ(loop.StateOf("a"), JobState::kQueued);
}

TEST(TimersTest, SpentBudgetsPauseOrCancel) {
  v1::Budget budget;
  budget.set_device_hours(10.0 / 3600);
  Loop loop;
  loop.Submit("s", {StudentJob("a"), StudentJob("b")}, 0, budget);
  FakeWorker worker;
  loop.Succeed(worker, loop.Take(worker).id);
  EXPECT_EQ(loop.state().sweep({1}).row.state, SweepState::kPaused);
  ASSERT_TRUE(loop.Do(ChangeSweep{0, loop.NextRequest(), ChangeSweep::What::kResume, "s"}).ok());
  EXPECT_EQ(loop.state().sweep({1}).row.state, SweepState::kActive) << "goes on without the limit";

  v1::Budget wall;
  wall.mutable_wall()->set_seconds(30);
  wall.set_then(v1::BUDGET_ACTION_CANCEL);
  loop.Submit("w", {StudentJob("c")}, 0, wall);
  loop.Restart();
  loop.Pass(absl::Seconds(29));
  loop.WakeUp();
  EXPECT_EQ(loop.StateOf("c"), JobState::kQueued);
  loop.Pass(absl::Seconds(2));
  loop.WakeUp();
  EXPECT_EQ(loop.StateOf("c"), JobState::kCancelled);
}

TEST(TimersTest, RunningAttemptsCountAgainstTheBudget) {
  v1::Budget budget;
  budget.set_device_hours(0.05);
  Loop loop;
  loop.Submit("s", {StudentJob("a"), StudentJob("b")}, 0, budget);
  FakeWorker worker;
  loop.Take(worker);
  for (int i = 0; i < 20; ++i) {
    loop.Pass(absl::Seconds(14));
    loop.Send(worker);
    loop.WakeUp();
  }
  EXPECT_EQ(loop.state().sweep({1}).row.state, SweepState::kPaused);
  EXPECT_EQ(loop.StateOf("a"), JobState::kRunning);
}

TEST(TimersTest, ChoresOfManyJobsComeInParts) {
  Options options;
  options.chore_size = 3;
  Loop loop(options);
  std::vector<NewJob> jobs = {TeacherJob("t")};
  for (int i = 0; i < 10; ++i) jobs.push_back(StudentJob(absl::StrCat("j", i), "t"));
  loop.Submit("s", jobs);
  FakeWorker worker;
  loop.Succeed(worker, loop.Take(worker).id);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(loop.StateOf(absl::StrCat("j", i)), JobState::kQueued);
  ASSERT_TRUE(loop.Do(ChangeSweep{0, loop.NextRequest(), ChangeSweep::What::kCancel, "s"}).ok());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(loop.StateOf(absl::StrCat("j", i)), JobState::kCancelled);
}

}  // namespace
}  // namespace retort::core
