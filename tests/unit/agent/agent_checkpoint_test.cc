// Checkpoints on their way from the runner to the coordinator, and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/agent/agent_fixture.h"

namespace retort {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(AgentTest, ACheckpointIsUploadedAndReportedWithThePointsBeforeIt) {
  RunOne();
  Progress(3, 1);
  Checkpoint(1);
  ASSERT_THAT(artifacts_.checkpoints, SizeIs(1));
  EXPECT_EQ(artifacts_.checkpoints[0].second, "/attempt/checkpoint-1");
  EXPECT_THAT(last().checkpoints(), IsEmpty()) << "it is not there yet";
  Progress(3, 2);
  CheckpointPublished();
  EXPECT_THAT(last().checkpoints(), IsEmpty()) << "the points before it are not durable";
  Ack(3);
  ASSERT_THAT(last().checkpoints(), SizeIs(1));
  const v1::AttemptCheckpoint& said = last().checkpoints(0);
  EXPECT_EQ(said.id().attempt(), 1);
  EXPECT_EQ(said.file().sha256(), std::string(64, 'c'));
  EXPECT_EQ(said.epochs_done(), 1);
  EXPECT_EQ(said.steps_done(), 10);
  EXPECT_EQ(said.metric_points(), 3);
}

TEST_F(AgentTest, OneCheckpointIsUploadedAtATimeAndTheNewestWaits) {
  RunOne();
  Checkpoint(1);
  Checkpoint(2);
  Checkpoint(3);
  EXPECT_THAT(artifacts_.checkpoints, SizeIs(1));
  CheckpointPublished();
  ASSERT_THAT(artifacts_.checkpoints, SizeIs(2));
  EXPECT_EQ(artifacts_.checkpoints[1].second, "/attempt/checkpoint-3");
  CheckpointPublished();
  EXPECT_THAT(artifacts_.checkpoints, SizeIs(2));
  EXPECT_EQ(last().checkpoints(0).epochs_done(), 3);
}

// A runner that writes checkpoints faster than points become durable.
TEST_F(AgentTest, ANewerCheckpointDoesNotReplaceTheOneThatWaitsForItsPoints) {
  RunOne();
  Progress(1, 1);
  Checkpoint(1);
  CheckpointPublished();
  Progress(1, 2);
  Checkpoint(2);
  EXPECT_THAT(artifacts_.checkpoints, SizeIs(1));
  Ack(1);
  ASSERT_THAT(last().checkpoints(), SizeIs(1));
  EXPECT_EQ(last().checkpoints(0).epochs_done(), 1);
  EXPECT_THAT(artifacts_.checkpoints, SizeIs(2));
}

TEST_F(AgentTest, ACheckpointThatCannotBeUploadedCostsNothingElse) {
  RunOne();
  Checkpoint(1);
  CheckpointPublished(absl::ResourceExhaustedError("no room"));
  EXPECT_THAT(last().checkpoints(), IsEmpty());
  ASSERT_THAT(last().live(), SizeIs(1));
  Checkpoint(2);
  CheckpointPublished();
  EXPECT_EQ(last().checkpoints(0).epochs_done(), 2);
}

TEST_F(AgentTest, APreemptedAttemptEndsOnceItsCheckpointIsThere) {
  RunOne();
  Checkpoint(1);
  Failed(v1::FAILURE_CAUSE_PREEMPTED);
  EXPECT_THAT(last().finished(), IsEmpty()) << "another attempt would begin again";
  CheckpointPublished();
  ASSERT_THAT(last().finished(), SizeIs(1));
  ASSERT_THAT(last().checkpoints(), SizeIs(1)) << "in the same Sync, or it would come late";
}

TEST_F(AgentTest, ALeaseWithACheckpointIsStartedFromIt) {
  Tick();
  v1::Lease lease = MakeLease();
  const std::string checkpoint(64, 'c');
  lease.add_inputs()->set_sha256(checkpoint);
  lease.set_checkpoint_sha256(checkpoint);
  lease.mutable_policy()->set_checkpoint_every_s(30);
  lease.mutable_policy()->set_wall_limit_s(600);
  Grant(lease);
  agent_->OnInputs({kJob, 1}, InputPaths{{kDataset, "/d"}, {kTeacher, "/t"}, {checkpoint, "/c"}},
                   now());
  Tick();
  ASSERT_THAT(runners_.runs, SizeIs(1));
  const v1::RunJob& job = runners_.runs[0].second;
  EXPECT_EQ(job.checkpoint_path(), "/c");
  EXPECT_EQ(job.dataset_paths().size(), 1);
  EXPECT_EQ(job.checkpoint_every_s(), 30);
  EXPECT_EQ(job.wall_limit_s(), 600);
}

}  // namespace
}  // namespace retort
