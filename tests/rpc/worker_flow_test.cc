// What workers say, from a submitted sweep to results.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "absl/time/clock.h"
#include "common/files.h"
#include "common/names.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

class WorkerFlowTest : public RpcTest {
 protected:
  FakeWorker Worker(const std::string& name, int64_t incarnation = 1) {
    return FakeWorker(*workers_, name, incarnation);
  }
  v1::Job JobOf(const v1::AttemptId& id) { return GetJob("jobs/" + id.job()); }
};

TEST_F(WorkerFlowTest, JobRunsToItsResult) {
  auto created = Create(ScratchSweep("one"));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->sweep().name(), "sweeps/one");
  EXPECT_EQ(created->jobs(), 1);
  FakeWorker worker = Worker("w1");
  auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_EQ(lease->id().attempt(), 1);
  EXPECT_EQ(lease->spec().model().mlp().width(), 8);
  ASSERT_EQ(lease->inputs_size(), 1);
  EXPECT_EQ(lease->inputs(0).sha256(), lease->spec().dataset().sha256());
  EXPECT_EQ(lease->inputs(0).size_bytes(), static_cast<int64_t>(DatasetBytes().size()));
  EXPECT_EQ(JobOf(lease->id()).state(), v1::JOB_STATE_LEASED);

  worker.Run(lease->id());
  auto running = worker.Sync(0);
  ASSERT_TRUE(running.ok()) << running.status();
  EXPECT_TRUE(running->leases().empty()) << "a confirmed lease is not given again";
  EXPECT_EQ(JobOf(lease->id()).state(), v1::JOB_STATE_RUNNING);
  absl::SleepFor(2 * kProgressAge);
  EXPECT_EQ(JobOf(lease->id()).epochs_done(), 1);
  EXPECT_EQ(JobOf(lease->id()).worker(), "workers/w1");

  EXPECT_EQ(worker.SendMetrics(lease->id(), 0, 3)->durable_seq(), 3);
  worker.Succeed(lease->id(), Upload("weights"), 3);
  auto finished = worker.Sync(0);
  ASSERT_TRUE(finished.ok()) << finished.status();
  ASSERT_EQ(finished->acknowledged_size(), 1);
  EXPECT_EQ(finished->acknowledged(0).job(), lease->id().job());

  const v1::Job job = JobOf(lease->id());
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job.result().evaluations(0).overall().mae_bpm(), 4.25);
  EXPECT_EQ(job.attempts_size(), 1);
  EXPECT_EQ(GetSweep("sweeps/one").state(), v1::SWEEP_STATE_DONE);
  EXPECT_EQ(GetSweep("sweeps/one").counts().succeeded(), 1);
}

TEST_F(WorkerFlowTest, EverythingSaidTwiceCountsOnce) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  FakeWorker worker = Worker("w1");
  auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();
  auto again = worker.Sync(1);
  ASSERT_TRUE(again.ok());
  ASSERT_EQ(again->leases_size(), 1) << "a lease that was not reported is given again";
  EXPECT_EQ(again->leases(0).id().attempt(), 1);
  EXPECT_EQ(again->leases(0).SerializeAsString(), lease->SerializeAsString());

  worker.Run(lease->id());
  ASSERT_TRUE(worker.Sync(0).ok());
  for (int i = 0; i < 2; ++i) {
    auto ack = worker.SendMetrics(lease->id(), 0, 4);
    ASSERT_TRUE(ack.ok()) << ack.status();
    EXPECT_EQ(ack->durable_seq(), 4);
    EXPECT_FALSE(ack->refused());
  }
  EXPECT_EQ(worker.SendMetrics(lease->id(), 2, 4)->durable_seq(), 6)
      << "what overlaps is taken from where it is new";
  worker.Succeed(lease->id(), Upload("weights"), 6);
  for (int i = 0; i < 2; ++i) {
    auto finished = worker.Sync(0);
    ASSERT_TRUE(finished.ok()) << finished.status();
    EXPECT_EQ(finished->acknowledged_size(), 1);
  }
  const v1::Job job = JobOf(lease->id());
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job.attempts_size(), 1);
  grpc::ClientContext context;
  v1::ReadMetricsRequest request;
  v1::ReadMetricsResponse response;
  request.set_job(job.name());
  ASSERT_TRUE(sweeps_->ReadMetrics(&context, request, &response).ok());
  ASSERT_EQ(response.points_size(), 6);
  EXPECT_EQ(response.points(5).step(), 5);
}

