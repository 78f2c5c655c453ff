#include "worker/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/agent/agent_fixture.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(AgentTest, AsksForAsManyJobsAsItHasFreeSlots) {
  Tick();
  ASSERT_THAT(client_.syncs, SizeIs(1));
  EXPECT_EQ(last().wanted(), 2);
  EXPECT_EQ(last().incarnation(), 7);
  EXPECT_EQ(last().number(), 1);
  EXPECT_THAT(last().cached(), ElementsAre("held"));
  Grant();
  EXPECT_EQ(last().number(), 2) << "the lease is confirmed at once";
  EXPECT_EQ(last().wanted(), 1);
  ASSERT_THAT(last().live(), SizeIs(1));
  EXPECT_FALSE(last().live(0).running());
}

TEST_F(AgentTest, LeaseThatComesAgainStartsOnce) {
  Tick();
  Grant();
  Grant();
  GiveInputs();
  Grant();
  EXPECT_THAT(artifacts_.fetches, SizeIs(1));
  ASSERT_THAT(runners_.runs, SizeIs(1));
  const v1::RunJob& job = runners_.runs[0].second;
  EXPECT_EQ(job.teacher_weights_path(), "/t");
  EXPECT_EQ(job.dataset_paths().at(kDataset), "/d");
  EXPECT_EQ(job.dataset_paths().size(), 1);
  EXPECT_EQ(last().wanted(), 1);
}

TEST_F(AgentTest, LeaseWithoutAFreeSlotIsNotTaken) {
  Restart(1);
  Tick();
  v1::SyncResponse response;
  *response.add_leases() = MakeLease(kJob);
  *response.add_leases() = MakeLease(kOtherJob);
  Answer(response);
  EXPECT_THAT(last().live(), SizeIs(1));
  EXPECT_EQ(last().wanted(), 0);
}

TEST_F(AgentTest, NewsInterruptTheParkedSyncAndOnlyTheLatestAnswerCounts) {
  RunOne();
  const int64_t parked = last().number();
  Failed(v1::FAILURE_CAUSE_NUMERIC);
  EXPECT_EQ(last().number(), parked + 1);
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_NUMERIC);
  v1::SyncResponse stale;
  *stale.add_leases() = MakeLease(kOtherJob);
  agent_->OnSync(parked, stale, now());
  Tick();
  EXPECT_THAT(artifacts_.fetches, SizeIs(1));
}

TEST_F(AgentTest, FinishedIsReportedUntilAcknowledged) {
  RunOne();
  Failed(v1::FAILURE_CAUSE_NUMERIC);
  Answer();
  Pass(absl::Seconds(2));
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().wanted(), 2) << "its slot is free all the same";
  v1::SyncResponse response;
  *response.add_acknowledged() = IdOf({kJob, 1});
  Answer(response);
  EXPECT_THAT(last().finished(), IsEmpty());
  EXPECT_THAT(spool_.entries, IsEmpty());
}

TEST_F(AgentTest, ResultWaitsForWeightsAndForPoints) {
  RunOne();
  Progress(3, 1);
  ASSERT_THAT(client_.batches, SizeIs(1));
  Finished();
  ASSERT_THAT(artifacts_.publishes, SizeIs(1));
  EXPECT_EQ(artifacts_.publishes[0].second, "/attempt/weights");
  Published();
  EXPECT_THAT(last().finished(), IsEmpty()) << "its points are not durable";
  Ack(2);
  EXPECT_THAT(last().finished(), IsEmpty());
  Ack(3);
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).result().weights().sha256(), std::string(64, 'f'));
  EXPECT_EQ(last().finished(0).result().metric_points(), 3);
  EXPECT_THAT(last().live(), IsEmpty());
}

TEST_F(AgentTest, WeightsThatTheCoordinatorLostArePublishedAgainFromTheCache) {
  RunOne();
  Finished();
  Published();
  ASSERT_THAT(last().finished(), SizeIs(1));
  v1::SyncResponse response;
  *response.add_weights_missing() = IdOf({kJob, 1});
  *response.add_leases() = MakeLease(kOtherJob);  // the slot is used again meanwhile
  Answer(response);
  ASSERT_THAT(artifacts_.publishes_held, SizeIs(1));
  EXPECT_EQ(artifacts_.publishes_held[0].second, std::string(64, 'f'));
  const int64_t before = last().number();
  Published();
  Pass(absl::Seconds(2));
  Answer();
  EXPECT_GT(last().number(), before);
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_TRUE(last().finished(0).has_result());
  EXPECT_THAT(last().live(), SizeIs(1)) << "what has the slot now is left alone";
}

