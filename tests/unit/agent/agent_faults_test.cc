// What goes wrong around an agent: a coordinator that is away or refuses, a full disk, an earlier
// start.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/agent/agent_fixture.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(AgentTest, CoordinatorAwayKeepsEverythingRunningAndReportsLater) {
  RunOne();
  for (int i = 0; i < 30; ++i) {
    AnswerError(absl::UnavailableError("refused"));
    Pass(absl::Seconds(6));
  }
  EXPECT_THAT(runners_.stops, IsEmpty());
  EXPECT_THAT(runners_.kills, IsEmpty());
  const size_t tries = client_.syncs.size();
  EXPECT_GE(tries, 30u);
  Progress(2, 1);
  Failed(v1::FAILURE_CAUSE_NUMERIC);
  EXPECT_EQ(client_.syncs.size(), tries) << "news wait for the answer that is awaited";
  Answer();
  EXPECT_THAT(last().finished(), IsEmpty()) << "its points go first";
  EXPECT_THAT(last().live(), SizeIs(1));
  Ack(2);
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_FALSE(agent_->done());
}

TEST_F(AgentTest, FailureGivesItsPointsAMomentToArriveAndNoMore) {
  RunOne();
  Progress(2, 1);
  Failed(v1::FAILURE_CAUSE_NUMERIC);
  EXPECT_EQ(spool_.entries.at(AttemptKey{kJob, 1}).outcome.failure().cause(),
            v1::FAILURE_CAUSE_NUMERIC)
      << "it outlives the agent meanwhile";
  EXPECT_THAT(last().finished(), IsEmpty());
  Pass(absl::Seconds(4));
  Answer();
  EXPECT_THAT(last().finished(), IsEmpty());
  Pass(absl::Seconds(2));
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_NUMERIC);
}

TEST_F(AgentTest, FailureWaitsForItsPointsAsLongAsTheCoordinatorIsAway) {
  RunOne();
  Progress(2, 1);
  AnswerError(absl::UnavailableError("refused"));
  Failed(v1::FAILURE_CAUSE_NUMERIC);
  for (int i = 0; i < 5; ++i) {
    Pass(absl::Seconds(6));
    AnswerError(absl::UnavailableError("refused"));
  }
  EXPECT_THAT(last().finished(), IsEmpty());
  Ack(2);
  Pass(absl::Seconds(6));
  EXPECT_THAT(last().finished(), SizeIs(1));
}

TEST_F(AgentTest, PointsThatAreNotTakenAreNotSentAgainAtFullSpeed) {
  RunOne();
  Progress(3, 1);
  ASSERT_THAT(client_.batches, SizeIs(1));
  Ack(0);
  EXPECT_THAT(client_.batches, SizeIs(1));
  Pass(absl::Seconds(1));
  EXPECT_THAT(client_.batches, SizeIs(2));
}

// Only one of two attempts has points that are malformed, and nobody says which.
TEST_F(AgentTest, PointsThatAreMalformedFailTheirAttemptAndNoOther) {
  RunOne();
  Grant(MakeLease(kOtherJob));
  GiveInputs({kOtherJob, 1});
  Started(1);
  Progress(3, 1);
  Progress(3, 1, 1);
  ASSERT_THAT(client_.batches, SizeIs(2));
  const absl::Status bad = absl::InvalidArgumentError("points[2].series: ''; must not be empty");
  agent_->OnMetricsBroken(bad, now());
  Pass(absl::Seconds(1));
  ASSERT_THAT(client_.batches, SizeIs(3)) << "one at a time";
  EXPECT_EQ(client_.batches.back().id().job(), kJob);
  EXPECT_THAT(runners_.stops, IsEmpty()) << "it is not known whose they are";
  agent_->OnMetricsBroken(bad, now());
  EXPECT_THAT(runners_.stops, ElementsAre(0));
  Pass(absl::Seconds(2));
  ASSERT_THAT(client_.batches, SizeIs(4));
  EXPECT_EQ(client_.batches.back().id().job(), kOtherJob);
  EXPECT_THAT(client_.batches.back().points(), SizeIs(3)) << "the other's are all there";
  Ack(3, {kOtherJob, 1});
  // Whatever the runner still says, and however it ends.
  Progress(5, 2);
  Finished();
  EXPECT_THAT(artifacts_.publishes, IsEmpty());
  Pass(absl::Minutes(1));
  EXPECT_THAT(client_.batches, SizeIs(4)) << "never again";
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).id().job(), kJob);
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_INVALID);
  EXPECT_THAT(last().finished(0).failure().message(), HasSubstr("points[2].series: ''"));
  ASSERT_THAT(last().live(), SizeIs(1));
  EXPECT_EQ(last().live(0).id().job(), kOtherJob);
}

