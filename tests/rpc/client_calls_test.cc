// What clients ask.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>

#include "absl/time/clock.h"
#include "common/files.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ClientCallsTest : public RpcTest {
 protected:
  using ChangeMethod = grpc::Status (v1::SweepService::Stub::*)(grpc::ClientContext*,
                                                                const v1::ChangeSweepRequest&,
                                                                v1::Sweep*);
  absl::StatusOr<v1::Sweep> Change(ChangeMethod method, const std::string& name,
                                   const std::string& request_id) {
    grpc::ClientContext context;
    v1::ChangeSweepRequest request;
    request.set_request_id(request_id);
    request.set_name(name);
    v1::Sweep response;
    const grpc::Status status = (sweeps_.get()->*method)(&context, request, &response);
    if (!status.ok()) return FromGrpc(status);
    return response;
  }
  absl::StatusOr<std::vector<v1::QueryResponse>> Query(const std::string& sql,
                                                       int64_t max_rows = 0) {
    grpc::ClientContext context;
    v1::QueryRequest request;
    request.set_sql(sql);
    request.set_max_rows(max_rows);
    auto stream = sweeps_->Query(&context, request);
    std::vector<v1::QueryResponse> messages;
    v1::QueryResponse message;
    while (stream->Read(&message)) messages.push_back(message);
    const grpc::Status status = stream->Finish();
    if (!status.ok()) return FromGrpc(status);
    return messages;
  }
};

TEST_F(ClientCallsTest, CreateIsIdempotentByRequestId) {
  const v1::SweepSpec spec = ScratchSweep("one");
  const std::string id = NewUuid();
  for (int i = 0; i < 2; ++i) {
    auto created = Create(spec, id);
    ASSERT_TRUE(created.ok()) << created.status();
    EXPECT_EQ(created->sweep().name(), "sweeps/one");
    EXPECT_EQ(created->jobs(), 1);
  }
  EXPECT_EQ(Create(spec)->sweep().name(), "sweeps/one-2") << "a name that is taken gets a number";
  EXPECT_EQ(Jobs("sweeps/one").at(0).name(), Jobs("sweeps/one-2").at(0).name())
      << "the same job runs once";
  EXPECT_EQ(Jobs("").size(), 1u);
}

TEST_F(ClientCallsTest, ValidateOnlyLeavesNothing) {
  v1::SweepSpec spec = SoftSweep("one", 3);
  spec.mutable_datasets(0)->mutable_info()->set_sha256(
      std::string(64, 'a'));  // need not be uploaded for that
  auto answer = Create(spec, "", true);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->jobs(), 4);
  EXPECT_EQ(answer->known_jobs(), 0);
  EXPECT_EQ(answer->sweep().name(), "");
  EXPECT_LT(answer->expected_s(), 0) << "nothing was measured yet";
  ASSERT_EQ(answer->plan_size(), 4);
  EXPECT_EQ(answer->plan(0).kind(), v1::JOB_KIND_TEACHER);
  EXPECT_EQ(answer->plan(0).state(), v1::JOB_STATE_UNSPECIFIED);
  EXPECT_EQ(answer->plan(1).teacher_job(), answer->plan(0).name());
  EXPECT_TRUE(Jobs("").empty());
}

TEST_F(ClientCallsTest, KnownJobsAreCountedAndNotRunAgain) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  FakeWorker worker(*workers_, "w1");
  auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();
  worker.Run(lease->id());
  ASSERT_TRUE(worker.Sync(0).ok());
  worker.Succeed(lease->id(), Upload("weights"), 0);
  ASSERT_EQ(worker.Sync(0)->acknowledged_size(), 1);
  const auto plan = Create(ScratchSweep("more", 3), "", true);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->known_jobs(), 1);
  ASSERT_EQ(plan->plan_size(), 3);
  EXPECT_EQ(plan->plan(0).name(), Jobs("").at(0).name());
  EXPECT_EQ(plan->plan(0).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(plan->plan(1).state(), v1::JOB_STATE_UNSPECIFIED);
  EXPECT_GT(plan->expected_s(), 0);
  auto created = Create(ScratchSweep("more", 3));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->jobs(), 3);
  EXPECT_EQ(created->known_jobs(), 1);
  EXPECT_EQ(GetSweep("sweeps/more").counts().queued(), 2);
  EXPECT_EQ(GetSweep("sweeps/more").counts().succeeded(), 1);
}