TEST_F(AgentTest, WeightsThatNobodyHasAnyMoreFailWithArtifact) {
  RunOne();
  Finished();
  Published();
  v1::SyncResponse response;
  *response.add_weights_missing() = IdOf({kJob, 1});
  Answer(response);
  agent_->OnPublished({kJob, 1}, absl::NotFoundError("not at hand"), now());
  Pass(absl::Seconds(2));
  Answer();
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_ARTIFACT);
}

TEST_F(AgentTest, UploadForWhichThereIsNoRoomIsTriedAgainUntilThereIs) {
  RunOne();
  Finished();
  for (size_t tries = 1; tries <= 5; ++tries) {
    ASSERT_THAT(artifacts_.publishes, SizeIs(tries));
    agent_->OnPublished({kJob, 1}, absl::ResourceExhaustedError("too many bytes are on their way"),
                        now());
    Tick();
    EXPECT_THAT(artifacts_.publishes, SizeIs(tries)) << "not at once";
    EXPECT_THAT(last().finished(), IsEmpty());
    EXPECT_THAT(last().live(), SizeIs(1)) << "the lease is kept";
    Pass(absl::Seconds(60));
  }
  Published();
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_TRUE(last().finished(0).has_result());
}

TEST_F(AgentTest, UploadIsTriedAgainAndTheAttemptStaysLiveMeanwhile) {
  RunOne();
  Finished();
  agent_->OnPublished({kJob, 1}, absl::UnavailableError("away"), now());
  Tick();
  Pass(absl::Seconds(1));
  EXPECT_THAT(artifacts_.publishes, SizeIs(2));
  Pass(absl::Seconds(1));
  EXPECT_THAT(artifacts_.publishes, SizeIs(2)) << "one at a time";
  EXPECT_THAT(last().live(), SizeIs(1));
  Published();
  EXPECT_THAT(last().finished(), SizeIs(1));
}

TEST_F(AgentTest, PointsAreNumberedAndSentAgainFromTheDurableOnAfterABreak) {
  RunOne();
  Progress(2, 1);
  Progress(2, 2);
  ASSERT_THAT(client_.batches, SizeIs(1)) << "one batch in flight";
  EXPECT_EQ(client_.batches[0].first_seq(), 0);
  Ack(2);
  ASSERT_THAT(client_.batches, SizeIs(2));
  EXPECT_EQ(client_.batches[1].first_seq(), 2);
  agent_->OnMetricsBroken(absl::UnavailableError("reset"), now());
  Tick();
  EXPECT_THAT(client_.batches, SizeIs(2)) << "not before the backoff";
  Pass(absl::Seconds(1));
  ASSERT_THAT(client_.batches, SizeIs(3));
  EXPECT_EQ(client_.batches[2].first_seq(), 2);
  EXPECT_EQ(client_.batches[2].points_size(), 2);
}

TEST_F(AgentTest, RunnerWaitsWhileTheSpoolIsFullAndNothingIsDropped) {
  spool_.room = 4;
  RunOne();
  Progress(3, 1);
  Progress(3, 2);
  EXPECT_FALSE(runners_.reading.at(0));
  EXPECT_EQ(spool_.entries.at(AttemptKey{kJob, 1}).points.size(), 3u);
  Ack(3);
  EXPECT_TRUE(runners_.reading.at(0));
  EXPECT_EQ(spool_.entries.at(AttemptKey{kJob, 1}).points.size(), 6u);
  EXPECT_EQ(client_.batches.back().first_seq(), 3);
}

TEST_F(AgentTest, PointsThatComeWhileOthersAreHeldAreHeldBehindThem) {
  spool_.room = 4;
  RunOne();
  Progress(3, 1);
  Progress(3, 2);
  Progress(3, 3);  // of a runner that is read again because it is to stop
  spool_.room = 100;
  Ack(3);
  EXPECT_EQ(spool_.entries.at(AttemptKey{kJob, 1}).points.size(), 9u);
}

TEST_F(AgentTest, ErrorsAreFollowedByLongerAndLongerPauses) {
  Tick();
  AnswerError(absl::UnavailableError("refused"));
  const absl::Duration first = agent_->NextWake() - now().monotonic;
  EXPECT_GE(first, absl::Milliseconds(50));
  for (int i = 0; i < 8; ++i) {
    time_ = agent_->NextWake() - absl::Seconds(1000);
    Tick();
    AnswerError(absl::UnavailableError("refused"));
  }
  const absl::Duration later = agent_->NextWake() - now().monotonic;
  EXPECT_GE(later, absl::Seconds(2));
  EXPECT_LE(later, absl::Seconds(5));
}