TEST_F(AgentTest, ResultWhosePointsAreMalformedBecomesAFailure) {
  RunOne();
  Progress(3, 3);
  Finished();
  ASSERT_THAT(client_.batches, SizeIs(1));
  agent_->OnMetricsBroken(absl::InvalidArgumentError("points[0].step: -1"), now());
  Tick();
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_INVALID);
  EXPECT_THAT(last().free_slots(), SizeIs(2)) << "the slot is free again";
  Pass(absl::Minutes(1));
  EXPECT_THAT(client_.batches, SizeIs(1));
}

TEST_F(AgentTest, RefusedReportIsNarrowedDownToTheAttemptThatIsToBlame) {
  RunOne();
  Finished();
  Grant(MakeLease(kOtherJob));
  GiveInputs({kOtherJob, 1});
  Started(1);
  Finished(1);
  Published();
  Published({kOtherJob, 1});
  ASSERT_THAT(last().finished(), SizeIs(2));
  AnswerError(absl::InvalidArgumentError("finished[0].result: bad"));
  Pass(absl::Seconds(1));
  ASSERT_THAT(last().finished(), SizeIs(1)) << "one at a time";
  EXPECT_THAT(last().live(), SizeIs(1)) << "the other's lease is kept";
  AnswerError(absl::InvalidArgumentError("finished[0].result: bad"));
  const size_t tries = client_.syncs.size();
  EXPECT_EQ(client_.syncs.size(), tries) << "not at full speed";
  Pass(absl::Seconds(1));
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).id().job(), kJob);
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_INVALID);
  v1::SyncResponse response;
  *response.add_acknowledged() = IdOf({kJob, 1});
  Answer(response);
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_TRUE(last().finished(0).has_result()) << "the other was good";
  EXPECT_THAT(last().live(), IsEmpty());
  response.Clear();
  *response.add_acknowledged() = IdOf({kOtherJob, 1});
  Answer(response);
  EXPECT_THAT(last().finished(), IsEmpty());
  EXPECT_EQ(last().wanted(), 2);
}

TEST_F(AgentTest, RefusalThatNoAttemptExplainsIsRepeatedSlowly) {
  Tick();
  for (int i = 0; i < 50; ++i) {
    AnswerError(absl::InvalidArgumentError("slots[0]: bad"));
    Pass(absl::Seconds(1));
  }
  EXPECT_LE(client_.syncs.size(), 30u);
  EXPECT_FALSE(agent_->done());
}

TEST_F(AgentTest, DiskThatIsFullTakesNoJobsForAWhileAndBlamesNone) {
  spool_.open_status = absl::ResourceExhaustedError("/w: no space left on device");
  Tick();
  Grant();
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_PREEMPTED);
  EXPECT_EQ(last().wanted(), 0);
  spool_.open_status = absl::OkStatus();
  v1::SyncResponse response;
  *response.add_acknowledged() = IdOf({kJob, 1});
  Answer(response);
  Pass(absl::Seconds(5));
  Answer();
  EXPECT_EQ(last().wanted(), 0);
  Pass(absl::Seconds(6));
  EXPECT_EQ(last().wanted(), 2);
}

TEST_F(AgentTest, FailureOnADiskWithoutRoomIsNotTheJobs) {
  RunOne();
  spool_.has_room = false;
  agent_->OnRunnerExit(0, "the runner ended: exit status 1", now());
  Tick();
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_PREEMPTED);
  EXPECT_THAT(last().finished(0).failure().message(), HasSubstr("exit status 1"));
  EXPECT_EQ(last().wanted(), 0);
  spool_.has_room = true;
  v1::SyncResponse response;
  *response.add_acknowledged() = IdOf({kJob, 1});
  Answer(response);
  Pass(absl::Seconds(1));
  EXPECT_EQ(last().wanted(), 2) << "told at once, though a Sync is parked";
}

TEST_F(AgentTest, FailureOnAFullDiskIsNotTheJobsThoughItIsReadWhenThereIsRoomAgain) {
  RunOne();
  Progress(3, 1);
  spool_.room = 4;
  spool_.has_room = false;
  Progress(3, 2);
  spool_.room = 100;
  spool_.has_room = true;
  agent_->OnRunnerExit(0, "the runner ended: exit status 1", now());
  Pass(absl::Seconds(30));
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_PREEMPTED);
}

