// Leases, fencing and results.
#include "fixture.h"

namespace retort::core {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Metrics Points(const AttemptName& id, int64_t first_seq, int count) {
  auto batch = std::make_shared<v1::MetricBatch>();
  batch->set_first_seq(first_seq);
  for (int i = 0; i < count; ++i) {
    auto* point = batch->add_points();
    point->set_series("train.loss");
    point->set_step(first_seq + i);
    point->set_value(1.0 / static_cast<double>(first_seq + i + 1));
  }
  return {0, id, batch};
}

TEST(SyncTest, AGrantIsRepeatedUntilItIsReportedWithTheSameAttempt) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  worker.wanted = 2;
  const SyncReply first = loop.Exchange(worker);
  ASSERT_THAT(first.grants, SizeIs(1));
  EXPECT_EQ(first.grants[0].id, (AttemptName{IdOf("a"), 1}));
  const SyncReply again = loop.Exchange(worker);
  ASSERT_THAT(again.grants, SizeIs(1));
  EXPECT_EQ(again.grants[0].id, first.grants[0].id);
  worker.live = {{first.grants[0].id, true, 1}};
  const Token parked = loop.Send(worker);
  EXPECT_FALSE(loop.replies().contains(parked));
  EXPECT_EQ(loop.StateOf("a"), JobState::kRunning);
}

TEST(SyncTest, AWorkerGetsNoMoreThanItsSlotsHold) {
  Loop loop;
  loop.Submit("s", {StudentJob("a"), StudentJob("b"), StudentJob("c")});
  FakeWorker worker;
  worker.slots = 2;
  worker.wanted = 16;
  EXPECT_THAT(loop.Exchange(worker).grants, SizeIs(2));
}

TEST(SyncTest, AResultIsAcceptedOnce) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  const Grant grant = loop.Take(worker);
  EXPECT_THAT(loop.Succeed(worker, grant.id).acknowledged, ElementsAre(grant.id));
  EXPECT_EQ(loop.StateOf("a"), JobState::kSucceeded);
  EXPECT_THAT(loop.Succeed(worker, grant.id).acknowledged, ElementsAre(grant.id));
  EXPECT_EQ(loop.state().worker({1}).row.succeeded, 1);
  EXPECT_EQ(loop.state().sweep({1}).row.state, SweepState::kDone);
}

TEST(SyncTest, AResultWaitsForItsPointsAndItsWeights) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  const Grant grant = loop.Take(worker);
  FinishedReport report;
  report.id = grant.id;
  report.result = std::make_shared<v1::JobResult>();
  const_cast<v1::JobResult&>(*report.result).set_metric_points(3);
  report.weights_held = true;
  const SyncReply early = loop.Finish(worker, report);
  EXPECT_THAT(early.acknowledged, IsEmpty());
  EXPECT_THAT(early.weights_missing, IsEmpty());
  EXPECT_EQ(loop.StateOf("a"), JobState::kRunning);
  ASSERT_TRUE(loop.Do(Points(grant.id, 0, 3)).ok());
  report.weights_held = false;
  const SyncReply reply = loop.Finish(worker, report);
  EXPECT_THAT(reply.acknowledged, IsEmpty());
  EXPECT_THAT(reply.weights_missing, ElementsAre(grant.id)) << "or it would wait for ever";
  report.weights_held = true;
  EXPECT_THAT(loop.Finish(worker, report).acknowledged, ElementsAre(grant.id));
  EXPECT_EQ(loop.StateOf("a"), JobState::kSucceeded);
}

TEST(SyncTest, AnOlderAttemptIsRefusedAndStopped) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker old_worker;
  const Grant grant = loop.Take(old_worker);
  loop.Pass(absl::Seconds(61));
  loop.WakeUp();
  EXPECT_EQ(loop.StateOf("a"), JobState::kQueued);
  EXPECT_EQ(loop.RowOf("a").last_cause, FailureCause::kLost);
  FakeWorker other;
  other.name = "w2";
  const Grant second = loop.Take(other);
  EXPECT_EQ(second.id.attempt, 2);
  EXPECT_THAT(loop.Exchange(old_worker).stop, ElementsAre(grant.id));
  EXPECT_THAT(loop.Succeed(old_worker, grant.id).acknowledged, ElementsAre(grant.id));
  EXPECT_EQ(loop.StateOf("a"), JobState::kRunning);
  Metrics late = Points(grant.id, 0, 1);
  late.token = loop.NextToken();
  ASSERT_TRUE(loop.Do(late).ok());
  EXPECT_TRUE(std::get<MetricReply>(loop.replies().at(late.token)).refused);
  loop.Succeed(other, second.id);
  EXPECT_EQ(loop.StateOf("a"), JobState::kSucceeded);
}