TEST_F(AgentTest, SeveralTriesFitIntoAShortLease) {
  Tick();
  v1::SyncResponse response;
  response.mutable_lease()->set_seconds(2);
  Answer(response);
  Pass(absl::Seconds(10));
  for (int i = 0; i < 12; ++i) {
    AnswerError(absl::UnavailableError("refused"));
    EXPECT_LE(agent_->NextWake() - now().monotonic, absl::Milliseconds(250));
    time_ = agent_->NextWake() - absl::Seconds(1000);
    Tick();
  }
}

TEST_F(AgentTest, IdleSyncsNeitherSpinNorLeaveTheCoordinatorWithoutAPark) {
  Tick();
  Answer();  // at once, without news
  EXPECT_THAT(client_.syncs, SizeIs(1));
  Pass(absl::Seconds(1));
  EXPECT_THAT(client_.syncs, SizeIs(2));
  Pass(absl::Seconds(9));
  Answer();  // it was parked
  EXPECT_THAT(client_.syncs, SizeIs(3));
}

TEST_F(AgentTest, StopForgetsAndFreesTheSlotWhenTheRunnerIsIdle) {
  RunOne();
  v1::SyncResponse response;
  *response.add_stop() = IdOf({kJob, 1});
  Answer(response);
  EXPECT_THAT(runners_.stops, ElementsAre(0));
  EXPECT_THAT(last().live(), IsEmpty());
  EXPECT_EQ(last().wanted(), 1) << "the runner has not obeyed yet";
  Progress(1, 2);
  EXPECT_THAT(client_.batches, IsEmpty());
  Failed(v1::FAILURE_CAUSE_PREEMPTED);
  EXPECT_EQ(last().wanted(), 2);
  EXPECT_THAT(last().finished(), IsEmpty());
  EXPECT_THAT(spool_.entries, IsEmpty());
}

TEST_F(AgentTest, StopThatIsNotObeyedEndsInAKill) {
  RunOne();
  v1::SyncResponse response;
  *response.add_stop() = IdOf({kJob, 1});
  Answer(response);
  Pass(absl::Seconds(9));
  EXPECT_THAT(runners_.kills, IsEmpty());
  Pass(absl::Seconds(2));
  EXPECT_THAT(runners_.kills, ElementsAre(0));
  agent_->OnRunnerExit(0, "killed by signal 9", now());
  Answer();
  EXPECT_EQ(last().wanted(), 2);
  EXPECT_THAT(last().finished(), IsEmpty());
}

TEST_F(AgentTest, StopWhileFetchingFreesTheSlotAtOnce) {
  Tick();
  Grant();
  v1::SyncResponse response;
  *response.add_stop() = IdOf({kJob, 1});
  Answer(response);
  EXPECT_EQ(last().wanted(), 2);
  GiveInputs();
  EXPECT_THAT(runners_.runs, IsEmpty());
  EXPECT_THAT(artifacts_.releases, SizeIs(1));
}

TEST_F(AgentTest, DeadRunnerIsACrashThatSaysHowItDied) {
  RunOne();
  agent_->OnRunnerExit(0, "the runner ended: killed by signal 11 (Segmentation fault)", now());
  Tick();
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_CRASHED);
  EXPECT_THAT(last().finished(0).failure().message(), HasSubstr("signal 11"));
  EXPECT_EQ(last().wanted(), 2);
}

TEST_F(AgentTest, FailureMessagesAreCutAndCleanedToWhatTheWireTakes) {
  RunOne();
  // 4095 bytes, then a character of two that does not fit whole, behind bytes that are no UTF-8.
  agent_->OnRunnerExit(0, "\xff\xc3" + std::string(4093, 'x') + "\u00e9", now());
  Tick();
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().message(), "??" + std::string(4093, 'x'));
}

TEST_F(AgentTest, MissingInputFailsWithArtifactAndAnUnreachableOneIsTriedAgain) {
  Tick();
  Grant();
  agent_->OnInputs({kJob, 1}, absl::UnavailableError("away"), now());
  Tick();
  Pass(absl::Seconds(1));
  EXPECT_THAT(artifacts_.fetches, SizeIs(2));
  agent_->OnInputs({kJob, 1}, absl::NotFoundError("no artifact dd"), now());
  Tick();
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_ARTIFACT);
  EXPECT_THAT(last().finished(0).failure().message(), HasSubstr("no artifact dd"));
}

