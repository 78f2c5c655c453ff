// Bad input is refused with the name of the field and its value, and changes nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

using testing::HasSubstr;

using BadInputTest = RpcTest;

TEST_F(BadInputTest, OfSweeps) {
  const v1::SweepSpec good = ScratchSweep("good");
  const auto refused = [&](const std::function<void(v1::SweepSpec&)>& spoil,
                           const std::string& says) {
    v1::SweepSpec spec = good;
    spoil(spec);
    const absl::Status status = Create(spec).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(status.ToString(), HasSubstr(says));
  };
  refused([](v1::SweepSpec& s) { s.set_name("No Good"); }, "No Good");
  refused([](v1::SweepSpec& s) { s.mutable_datasets(0)->mutable_info()->set_sha256("12"); },
          "datasets[0].info.sha256: 12");
  refused([](v1::SweepSpec& s) { s.mutable_train()->set_epochs(-4); }, "-4");
  refused([](v1::SweepSpec& s) { s.clear_students(); }, "students");
  refused([](v1::SweepSpec& s) { s.add_train_on("field"); }, "field");
  refused([](v1::SweepSpec& s) { s.mutable_description()->assign(5000, 'x'); }, "5000 bytes");
  EXPECT_EQ(Create(good, "not-a-uuid").status().code(), absl::StatusCode::kInvalidArgument);

  v1::SweepSpec elsewhere = good;
  elsewhere.mutable_datasets(0)->mutable_info()->set_sha256(std::string(64, 'b'));
  const absl::Status missing = Create(elsewhere).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(missing.ToString(), HasSubstr("'lab' (bbbb"));

  grpc::ClientContext context;
  v1::ListSweepsResponse list;
  ASSERT_TRUE(sweeps_->ListSweeps(&context, {}, &list).ok());
  EXPECT_TRUE(list.sweeps().empty());
  EXPECT_TRUE(Jobs("").empty());
}

TEST_F(BadInputTest, OfWorkers) {
  const auto refused = [&](const std::function<void(v1::SyncRequest&)>& spoil,
                           const std::string& says) {
    grpc::ClientContext context;
    v1::SyncRequest request;
    request.set_worker("w1");
    request.set_incarnation(1);
    request.set_number(1);
    spoil(request);
    v1::SyncResponse response;
    const grpc::Status status = workers_->Sync(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(says));
  };
  const std::string job(64, 'a');
  refused([](v1::SyncRequest& r) { r.set_worker("UPPER"); }, "worker: ");
  refused([](v1::SyncRequest& r) { r.set_incarnation(0); }, "incarnation: 0");
  refused([](v1::SyncRequest& r) { r.set_wanted(-1); }, "wanted: -1");
  refused([](v1::SyncRequest& r) { r.add_cached("xyz"); }, "cached[0]: xyz");
  refused([](v1::SyncRequest& r) { r.add_live()->mutable_id()->set_job("12"); },
          "live[0].id.job: 12");
  refused([&](v1::SyncRequest& r) { r.add_live()->mutable_id()->set_job(job); },
          "live[0].id.attempt: 0");
  const auto finished = [&](v1::SyncRequest& r) {
    v1::FinishedAttempt* attempt = r.add_finished();
    attempt->mutable_id()->set_job(job);
    attempt->mutable_id()->set_attempt(1);
    return attempt;
  };
  refused([&](v1::SyncRequest& r) { finished(r); }, "finished[0].outcome: unset");
  refused([&](v1::SyncRequest& r) { finished(r)->mutable_failure(); },
          "finished[0].failure.cause: 0");
  refused([&](v1::SyncRequest& r) { finished(r)->mutable_result(); },
          "finished[0].result.weights.sha256");

  FakeWorker worker(*workers_, "w1");
  v1::AttemptId id;
  id.set_job(job);
  EXPECT_EQ(worker.SendMetrics(id, 0, 1).status().code(), absl::StatusCode::kInvalidArgument);
  id.set_attempt(1);
  EXPECT_EQ(worker.SendMetrics(id, -1, 1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(worker.SendMetrics(id, 0, 5000).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(worker.SendLog(id, 0, std::string(70'000, 'x')).status().code(),
            absl::StatusCode::kInvalidArgument);

  grpc::ClientContext context;
  v1::ListWorkersResponse list;
  ASSERT_TRUE(sweeps_->ListWorkers(&context, {}, &list).ok());
  EXPECT_TRUE(list.workers().empty());
}

TEST_F(BadInputTest, OfReadsAndChanges) {
  const auto code = [](const grpc::Status& status) { return status.error_code(); };
  v1::Sweep sweep;
  v1::Job job;
  v1::GetSweepRequest get_sweep;
  v1::GetJobRequest get_job;
  get_sweep.set_name("one");
  get_job.set_name("jobs/12");
  {
    grpc::ClientContext a;
    const grpc::Status status = sweeps_->GetSweep(&a, get_sweep, &sweep);
    EXPECT_EQ(code(status), grpc::StatusCode::INVALID_ARGUMENT);
    google::rpc::Status details;
    google::rpc::ErrorInfo info;
    ASSERT_TRUE(details.ParseFromString(status.error_details()));
    ASSERT_TRUE(details.details(0).UnpackTo(&info));
    EXPECT_EQ(info.domain(), "retort");
    grpc::ClientContext b;
    EXPECT_EQ(code(sweeps_->GetJob(&b, get_job, &job)), grpc::StatusCode::INVALID_ARGUMENT);
  }
  get_sweep.set_name("sweeps/none");
  get_job.set_name("jobs/123456");
  {
    grpc::ClientContext a, b;
    EXPECT_EQ(code(sweeps_->GetSweep(&a, get_sweep, &sweep)), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(code(sweeps_->GetJob(&b, get_job, &job)), grpc::StatusCode::NOT_FOUND);
  }
  v1::ChangeJobsRequest jobs;
  v1::ChangeJobsResponse changed;
  jobs.set_request_id(NewUuid());
  {
    grpc::ClientContext a, b, c;
    EXPECT_EQ(code(sweeps_->RetryJobs(&a, jobs, &changed)), grpc::StatusCode::INVALID_ARGUMENT);
    jobs.set_sweep("sweeps/none");
    EXPECT_EQ(code(sweeps_->CancelJobs(&b, jobs, &changed)), grpc::StatusCode::NOT_FOUND);
    jobs.add_states(static_cast<v1::JobState>(77));
    EXPECT_EQ(code(sweeps_->CancelJobs(&c, jobs, &changed)), grpc::StatusCode::INVALID_ARGUMENT);
  }
  v1::ListJobsRequest list;
  v1::ListJobsResponse page;
  list.set_page_size(1001);
  v1::ReadMetricsRequest metrics;
  v1::ReadMetricsResponse points;
  metrics.set_job("jobs/" + std::string(64, 'a'));
  {
    grpc::ClientContext a, b, c;
    EXPECT_EQ(code(sweeps_->ListJobs(&a, list, &page)), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(code(sweeps_->ReadMetrics(&b, metrics, &points)), grpc::StatusCode::NOT_FOUND);
    metrics.set_max_points(-1);
    EXPECT_EQ(code(sweeps_->ReadMetrics(&c, metrics, &points)), grpc::StatusCode::INVALID_ARGUMENT);
  }
}

}  // namespace
}  // namespace retort