TEST(SyncTest, ALateResultOfTheLatestAttemptIsAccepted) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  const Grant grant = loop.Take(worker);
  loop.Pass(absl::Seconds(61));
  loop.WakeUp();
  ASSERT_EQ(loop.StateOf("a"), JobState::kQueued);
  loop.Succeed(worker, grant.id);
  EXPECT_EQ(loop.StateOf("a"), JobState::kSucceeded);
  EXPECT_EQ(loop.RowOf("a").attempt, 1);
}

TEST(SyncTest, ALateResultOfAnAttemptThatWasNotKnownToRunReplacesThePointsOfTheOneBefore) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  const Grant first = loop.Take(worker);
  ASSERT_TRUE(loop.Do(Points(first.id, 0, 3)).ok());
  loop.Fail(worker, first.id, FailureCause::kCrashed);
  FakeWorker other;
  other.name = "w2";
  other.wanted = 1;
  const SyncReply reply = loop.Exchange(other);
  ASSERT_EQ(reply.grants.size(), 1u);
  loop.Pass(absl::Seconds(61));
  ASSERT_EQ(loop.StateOf("a"), JobState::kQueued);
  other.wanted = 0;
  ASSERT_TRUE(loop.Do(Points(reply.grants[0].id, 0, 1)).ok());
  loop.Succeed(other, reply.grants[0].id);
  ASSERT_EQ(loop.StateOf("a"), JobState::kSucceeded);
  const auto points = loop.store().reader().Metrics(IdOf("a"), {}, 100);
  ASSERT_TRUE(points.ok());
  EXPECT_EQ(points->size(), 1u);
}

TEST(SyncTest, PointsThatComeWhenTheAttemptWasGivenUpLeaveItsEndAsItWas) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  const Grant grant = loop.Take(worker);
  loop.Pass(absl::Seconds(61));
  loop.WakeUp();
  ASSERT_TRUE(loop.Do(Points(grant.id, 0, 3)).ok());
  const auto job = loop.store().reader().Job(IdOf("a").hex());
  ASSERT_TRUE(job.ok());
  ASSERT_EQ(job->attempts_size(), 1);
  EXPECT_EQ(job->attempts(0).failure().cause(), v1::FAILURE_CAUSE_LOST);
  EXPECT_TRUE(job->attempts(0).has_end_time());
}

TEST(SyncTest, ANewerIncarnationGivesUpWhatTheOlderHad) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  const Grant grant = loop.Take(worker);
  FakeWorker again;
  again.incarnation = 2;
  again.live = {{grant.id, true, 0}};
  EXPECT_THAT(loop.Exchange(again).stop, ElementsAre(grant.id));
  EXPECT_EQ(loop.StateOf("a"), JobState::kQueued);
  loop.Send(worker);
  EXPECT_EQ(loop.last().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(SyncTest, ALowerNumberIsIgnoredAndANewerSyncAnswersTheParkedOne) {
  Loop loop;
  FakeWorker worker;
  const Token first = loop.Send(worker);
  EXPECT_FALSE(loop.replies().contains(first));
  const Token second = loop.Send(worker);
  EXPECT_TRUE(loop.replies().contains(first));
  EXPECT_FALSE(loop.replies().contains(second));
  worker.number = 0;
  loop.Send(worker);
  EXPECT_EQ(loop.last().code(), absl::StatusCode::kAborted);
}

TEST(SyncTest, AConfirmedLeaseThatIsNoLongerReportedIsLost) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  loop.Take(worker);
  worker.live.clear();
  loop.Send(worker);
  EXPECT_EQ(loop.StateOf("a"), JobState::kQueued);
}

TEST(SyncTest, PointsThatOvertakeTheSyncStartTheAttemptAndAreKept) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  worker.wanted = 1;
  const Grant grant = loop.Exchange(worker).grants.at(0);
  Metrics batch = Points(grant.id, 0, 2);
  batch.token = loop.NextToken();
  ASSERT_TRUE(loop.Do(batch).ok());
  EXPECT_EQ(std::get<MetricReply>(loop.replies().at(batch.token)).durable_seq, 2);
  EXPECT_EQ(loop.StateOf("a"), JobState::kRunning);
  worker.live = {{grant.id, true, 0}};
  worker.wanted = 0;
  loop.Send(worker);
  // Sent again with one more, and then with a gap.
  ASSERT_TRUE(loop.Do(Points(grant.id, 1, 2)).ok());
  EXPECT_EQ(loop.RowOf("a").points, 3);
  ASSERT_TRUE(loop.Do(Points(grant.id, 5, 1)).ok());
  EXPECT_EQ(loop.RowOf("a").points, 3);
  EXPECT_THAT(*loop.store().reader().Metrics(IdOf("a"), {}, 100), SizeIs(3));
}