TEST_F(AgentTest, WeightsOfNoBytesAreNoResult) {
  RunOne();
  Finished();
  Published({kJob, 1}, 0);
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).failure().cause(), v1::FAILURE_CAUSE_CRASHED);
}

// What an earlier start left.
class RecoveredAgentTest : public AgentTest {
 protected:
  void Leave(SpooledAttempt attempt, int points) {
    attempt.key = {kJob, 1};
    attempt.end = points;
    auto& entry = spool_.entries[attempt.key];
    for (int i = 0; i < points; ++i) {
      entry.points.emplace_back().set_series("train.loss");
      entry.points.back().set_step(i);
    }
    spool_.left.push_back(std::move(attempt));
    Restart(2);
  }
  static SpooledAttempt Result() {
    SpooledAttempt attempt;
    attempt.outcome.mutable_result()->set_epochs(3);
    attempt.outcome.mutable_result()->mutable_weights()->set_sha256(std::string(64, 'f'));
    attempt.outcome.set_device_s(17);
    return attempt;
  }
  void Acknowledge() {
    v1::SyncResponse response;
    *response.add_acknowledged() = IdOf({kJob, 1});
    Answer(response);
  }
};

TEST_F(RecoveredAgentTest, ResultIsReportedAtOnceAndItsWeightsAndPointsFollow) {
  SpooledAttempt attempt = Result();
  attempt.weights_path = "/attempt/weights";
  Leave(attempt, 3);
  Tick();
  ASSERT_THAT(last().finished(), SizeIs(1)) << "what the first Sync does not report is given up";
  EXPECT_EQ(last().finished(0).result().metric_points(), 3);
  EXPECT_EQ(last().finished(0).result().weights().sha256(), std::string(64, 'f'));
  EXPECT_THAT(last().live(), IsEmpty());
  EXPECT_EQ(last().wanted(), 2) << "it has no slot";
  ASSERT_THAT(artifacts_.publishes, SizeIs(1));
  EXPECT_EQ(artifacts_.publishes[0].second, "/attempt/weights");
  ASSERT_THAT(client_.batches, SizeIs(1));
  EXPECT_EQ(client_.batches[0].points_size(), 3);
  Ack(3);
  Published();
  ASSERT_THAT(last().finished(), SizeIs(1));
  EXPECT_EQ(last().finished(0).device_s(), 17);
  Acknowledge();
  EXPECT_THAT(last().finished(), IsEmpty());
  EXPECT_THAT(spool_.entries, IsEmpty());
}

TEST_F(RecoveredAgentTest, ResultThatIsRefusedIsForgottenThoughItsWeightsAreOnTheirWay) {
  SpooledAttempt attempt = Result();
  attempt.weights_path = "/attempt/weights";
  Leave(attempt, 0);
  Tick();
  Acknowledge();
  EXPECT_THAT(spool_.entries, IsEmpty());
  Published();
  EXPECT_THAT(last().finished(), IsEmpty());
}

TEST_F(RecoveredAgentTest, FailureGivesItsPointsAMomentBeforeTheFirstSync) {
  SpooledAttempt attempt;
  attempt.outcome.mutable_failure()->set_cause(v1::FAILURE_CAUSE_NUMERIC);
  Leave(attempt, 2);
  Tick();
  EXPECT_THAT(client_.syncs, IsEmpty());
  ASSERT_THAT(client_.batches, SizeIs(1));
  Ack(2);
  ASSERT_THAT(client_.syncs, SizeIs(1));
  EXPECT_THAT(last().finished(), SizeIs(1));
}

TEST_F(RecoveredAgentTest, FailureIsReportedThoughItsPointsAreNotTaken) {
  SpooledAttempt attempt;
  attempt.outcome.mutable_failure()->set_cause(v1::FAILURE_CAUSE_NUMERIC);
  Leave(attempt, 2);
  Tick();
  EXPECT_LE(agent_->NextWake(), now().monotonic + absl::Seconds(2));
  Pass(absl::Seconds(2));
  ASSERT_THAT(client_.syncs, SizeIs(1));
  EXPECT_THAT(last().finished(), SizeIs(1));
}

TEST_F(AgentTest, ResultIsKeptAsSoonAsTheRunnerHasFinished) {
  RunOne();
  Progress(2, 1);
  Finished();
  EXPECT_EQ(spool_.results.at(AttemptKey{kJob, 1}), "/attempt/weights");
}

}  // namespace
}  // namespace retort
