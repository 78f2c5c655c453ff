#include "tests/rpc/harness.h"

#include <grpcpp/create_channel.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/files.h"
#include "common/hash.h"
#include "server/store/sqlite_store.h"

namespace retort {

void RpcTest::SetUp() {
  folder_ = testing::TempDir() + "retort-rpc-" + NewUuid();
  ASSERT_TRUE(MakeFolders(folder_).ok());
  Start();
}

void RpcTest::TearDown() {
  Stop();
  std::filesystem::remove_all(folder_);
}

void RpcTest::Start() {
  auto store = store::OpenSqliteStore(folder_, {.synchronous = false});
  ASSERT_TRUE(store.ok()) << store.status();
  store_ = *std::move(store);
  artifacts_ = *ArtifactStore::Open(folder_ + "/artifacts");
  logs_ = std::make_unique<LogStore>(folder_ + "/logs");
  CoordinatorOptions options;
  options.core.lease = kLease;
  coordinator_ = std::make_unique<Coordinator>(*store_, clock_, options);
  ASSERT_TRUE(coordinator_->Start().ok());
  upkeep_ = std::make_unique<Upkeep>(folder_, *artifacts_, clock_ahead_);
  if (security_.has_value()) {
    auto access = AccessFolder::Open(folder_ + "/access", *security_, absl::Now());
    ASSERT_TRUE(access.ok()) << access.status();
    access_ = *std::move(access);
  }
  services_ =
      std::make_unique<Services>(*coordinator_, store_->reader(), *artifacts_, *logs_, *upkeep_,
                                 clock_, options.max_jobs, access_.get(), limits_);
  server_ = *RpcServer::Start({.host = "127.0.0.1", .port = 0, .loopback = true}, services_->all(),
                              transport_, access_ == nullptr ? TlsFiles{} : access_->tls_files());
  if (access_ != nullptr) {
    ASSERT_TRUE(access_->Publish({server_->address()}, absl::Now()).ok());
  }
  channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  sweeps_ = v1::SweepService::NewStub(channel_);
  workers_ = v1::WorkerService::NewStub(channel_);
  uploads_ = v1::ArtifactService::NewStub(channel_);
  admin_ = v1::AdminService::NewStub(channel_);
}

void RpcTest::Stop() {
  if (coordinator_ != nullptr) coordinator_->Stop();
  if (server_ != nullptr) server_->Shutdown(absl::Milliseconds(500));
  server_.reset();
  services_.reset();
  access_.reset();
  upkeep_.reset();
  coordinator_.reset();
  store_.reset();
}

std::string RpcTest::Upload(const std::string& bytes) {
  grpc::ClientContext context;
  v1::UploadResponse response;
  auto writer = uploads_->Upload(&context, &response);
  v1::UploadRequest request;
  request.mutable_artifact()->set_sha256(ArtifactHash(Sha256Of(bytes)).hex());
  request.mutable_artifact()->set_size_bytes(static_cast<int64_t>(bytes.size()));
  request.set_data(bytes);
  writer->Write(request);
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return request.artifact().sha256();
}

v1::SweepSpec RpcTest::ScratchSweep(const std::string& name, int students) {
  v1::SweepSpec spec;
  spec.set_name(name);
  v1::NamedDataset* dataset = spec.add_datasets();
  dataset->set_name("lab");
  *dataset->mutable_info() = DescribeDatasetBytes();
  dataset->mutable_info()->set_sha256(Upload(DatasetBytes()));
  spec.mutable_split()->set_holdout(0.5);
  for (int i = 0; i < students; ++i) {
    v1::MlpSpec* student = spec.add_students()->mutable_mlp();
    student->set_width(8 + i);
    student->set_depth(1);
  }
  spec.add_methods()->mutable_method()->mutable_scratch();
  spec.mutable_train()->set_epochs(3);
  return spec;
}

v1::SweepSpec RpcTest::SoftSweep(const std::string& name, int students) {
  v1::SweepSpec spec = ScratchSweep(name, students);
  v1::NamedTeacher* teacher = spec.add_teachers();
  teacher->set_name("big");
  teacher->mutable_model()->mutable_resnet1d()->set_base(8);
  teacher->mutable_model()->mutable_resnet1d()->set_blocks(2);
  spec.mutable_methods(0)->mutable_method()->mutable_soft();
  return spec;
}

absl::StatusOr<v1::CreateSweepResponse> RpcTest::Create(const v1::SweepSpec& spec,
                                                        std::string request_id,
                                                        bool validate_only) {
  grpc::ClientContext context;
  v1::CreateSweepRequest request;
  v1::CreateSweepResponse response;
  request.set_request_id(request_id.empty() ? NewUuid() : request_id);
  *request.mutable_spec() = spec;
  request.set_validate_only(validate_only);
  const grpc::Status status = sweeps_->CreateSweep(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

v1::Sweep RpcTest::GetSweep(const std::string& name) {
  grpc::ClientContext context;
  v1::GetSweepRequest request;
  v1::Sweep response;
  request.set_name(name);
  const grpc::Status status = sweeps_->GetSweep(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

std::vector<v1::Job> RpcTest::Jobs(const std::string& sweep) {
  grpc::ClientContext context;
  v1::ListJobsRequest request;
  v1::ListJobsResponse response;
  request.set_sweep(sweep);
  const grpc::Status status = sweeps_->ListJobs(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return {response.jobs().begin(), response.jobs().end()};
}

v1::Job RpcTest::GetJob(const std::string& name) {
  grpc::ClientContext context;
  v1::GetJobRequest request;
  v1::Job response;
  request.set_name(name);
  const grpc::Status status = sweeps_->GetJob(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

// -------------------------------------------------------------------------------------------
// worker

absl::StatusOr<v1::SyncResponse> FakeWorker::Sync(int wanted) {
  request.set_worker(name_);
  request.set_incarnation(incarnation_);
  request.set_number(request.number() + 1);
  request.set_host("host");
  request.set_version("test");
  if (request.slots().empty()) request.add_slots()->set_device("cpu");
  request.set_wanted(wanted);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  v1::SyncResponse response;
  const grpc::Status status = stub_.Sync(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

absl::StatusOr<v1::Lease> FakeWorker::TakeLease() {
  for (int i = 0; i < 40; ++i) {  // each is held back for a quarter of a lease
    auto response = Sync(1);
    if (!response.ok()) return response.status();
    if (response->leases_size() == 1) return response->leases(0);
  }
  return absl::DeadlineExceededError("no lease came");
}

void FakeWorker::Run(const v1::AttemptId& id) {
  Forget();
  v1::LiveAttempt* live = request.add_live();
  *live->mutable_id() = id;
  live->set_running(true);
  live->set_epochs_done(1);
}

void FakeWorker::Succeed(const v1::AttemptId& id, const std::string& weights, int64_t points) {
  Forget();
  v1::FinishedAttempt* finished = request.add_finished();
  *finished->mutable_id() = id;
  finished->set_device_s(2.5);
  v1::JobResult* result = finished->mutable_result();
  result->add_evaluations()->mutable_overall()->set_mae_bpm(4.25);
  result->mutable_weights()->set_sha256(weights);
  result->mutable_weights()->set_size_bytes(7);
  result->mutable_cost()->set_params(1234);
  result->set_metric_points(points);
}

void FakeWorker::FailWith(const v1::AttemptId& id, v1::FailureCause cause,
                          const std::string& message) {
  Forget();
  v1::FinishedAttempt* finished = request.add_finished();
  *finished->mutable_id() = id;
  finished->mutable_failure()->set_cause(cause);
  finished->mutable_failure()->set_message(message);
}

void FakeWorker::Forget() {
  request.clear_live();
  request.clear_finished();
}

absl::StatusOr<v1::MetricAck> FakeWorker::SendMetrics(const v1::AttemptId& id, int64_t first_seq,
                                                      int count) {
  grpc::ClientContext context;
  auto stream = stub_.StreamMetrics(&context);
  v1::MetricBatch batch;
  batch.set_worker(name_);
  *batch.mutable_id() = id;
  batch.set_first_seq(first_seq);
  for (int i = 0; i < count; ++i) {
    v1::MetricPoint* point = batch.add_points();
    point->set_series("train.loss");
    point->set_step(first_seq + i);
    point->set_value(1.0 / static_cast<double>(first_seq + i + 1));
  }
  stream->Write(batch);
  v1::MetricAck ack;
  const bool answered = stream->Read(&ack);
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  if (!status.ok() || !answered) return FromGrpc(status);
  return ack;
}

absl::StatusOr<v1::LogAck> FakeWorker::SendLog(const v1::AttemptId& id, int64_t offset,
                                               const std::string& data) {
  grpc::ClientContext context;
  auto stream = stub_.StreamLogs(&context);
  v1::LogChunk chunk;
  chunk.set_worker(name_);
  *chunk.mutable_id() = id;
  chunk.set_offset(offset);
  chunk.set_data(data);
  stream->Write(chunk);
  v1::LogAck ack;
  const bool answered = stream->Read(&ack);
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  if (!status.ok() || !answered) return FromGrpc(status);
  return ack;
}

}  // namespace retort