TEST_F(ClientCallsTest, SweepsArePausedResumedAndCancelledOnce) {
  ASSERT_TRUE(Create(ScratchSweep("one", 2)).ok());
  FakeWorker worker(*workers_, "w1");
  const std::string pause = NewUuid();
  for (int i = 0; i < 2; ++i) {
    auto paused = Change(&v1::SweepService::Stub::PauseSweep, "sweeps/one", pause);
    ASSERT_TRUE(paused.ok()) << paused.status();
    EXPECT_EQ(paused->state(), v1::SWEEP_STATE_PAUSED);
  }
  ASSERT_TRUE(worker.Sync(1).ok());
  EXPECT_EQ(worker.Sync(1)->leases_size(), 0);
  EXPECT_EQ(Change(&v1::SweepService::Stub::ResumeSweep, "sweeps/one", pause).status().code(),
            absl::StatusCode::kAlreadyExists)
      << "the id belongs to another change";
  ASSERT_TRUE(Change(&v1::SweepService::Stub::ResumeSweep, "sweeps/one", NewUuid()).ok());
  auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();
  worker.Run(lease->id());
  ASSERT_TRUE(worker.Sync(0).ok());
  const std::string cancel = NewUuid();
  for (int i = 0; i < 2; ++i) {
    auto cancelled = Change(&v1::SweepService::Stub::CancelSweep, "sweeps/one", cancel);
    ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  }
  auto told = worker.Sync(0);
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_EQ(told->stop_size(), 1);
  EXPECT_EQ(GetSweep("sweeps/one").counts().cancelled(), 2);
  EXPECT_EQ(GetSweep("sweeps/one").state(), v1::SWEEP_STATE_CANCELLED);
}

