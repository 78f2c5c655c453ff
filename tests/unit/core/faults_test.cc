// Bad machines, and clocks and loops that stand still or jump.
#include "absl/strings/str_cat.h"
#include "fixture.h"

namespace retort::core {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<NewJob> Students(int count) {
  std::vector<NewJob> jobs;
  for (int i = 0; i < count; ++i) jobs.push_back(StudentJob(absl::StrCat("j", i)));
  return jobs;
}

FakeWorker Named(const std::string& name, int slots = 1) {
  FakeWorker worker;
  worker.name = name;
  worker.slots = slots;
  return worker;
}

int64_t Count(Loop& loop, JobState state) {
  return loop.state().sweep({1}).row.counts[IndexOf(state)];
}

// ------------------------------------------------------------------------------------ quarantine

TEST(QuarantineTest, OneBadMachineDoesNotFailASweep) {
  Loop loop;
  loop.Submit("s", Students(40));
  FakeWorker bad = Named("bad");
  FakeWorker good = Named("good");
  // The bad one is quick: it takes four jobs while the good one does one.
  int failures = 0;
  while (Count(loop, JobState::kSucceeded) < 40) {
    for (int i = 0; i < 4; ++i) {
      bad.wanted = 1;
      const Token token = loop.Send(bad);
      if (!loop.replies().contains(token)) continue;
      const auto& reply = std::get<SyncReply>(loop.replies().at(token));
      if (reply.grants.empty()) continue;
      bad.live = {{reply.grants[0].id, true, 0, 0}};
      bad.wanted = 0;
      loop.Send(bad);
      loop.Fail(bad, reply.grants[0].id, FailureCause::kCrashed);
      ASSERT_LT(++failures, 8) << "it is never suspected";
    }
    loop.Succeed(good, loop.Take(good).id);
  }
  EXPECT_EQ(Count(loop, JobState::kFailed), 0);
  const WorkerRow& row = loop.state().worker(loop.state().FindWorker("bad")).row;
  EXPECT_EQ(row.state, WorkerState::kQuarantined);
  EXPECT_THAT(row.reason, HasSubstr("jobs in a row failed here"));
}

TEST(QuarantineTest, WhatABadMachineCostIsGivenBackAndWhatItFailedForGoodIsQueuedAgain) {
  Loop loop;
  loop.Submit("s", Students(5));
  FakeWorker good = Named("good");
  loop.Succeed(good, loop.Take(good).id);  // j0
  // The others are away, so that the bad one gets the same job again and again.
  loop.Jump(absl::Seconds(61));
  FakeWorker bad = Named("bad");
  for (int i = 0; i < 3; ++i) loop.Fail(bad, loop.Take(bad).id, FailureCause::kCrashed);
  EXPECT_EQ(loop.StateOf("j1"), JobState::kFailed);
  EXPECT_EQ(loop.RowOf("j1").crashed, 3);
  loop.Fail(bad, loop.Take(bad).id, FailureCause::kCrashed);
  good.wanted = 0;
  loop.Send(good);
  loop.Restart();
  EXPECT_EQ(loop.state().worker(loop.state().FindWorker("bad")).row.streak.size(), 4u);
  loop.Succeed(good, loop.Take(good).id);
  // The third distinct job that fails here, while jobs succeed elsewhere.
  const Grant third = loop.Take(bad);
  loop.Take(good);
  loop.Fail(bad, third.id, FailureCause::kArtifact);
  EXPECT_EQ(loop.state().worker(loop.state().FindWorker("bad")).row.state,
            WorkerState::kQuarantined);
  EXPECT_EQ(loop.StateOf("j1"), JobState::kQueued) << "failed for good only there";
  EXPECT_EQ(loop.RowOf("j1").crashed, 0);
  EXPECT_EQ(Count(loop, JobState::kFailed), 0);
}

TEST(QuarantineTest, AReleasedMachineTakesJobsAndBeginsAnew) {
  Loop loop;
  loop.Submit("s", Students(12));
  FakeWorker bad = Named("bad");
  FakeWorker good = Named("good");
  for (int i = 0; i < 3; ++i) {
    const Grant grant = loop.Take(bad);
    loop.Succeed(good, loop.Take(good).id);
    loop.Fail(bad, grant.id, FailureCause::kOutOfMemory);
  }
  bad.wanted = 1;
  loop.Send(bad);
  EXPECT_THAT(loop.state().worker({1}).leases, IsEmpty());
  ASSERT_TRUE(loop.Do(ChangeWorker{0, "r", ChangeWorker::What::kRelease, "bad"}).ok());
  loop.Fail(bad, loop.Take(bad).id, FailureCause::kCrashed);
  EXPECT_EQ(loop.state().worker({1}).row.state, WorkerState::kActive);
}

// ---------------------------------------------------------------------------------------- clocks

TEST(ClockTest, JumpsOfTheWallClockEndNoLeaseAndNoJob) {
  for (const absl::Duration jump : {absl::Hours(24 * 400), -absl::Hours(24 * 400)}) {
    Loop loop;
    loop.Submit("s", Students(2));
    FakeWorker worker = Named("w");
    const Grant grant = loop.Take(worker);
    loop.JumpWall(jump);
    loop.Pass(absl::Seconds(30));
    loop.Send(worker);
    loop.Pass(absl::Seconds(45));
    EXPECT_EQ(loop.StateOf("j0"), JobState::kRunning);
    loop.Succeed(worker, grant.id);
    EXPECT_EQ(loop.StateOf("j0"), JobState::kSucceeded);
    EXPECT_GE(loop.state().sweep({1}).row.device_s, 0);
    // Leases still end by the time that passes.
    loop.Take(worker);
    loop.Pass(absl::Seconds(61));
    EXPECT_EQ(loop.StateOf("j1"), JobState::kQueued);
  }
}

TEST(ClockTest, AStrandThatStoodStillGivesWorkersTheTimeBack) {
  Loop loop;
  loop.Submit("s", Students(1));
  FakeWorker worker = Named("w");
  loop.Take(worker);
  loop.Jump(absl::Hours(5));  // suspended: nobody could be heard
  loop.WakeUp();
  EXPECT_EQ(loop.StateOf("j0"), JobState::kRunning);
  loop.Pass(absl::Seconds(59));
  EXPECT_EQ(loop.StateOf("j0"), JobState::kRunning);
  loop.Pass(absl::Seconds(2));
  EXPECT_EQ(loop.StateOf("j0"), JobState::kQueued);
}

TEST(ClockTest, AfterARestartLeasesHaveAFullTerm) {
  Loop loop;
  loop.Submit("s", Students(1));
  FakeWorker worker = Named("w");
  const Grant grant = loop.Take(worker);
  loop.Pass(absl::Seconds(59));
  loop.Restart();
  loop.Pass(absl::Seconds(59));
  EXPECT_EQ(loop.StateOf("j0"), JobState::kRunning);
  EXPECT_THAT(loop.Succeed(worker, grant.id).acknowledged, SizeIs(1));
  EXPECT_EQ(loop.StateOf("j0"), JobState::kSucceeded);
}

TEST(ClockTest, ALateResultOfTheLatestAttemptCountsOnceAndOlderOnesNever) {
  Loop loop;
  loop.Submit("s", Students(1));
  FakeWorker slow = Named("slow");
  const Grant first = loop.Take(slow);
  loop.Pass(absl::Seconds(61));
  ASSERT_EQ(loop.StateOf("j0"), JobState::kQueued);
  FakeWorker quick = Named("quick");
  const Grant second = loop.Take(quick);
  EXPECT_EQ(second.id.attempt, first.id.attempt + 1);
  // Refused, and acknowledged so that it is not reported again.
  EXPECT_THAT(loop.Succeed(slow, first.id).acknowledged, SizeIs(1));
  EXPECT_EQ(loop.StateOf("j0"), JobState::kRunning);
  loop.Pass(absl::Seconds(61));
  ASSERT_EQ(loop.StateOf("j0"), JobState::kQueued);
  EXPECT_THAT(loop.Succeed(quick, second.id).acknowledged, SizeIs(1));
  EXPECT_EQ(loop.StateOf("j0"), JobState::kSucceeded);
  EXPECT_THAT(loop.Succeed(quick, second.id).acknowledged, SizeIs(1));
  EXPECT_EQ(loop.state().worker(loop.state().FindWorker("quick")).row.succeeded, 1);
}

TEST(ClockTest, ANewIncarnationGivesUpWhatTheOldOneHad) {
  Loop loop;
  loop.Submit("s", Students(2));
  FakeWorker worker = Named("w", 2);
  loop.Take(worker);
  loop.Take(worker);
  FakeWorker again = Named("w", 2);
  again.incarnation = 2;
  loop.Send(again);
  EXPECT_EQ(Count(loop, JobState::kQueued), 2);
  EXPECT_EQ(loop.RowOf("j0").lost, 1);
  loop.Send(worker);
  EXPECT_EQ(loop.last().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace retort::core