TEST_F(WorkerFlowTest, ResultWaitsForItsPoints) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  FakeWorker worker = Worker("w1");
  auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();
  worker.Run(lease->id());
  ASSERT_TRUE(worker.Sync(0).ok());
  worker.Succeed(lease->id(), Upload("weights"), 2);
  auto early = worker.Sync(0);
  ASSERT_TRUE(early.ok()) << early.status();
  EXPECT_EQ(early->acknowledged_size(), 0);
  EXPECT_EQ(JobOf(lease->id()).state(), v1::JOB_STATE_RUNNING);
  ASSERT_TRUE(worker.SendMetrics(lease->id(), 0, 2).ok());
  EXPECT_EQ(worker.Sync(0)->acknowledged_size(), 1);
  EXPECT_EQ(JobOf(lease->id()).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(WorkerFlowTest, StudentWaitsForItsTeacherAndGetsItsWeights) {
  auto created = Create(SoftSweep("two"));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->jobs(), 2);
  FakeWorker worker = Worker("w1");
  auto teacher = worker.TakeLease();
  ASSERT_TRUE(teacher.ok()) << teacher.status();
  EXPECT_TRUE(teacher->spec().teacher_job().empty());
  EXPECT_EQ(GetSweep("sweeps/two").counts().blocked(), 1);
  worker.Run(teacher->id());
  ASSERT_TRUE(worker.Sync(0).ok());
  const std::string weights = Upload("teacher weights");
  worker.Succeed(teacher->id(), weights, 0);
  ASSERT_EQ(worker.Sync(0)->acknowledged_size(), 1);
  worker.Forget();
  auto student = worker.TakeLease();
  ASSERT_TRUE(student.ok()) << student.status();
  EXPECT_EQ(student->spec().teacher_job(), teacher->id().job());
  EXPECT_EQ(student->teacher_weights_sha256(), weights);
  EXPECT_EQ(student->inputs_size(), 2);
}

TEST_F(WorkerFlowTest, OlderAttemptIsRefused) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  FakeWorker lost = Worker("lost");
  auto first = lost.TakeLease();
  ASSERT_TRUE(first.ok()) << first.status();
  lost.Run(first->id());
  ASSERT_TRUE(lost.Sync(0).ok());
  ASSERT_TRUE(lost.SendMetrics(first->id(), 0, 2).ok());

  FakeWorker other = Worker("other");
  auto second = other.TakeLease();  // comes when the silent worker's lease has run out
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->id().job(), first->id().job());
  EXPECT_EQ(second->id().attempt(), 2);
  other.Run(second->id());
  ASSERT_TRUE(other.Sync(0).ok());

  EXPECT_TRUE(lost.SendMetrics(first->id(), 2, 1)->refused());
  auto told = lost.Sync(0);
  ASSERT_TRUE(told.ok()) << told.status();
  ASSERT_EQ(told->stop_size(), 1);
  EXPECT_EQ(told->stop(0).attempt(), 1);
  lost.Succeed(first->id(), Upload("weights"), 2);
  auto finished = lost.Sync(0);
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(finished->acknowledged_size(), 1) << "refused for good: it need not be said again";
  const v1::Job job = JobOf(second->id());
  EXPECT_EQ(job.state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(job.attempt(), 2);
  ASSERT_EQ(job.attempts_size(), 2);
  EXPECT_EQ(job.attempts(0).failure().cause(), v1::FAILURE_CAUSE_LOST);
}

TEST_F(WorkerFlowTest, RestartKeepsLeases) {
  ASSERT_TRUE(Create(ScratchSweep("one", 2)).ok());
  FakeWorker before = Worker("w1");
  auto lease = before.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();
  before.Run(lease->id());
  ASSERT_TRUE(before.Sync(0).ok());
  ASSERT_TRUE(before.SendMetrics(lease->id(), 0, 2).ok());

  Stop();
  Start();
  EXPECT_EQ(JobOf(lease->id()).state(), v1::JOB_STATE_RUNNING);
  FakeWorker worker = Worker("w1");
  worker.request = before.request;
  auto response = worker.Sync(0);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->stop().empty());
  EXPECT_EQ(worker.SendMetrics(lease->id(), 2, 1)->durable_seq(), 3);
  worker.Succeed(lease->id(), Upload("weights"), 3);
  ASSERT_EQ(worker.Sync(0)->acknowledged_size(), 1);
  EXPECT_EQ(JobOf(lease->id()).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(JobOf(lease->id()).attempt(), 1);
}