TEST_F(ClientCallsTest, ListsArePagedByKey) {
  ASSERT_TRUE(Create(ScratchSweep("one", 5)).ok());
  ASSERT_TRUE(Create(ScratchSweep("two")).ok());
  v1::ListJobsRequest request;
  request.set_sweep("sweeps/one");
  request.set_page_size(2);
  std::vector<size_t> sizes;
  std::set<std::string> names;
  do {
    grpc::ClientContext context;
    v1::ListJobsResponse response;
    const grpc::Status status = sweeps_->ListJobs(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    sizes.push_back(static_cast<size_t>(response.jobs_size()));
    for (const v1::Job& job : response.jobs()) names.insert(job.name());
    if (sizes.size() == 1) {
      v1::ListJobsRequest changed = request;
      changed.set_sweep("sweeps/two");
      changed.set_page_token(response.next_page_token());
      grpc::ClientContext second;
      v1::ListJobsResponse none;
      EXPECT_EQ(sweeps_->ListJobs(&second, changed, &none).error_code(),
                grpc::StatusCode::INVALID_ARGUMENT);
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty() && sizes.size() < 9);
  EXPECT_THAT(sizes, ElementsAre(2u, 2u, 1u));
  EXPECT_EQ(names.size(), 5u);

  grpc::ClientContext context;
  v1::ListSweepsRequest sweeps;
  v1::ListSweepsResponse response;
  sweeps.set_page_size(1);
  ASSERT_TRUE(sweeps_->ListSweeps(&context, sweeps, &response).ok());
  EXPECT_EQ(response.sweeps(0).name(), "sweeps/two") << "newest first";
  EXPECT_FALSE(response.sweeps(0).has_spec());
  EXPECT_TRUE(GetSweep("sweeps/one").has_spec());
}

TEST_F(ClientCallsTest, WatchSendsChangesUntilTheEnd) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  auto watched = std::async(std::launch::async, [this] {
    grpc::ClientContext context;
    v1::GetSweepRequest request;
    request.set_name("sweeps/one");
    auto stream = sweeps_->WatchSweep(&context, request);
    v1::Sweep sweep;
    std::vector<v1::Sweep> seen;
    while (stream->Read(&sweep)) seen.push_back(sweep);
    EXPECT_TRUE(stream->Finish().ok());
    return seen;
  });
  absl::SleepFor(absl::Milliseconds(50));
  FakeWorker worker(*workers_, "w1");
  auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();
  worker.Run(lease->id());
  ASSERT_TRUE(worker.Sync(0).ok());
  absl::SleepFor(absl::Milliseconds(300));
  worker.Succeed(lease->id(), Upload("weights"), 0);
  ASSERT_TRUE(worker.Sync(0).ok());
  const auto seen = watched.get();
  ASSERT_GE(seen.size(), 3u);
  EXPECT_EQ(seen.front().counts().queued(), 1);
  EXPECT_EQ(seen[seen.size() - 2].counts().running(), 1);
  EXPECT_EQ(seen.back().state(), v1::SWEEP_STATE_DONE);

  grpc::ClientContext context;
  v1::GetSweepRequest request;
  request.set_name("sweeps/none");
  auto stream = sweeps_->WatchSweep(&context, request);
  v1::Sweep sweep;
  EXPECT_FALSE(stream->Read(&sweep));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ClientCallsTest, WorkersAreListedDrainedAndReleased) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  FakeWorker worker(*workers_, "w1");
  ASSERT_TRUE(worker.Sync(0).ok());
  v1::ChangeWorkerRequest request;
  request.set_request_id(NewUuid());
  request.set_name("workers/w1");
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    v1::Worker drained;
    const grpc::Status status = sweeps_->DrainWorker(&context, request, &drained);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(drained.state(), v1::WORKER_STATE_DRAINING);
  }
  auto told = worker.Sync(1);
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_TRUE(told->drain());
  EXPECT_TRUE(told->leases().empty());
  request.set_request_id(NewUuid());
  grpc::ClientContext context;
  v1::Worker released;
  ASSERT_TRUE(sweeps_->ReleaseWorker(&context, request, &released).ok());
  EXPECT_EQ(released.state(), v1::WORKER_STATE_ACTIVE);
  auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();

  absl::SleepFor(2 * kProgressAge);
  grpc::ClientContext second;
  v1::ListWorkersResponse list;
  ASSERT_TRUE(sweeps_->ListWorkers(&second, {}, &list).ok());
  ASSERT_EQ(list.workers_size(), 1);
  EXPECT_EQ(list.workers(0).name(), "workers/w1");
  EXPECT_THAT(list.workers(0).jobs(), ElementsAre("jobs/" + lease->id().job()));
  EXPECT_NEAR(static_cast<double>(list.workers(0).seen_time().seconds()),
              static_cast<double>(absl::ToUnixSeconds(absl::Now())), 3);
}

TEST_F(ClientCallsTest, QueryStreamsRowsOfTheViews) {
  ASSERT_TRUE(Create(ScratchSweep("one", 3)).ok());
  auto answer = Query("SELECT state, count(*) AS n FROM jobs GROUP BY state");
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->size(), 1u);
  EXPECT_THAT(answer->at(0).columns(), ElementsAre("state", "n"));
  ASSERT_EQ(answer->at(0).rows_size(), 1);
  EXPECT_EQ(answer->at(0).rows(0).values(1).integer(), 3);
  auto limited = Query("SELECT 1 FROM jobs", 2);
  ASSERT_TRUE(limited.ok()) << limited.status();
  EXPECT_EQ(limited->back().rows_size(), 2);
  EXPECT_TRUE(limited->back().truncated());
}

TEST_F(ClientCallsTest, QueryRefusesWhatIsNotOneSelectOverTheViews) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  for (const char* sql :
       {"", "DELETE FROM jobs", "SELECT * FROM sqlite_master", "SELECT 1; SELECT 2",
        "PRAGMA user_version", "SELECT * FROM nowhere", "SELECT load_extension('x')",
        "ATTACH 'x' AS y", "WITH jobs AS (SELECT * FROM sqlite_master) SELECT * FROM jobs"}) {
    EXPECT_EQ(Query(sql).status().code(), absl::StatusCode::kInvalidArgument) << sql;
  }
  EXPECT_EQ(Query("SELECT 1", -1).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace retort