TEST_F(AgentTest, RefusedPointsForgetTheAttempt) {
  RunOne();
  Progress(1, 1);
  v1::MetricAck ack;
  *ack.mutable_id() = IdOf({kJob, 1});
  ack.set_refused(true);
  agent_->OnMetricAck(ack, now());
  Tick();
  EXPECT_THAT(runners_.stops, ElementsAre(0));
  EXPECT_THAT(last().live(), IsEmpty());
}

TEST_F(AgentTest, LogsAreSentFromTheStoredOffset) {
  RunOne();
  agent_->OnRunnerOutput(0, "hello ", now());
  Tick();
  agent_->OnRunnerOutput(0, "world", now());
  Tick();
  ASSERT_THAT(client_.chunks, SizeIs(1));
  v1::LogAck ack;
  *ack.mutable_id() = IdOf({kJob, 1});
  ack.set_stored_offset(6);
  agent_->OnLogAck(ack, now());
  Tick();
  ASSERT_THAT(client_.chunks, SizeIs(2));
  EXPECT_EQ(client_.chunks[1].offset(), 6);
  EXPECT_EQ(client_.chunks[1].data(), "world");
  ack.set_full(true);
  agent_->OnLogAck(ack, now());
  agent_->OnRunnerOutput(0, "more", now());
  Tick();
  EXPECT_THAT(client_.chunks, SizeIs(2));
}

TEST_F(AgentTest, LogOfAnAcknowledgedAttemptIsSentToItsEnd) {
  RunOne();
  agent_->OnRunnerOutput(0, "last words", now());
  Failed(v1::FAILURE_CAUSE_NUMERIC);
  v1::SyncResponse response;
  *response.add_acknowledged() = IdOf({kJob, 1});
  Answer(response);
  EXPECT_THAT(last().finished(), IsEmpty());
  EXPECT_THAT(spool_.entries, SizeIs(1));
  v1::LogAck ack;
  *ack.mutable_id() = IdOf({kJob, 1});
  ack.set_stored_offset(10);
  agent_->OnLogAck(ack, now());
  Tick();
  EXPECT_THAT(spool_.entries, IsEmpty());
}

TEST_F(AgentTest, LeavingLetsJobsEndAndTakesNoMore) {
  RunOne();
  agent_->Leave(now());
  Tick();
  EXPECT_TRUE(last().draining());
  EXPECT_EQ(last().wanted(), 0);
  EXPECT_THAT(runners_.stops, IsEmpty());
  Grant(MakeLease(kOtherJob));
  EXPECT_THAT(artifacts_.fetches, SizeIs(1));
  Failed(v1::FAILURE_CAUSE_NUMERIC);
  EXPECT_FALSE(agent_->done());
  v1::SyncResponse response;
  *response.add_acknowledged() = IdOf({kJob, 1});
  Answer(response);
  Answer();
  EXPECT_TRUE(agent_->done());
}

TEST_F(AgentTest, LeavingStopsWhatRunsTooLongAndReportsItPreempted) {
  RunOne();
  Grant(MakeLease(kOtherJob));
  agent_->Leave(now());
  Pass(absl::Seconds(31));
  EXPECT_THAT(runners_.stops, ElementsAre(0));
  ASSERT_THAT(last().finished(), SizeIs(1)) << "the other had not begun";
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_PREEMPTED);
  Pass(absl::Seconds(11));
  EXPECT_THAT(runners_.kills, ElementsAre(0));
  agent_->OnRunnerExit(0, "killed by signal 9", now());
  Tick();
  ASSERT_THAT(last().finished(), SizeIs(2));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_PREEMPTED);
  Pass(absl::Seconds(20));
  EXPECT_TRUE(agent_->done()) << "it does not wait for an answer for ever";
}

TEST_F(AgentTest, OperatorsDrainTakesNoJobsButStays) {
  Tick();
  v1::SyncResponse response;
  response.set_drain(true);
  Answer(response);
  EXPECT_EQ(last().wanted(), 0);
  EXPECT_FALSE(last().draining());
  Answer();
  EXPECT_EQ(last().wanted(), 2);
  EXPECT_FALSE(agent_->done());
}

TEST_F(AgentTest, NewerIncarnationEndsThisOne) {
  RunOne();
  AnswerError(absl::FailedPreconditionError("incarnation 8 has been seen"));
  EXPECT_TRUE(agent_->done());
  EXPECT_THAT(runners_.kills, SizeIs(2));
  EXPECT_THAT(std::string(agent_->status().message()), HasSubstr("incarnation 8"));
}

}  // namespace
}  // namespace retort
