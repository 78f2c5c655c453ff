#include "worker/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/agent_fakes.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::string kJob(64, 'a');
const std::string kOtherJob(64, 'b');
const std::string kDataset(64, 'd');
const std::string kTeacher(64, 'e');

class AgentTest : public ::testing::Test {
 protected:
  AgentTest() { Restart(2); }

  void Restart(int slots) {
    AgentOptions options;
    options.worker = "w1";
    options.incarnation = 7;
    options.version = "test";
    for (int i = 0; i < slots; ++i) {
      v1::Slot slot;
      slot.set_index(i);
      options.slots.push_back(slot);
    }
    options.seed = 1;
    agent_ = std::make_unique<Agent>(options, client_, runners_, artifacts_, spool_);
  }

  Now now() const { return {absl::Seconds(1000) + time_, absl::UnixEpoch() + time_}; }
  void Tick() { agent_->Tick(now()); }
  void Pass(absl::Duration by) {
    time_ += by;
    Tick();
  }
  const v1::SyncRequest& last() const { return client_.syncs.back(); }

  // Answers the latest Sync.
  void Answer(v1::SyncResponse response = {}) {
    response.set_number(last().number());
    response.mutable_lease()->set_seconds(40);
    response.mutable_next_sync()->set_seconds(10);
    agent_->OnSync(last().number(), response, now());
    Tick();
  }
  void AnswerError(absl::Status status) {
    agent_->OnSync(last().number(), status, now());
    Tick();
  }
  static v1::Lease MakeLease(const std::string& job = kJob, int attempt = 1) {
    v1::Lease lease;
    *lease.mutable_id() = IdOf({job, attempt});
    lease.add_inputs()->set_sha256(kDataset);
    lease.add_inputs()->set_sha256(kTeacher);
    lease.set_teacher_weights_sha256(kTeacher);
    return lease;
  }
  void Grant(const v1::Lease& lease = MakeLease()) {
    v1::SyncResponse response;
    *response.add_leases() = lease;
    Answer(response);
  }
  void GiveInputs(const AttemptKey& key = {kJob, 1}) {
    agent_->OnInputs(key, InputPaths{{kDataset, "/d"}, {kTeacher, "/t"}}, now());
    Tick();
  }
  void Event(const v1::RunnerEvent& event, int slot = 0) {
    agent_->OnRunnerEvent(slot, event, now());
    Tick();
  }
  void Started(int slot = 0) {
    v1::RunnerEvent event;
    event.mutable_started();
    Event(event, slot);
  }
  void Progress(int points, int epochs_done, int slot = 0) {
    v1::RunnerEvent event;
    event.mutable_progress()->set_epochs_done(epochs_done);
    for (int i = 0; i < points; ++i) {
      v1::MetricPoint* point = event.mutable_progress()->add_points();
      point->set_series("train.loss");
      point->set_step(epochs_done);
      point->set_value(i);
    }
    Event(event, slot);
  }
  void Finished(int slot = 0) {
    v1::RunnerEvent event;
    event.mutable_finished()->mutable_result()->set_epochs(3);
    event.mutable_finished()->set_weights_path("/attempt/weights");
    Event(event, slot);
  }
  void Failed(v1::FailureCause cause, int slot = 0) {
    v1::RunnerEvent event;
    event.mutable_failed()->set_cause(cause);
    Event(event, slot);
  }
  void Published(const AttemptKey& key = {kJob, 1}, int64_t size_bytes = 100) {
    v1::ArtifactRef weights;
    weights.set_sha256(std::string(64, 'f'));
    weights.set_size_bytes(size_bytes);
    agent_->OnPublished(key, weights, now());
    Tick();
  }
  void Ack(int64_t durable, const AttemptKey& key = {kJob, 1}) {
    v1::MetricAck ack;
    *ack.mutable_id() = IdOf(key);
    ack.set_durable_seq(durable);
    agent_->OnMetricAck(ack, now());
    Tick();
  }
  // An attempt that runs on slot 0.
  void RunOne() {
    Tick();
    Grant();
    GiveInputs();
    Started();
  }

  FakeCoordinatorClient client_;
  FakeRunnerPool runners_;
  FakeArtifacts artifacts_;
  FakeSpool spool_;
  absl::Duration time_;
  std::unique_ptr<Agent> agent_;
};

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
  agent_->OnMetricsBroken(now());
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