TEST(SyncTest, ANewAttemptDropsThePointsOfTheOlder) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  const Grant first = loop.Take(worker);
  ASSERT_TRUE(loop.Do(Points(first.id, 0, 5)).ok());
  loop.Fail(worker, first.id, FailureCause::kCrashed);
  const Grant second = loop.Take(worker);
  EXPECT_EQ(second.id.attempt, 2);
  EXPECT_THAT(*loop.store().reader().Metrics(IdOf("a"), {}, 100), IsEmpty());
}

TEST(SyncTest, EachCauseHasItsBudget) {
  const std::pair<FailureCause, int> attempts[] = {
      {FailureCause::kCrashed, 3},   {FailureCause::kArtifact, 4}, {FailureCause::kNumeric, 1},
      {FailureCause::kTimeout, 1},   {FailureCause::kInvalid, 1},  {FailureCause::kOutOfMemory, 1},
      {FailureCause::kPreempted, 10}};
  for (const auto& [cause, expected] : attempts) {
    Loop loop;
    loop.Submit("s", {StudentJob("a")});
    FakeWorker worker;
    int tried = 0;
    while (loop.StateOf("a") == JobState::kQueued && tried < 20) {
      loop.Fail(worker, loop.Take(worker).id, cause);
      ++tried;
    }
    EXPECT_EQ(loop.StateOf("a"), JobState::kFailed);
    EXPECT_EQ(tried, expected) << static_cast<int>(cause);
  }
}

TEST(SyncTest, AJobThatThreeWorkersLostFails) {
  Loop loop;
  loop.Submit("s", {StudentJob("poison")});
  for (const char* name : {"w1", "w2", "w3"}) {
    ASSERT_EQ(loop.StateOf("poison"), JobState::kQueued);
    FakeWorker worker;
    worker.name = name;
    loop.Take(worker);
    loop.Pass(absl::Seconds(61));
    loop.WakeUp();
  }
  EXPECT_EQ(loop.StateOf("poison"), JobState::kFailed);
}

TEST(SyncTest, AWorkerOnWhichJobsFailThatSucceedElsewhereIsQuarantinedUntilReleased) {
  Loop loop;
  std::vector<NewJob> jobs;
  for (int i = 0; i < 10; ++i) jobs.push_back(StudentJob(absl::StrCat("j", i)));
  loop.Submit("s", jobs);
  FakeWorker good, bad;
  bad.name = "bad";
  loop.Send(good);
  for (int i = 0; i < 3; ++i) {
    loop.Fail(bad, loop.Take(bad).id, FailureCause::kOutOfMemory);
    loop.Succeed(good, loop.Take(good).id);
  }
  const WorkerKey key = loop.state().FindWorker("bad");
  EXPECT_EQ(loop.state().worker(key).row.state, WorkerState::kQuarantined);
  bad.wanted = 1;
  const Token parked = loop.Send(bad);
  EXPECT_FALSE(loop.replies().contains(parked));
  ChangeWorker release{0, loop.NextRequest(), ChangeWorker::What::kRelease, "bad"};
  ASSERT_TRUE(loop.Do(release).ok());
  EXPECT_THAT(loop.Exchange(bad).grants, SizeIs(1));
}

TEST(SyncTest, ADrainedWorkerThatAsksForNothingIsNotAnsweredOverAndOver) {
  Loop loop;
  FakeWorker worker;
  loop.Send(worker);
  ChangeWorker drain{0, loop.NextRequest(), ChangeWorker::What::kDrain, "w1"};
  ASSERT_TRUE(loop.Do(drain).ok());
  EXPECT_FALSE(loop.replies().contains(loop.Send(worker))) << "it has heard, and waits";
}

TEST(SyncTest, ADrainedWorkerIsToldAtOnceAndGetsNothing) {
  Loop loop;
  FakeWorker worker;
  worker.wanted = 1;
  const Token parked = loop.Send(worker);
  ChangeWorker drain{0, loop.NextRequest(), ChangeWorker::What::kDrain, "w1"};
  ASSERT_TRUE(loop.Do(drain).ok());
  ASSERT_TRUE(loop.replies().contains(parked));
  EXPECT_TRUE(std::get<SyncReply>(loop.replies().at(parked)).drain);
  loop.Submit("s", {StudentJob("a")});
  EXPECT_THAT(loop.Exchange(worker).grants, IsEmpty());
}

}  // namespace
}  // namespace retort::core
