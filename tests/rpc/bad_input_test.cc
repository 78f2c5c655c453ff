// Bad input is refused with the name of the field and its value, and changes nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "common/spec/dataset.h"
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

TEST_F(BadInputTest, OneBadReportDoesNotHoldUpTheOthers) {
  ASSERT_TRUE(Create(ScratchSweep("one", 4)).ok());
  FakeWorker worker(*workers_, "w1");
  for (int i = 0; i < 4; ++i) worker.request.add_slots()->set_device("cpu");
  auto granted = worker.Sync(4);
  ASSERT_TRUE(granted.ok()) << granted.status();
  ASSERT_EQ(granted->leases_size(), 4);
  const auto id = [&](int i) { return granted->leases(i).id(); };
  // A good result, one without evaluations, an outcome that is not set, a failure without a cause,
  // and two that cannot be told; then what is live and cached.
  worker.Succeed(id(0), Upload("weights"), 0);
  *worker.request.add_finished() = worker.request.finished(0);
  *worker.request.mutable_finished(1)->mutable_id() = id(1);
  worker.request.mutable_finished(1)->mutable_result()->clear_evaluations();
  *worker.request.add_finished()->mutable_id() = id(2);
  v1::FinishedAttempt* unknown = worker.request.add_finished();
  unknown->mutable_id()->set_job("12");
  unknown->mutable_failure();
  v1::LiveAttempt* live = worker.request.add_live();
  *live->mutable_id() = id(3);
  live->set_epochs_done(-7);
  worker.request.add_live()->mutable_id()->set_job("nonsense");
  worker.request.add_cached("xyz");
  auto answer = worker.Sync(0);
  ASSERT_TRUE(answer.ok()) << answer.status();

  std::vector<std::string> acknowledged;
  for (const auto& attempt : answer->acknowledged()) acknowledged.push_back(attempt.job());
  EXPECT_THAT(acknowledged,
              testing::UnorderedElementsAre(id(0).job(), id(1).job(), id(2).job(), "12"))
      << "nothing is reported again";
  ASSERT_EQ(answer->stop_size(), 1);
  EXPECT_EQ(answer->stop(0).job(), "nonsense");
  EXPECT_EQ(GetJob("jobs/" + id(0).job()).state(), v1::JOB_STATE_SUCCEEDED);
  for (const int i : {1, 2}) {
    const v1::Job job = GetJob("jobs/" + id(i).job());
    EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
    EXPECT_EQ(job.failure().cause(), v1::FAILURE_CAUSE_INVALID);
    EXPECT_THAT(job.failure().message(), HasSubstr("finished["));
  }
  EXPECT_EQ(GetJob("jobs/" + id(3).job()).state(), v1::JOB_STATE_LEASED)
      << "a number that is wrong does not make a live attempt lost";
}

TEST_F(BadInputTest, OfDatasetsThatAreNotWhatTheSweepSays) {
  const v1::SweepSpec good = ScratchSweep("good");
  const auto refused = [&](const std::function<void(v1::DatasetInfo&)>& spoil,
                           const std::string& says) {
    v1::SweepSpec spec = good;
    spoil(*spec.mutable_datasets(0)->mutable_info());
    const absl::Status status = Create(spec).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(status.ToString(), HasSubstr("spec.datasets[0].info." + says));
  };
  refused([](v1::DatasetInfo& d) { d.set_size_bytes(7); }, "size_bytes: 7; must be 2");
  refused([](v1::DatasetInfo& d) { d.set_windows(101); }, "windows: 101; must be 100,");
  refused([](v1::DatasetInfo& d) { d.set_channels(1); }, "channels: 1; must be 2,");
  refused([](v1::DatasetInfo& d) { d.set_samples(8); }, "samples: 8; must be 256,");
  refused([](v1::DatasetInfo& d) { d.set_subjects(1, "z"); },
          "subjects: a, z, c, d; must be a, b, c, d,");
  refused([](v1::DatasetInfo& d) { d.mutable_subjects()->RemoveLast(); },
          "subjects: a, b, c; must be a, b, c, d,");
  for (const std::string& bytes :
       {std::string("no"), std::string("\xff\xff\xff\xff\xff\xff\xff\x7f"),
        std::string("\x02\0\0\0\0\0\0\0{}", 10), std::string("\x02\0\0\0\0\0\0\0{]", 10)}) {
    const std::string hash = Upload(bytes);
    refused(
        [&](v1::DatasetInfo& d) {
          d.set_sha256(hash);
          d.set_size_bytes(static_cast<int64_t>(bytes.size()));
        },
        "sha256: " + hash + "; must be of a dataset");
  }
  Dataset unsplit = ParseDataset(DatasetBytes(), "dataset").value();
  unsplit.metadata["split"] = "never";
  const std::string bytes = SerializeDataset(unsplit);
  const std::string hash = Upload(bytes);
  const auto name_it = [&](v1::DatasetInfo& d) {
    d.set_sha256(hash);
    d.set_size_bytes(static_cast<int64_t>(bytes.size()));
  };
  refused(name_it, "sha256: " + hash + "; must not be trained on");
  v1::SweepSpec tested = good;
  tested.set_name("tested");
  *tested.add_datasets() = tested.datasets(0);
  tested.mutable_datasets(1)->set_name("unsplit");
  name_it(*tested.mutable_datasets(1)->mutable_info());
  tested.add_train_on(tested.datasets(0).name());
  tested.add_evaluate("unsplit");
  const auto created = Create(tested);
  EXPECT_TRUE(created.ok()) << created.status();
  EXPECT_TRUE(Create(good).ok());
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
  refused([](v1::SyncRequest& r) { r.set_worker("UPPER"); }, "worker: ");
  refused([](v1::SyncRequest& r) { r.set_incarnation(0); }, "incarnation: 0");
  refused([](v1::SyncRequest& r) { r.set_wanted(-1); }, "wanted: -1");

  FakeWorker worker(*workers_, "w1");
  const std::string job(64, 'a');
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