TEST_F(WorkerFlowTest, ParkedSyncIsWokenByASubmit) {
  FakeWorker worker = Worker("w1");
  ASSERT_TRUE(worker.Sync(1).ok());
  const v1::SweepSpec spec = ScratchSweep("one");
  auto parked = std::async(std::launch::async, [&worker] { return worker.Sync(1); });
  absl::SleepFor(kLease / 20);
  const absl::Time submitted = absl::Now();
  ASSERT_TRUE(Create(spec).ok());
  auto response = parked.get();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->leases_size(), 1);
  EXPECT_LT(absl::Now() - submitted, kLease / 5) << "not only when its time was up";
}

TEST_F(WorkerFlowTest, NewerSyncAnswersTheParkedOneAndCallersMayLeave) {
  FakeWorker worker = Worker("w1");
  ASSERT_TRUE(worker.Sync(1).ok());
  auto parked = std::async(std::launch::async, [&worker] { return worker.Sync(1); });
  absl::SleepFor(kLease / 20);
  FakeWorker same = Worker("w1");
  same.request.set_number(100);
  auto newer = std::async(std::launch::async, [&same] { return same.Sync(1); });
  EXPECT_TRUE(parked.get().ok());
  EXPECT_TRUE(newer.get().ok());

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(30));
  same.request.set_number(200);
  v1::SyncResponse response;
  EXPECT_EQ(workers_->Sync(&context, same.request, &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(same.Sync(1).ok()) << "a caller that left holds nothing up";
}

TEST_F(WorkerFlowTest, OlderIncarnationIsRefused) {
  FakeWorker newer = Worker("w1", 7);
  ASSERT_TRUE(newer.Sync(0).ok());
  FakeWorker older = Worker("w1", 6);
  EXPECT_EQ(older.Sync(0).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(WorkerFlowTest, PermanentFailureIsSeenAndRetried) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  FakeWorker worker = Worker("w1");
  auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();
  worker.FailWith(lease->id(), v1::FAILURE_CAUSE_NUMERIC, "loss is NaN at step 3");
  ASSERT_EQ(worker.Sync(0)->acknowledged_size(), 1);
  EXPECT_EQ(JobOf(lease->id()).state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(JobOf(lease->id()).failure().message(), "loss is NaN at step 3");
  v1::ChangeJobsRequest request;
  request.set_request_id(NewUuid());
  request.set_sweep("sweeps/one");
  request.add_states(v1::JOB_STATE_FAILED);
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    v1::ChangeJobsResponse response;
    const grpc::Status status = sweeps_->RetryJobs(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.changed(), 1) << "a repeat returns the first answer";
  }
  EXPECT_EQ(JobOf(lease->id()).state(), v1::JOB_STATE_QUEUED);
}

TEST_F(WorkerFlowTest, LogsAreStoredAndFollowed) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  FakeWorker worker = Worker("w1");
  auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_EQ(worker.SendLog(lease->id(), 0, "hello ")->stored_offset(), 6);
  EXPECT_EQ(worker.SendLog(lease->id(), 0, "hello ")->stored_offset(), 6);
  v1::AttemptId other = lease->id();
  other.set_attempt(9);
  EXPECT_TRUE(worker.SendLog(other, 0, "x")->full()) << "there is no such attempt";

  auto followed = std::async(std::launch::async, [this, &lease] {
    grpc::ClientContext context;
    v1::TailLogsRequest request;
    request.set_job("jobs/" + lease->id().job().substr(0, 12));
    request.set_follow(true);
    auto stream = sweeps_->TailLogs(&context, request);
    v1::TailLogsResponse piece;
    std::string all;
    while (stream->Read(&piece)) all += piece.data();
    EXPECT_TRUE(stream->Finish().ok());
    return all;
  });
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_EQ(worker.SendLog(lease->id(), 6, "world")->stored_offset(), 11);
  worker.FailWith(lease->id(), v1::FAILURE_CAUSE_INVALID, "no");
  ASSERT_TRUE(worker.Sync(0).ok());
  EXPECT_EQ(followed.get(), "hello world");

  grpc::ClientContext context;
  v1::TailLogsRequest request;
  request.set_job("jobs/" + lease->id().job());
  request.set_offset(-5);
  auto stream = sweeps_->TailLogs(&context, request);
  v1::TailLogsResponse piece;
  ASSERT_TRUE(stream->Read(&piece));
  EXPECT_EQ(piece.data(), "world");
  EXPECT_EQ(piece.offset(), 6);
  EXPECT_FALSE(stream->Read(&piece));
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace retort
