#include "tests/bench/client.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/status.h"
#include "tests/testing/dataset.h"
#include "tests/testing/from_grpc.h"

namespace retort::bench {
namespace {

constexpr auto kLimit = std::chrono::minutes(15);

void SetLimit(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + kLimit);
}

// `jobs` = students x learning rates x seeds.
v1::SweepSpec SpecOf(const std::string& name, int64_t jobs, int64_t first_seed,
                     const std::string& dataset_sha256) {
  v1::SweepSpec spec;
  spec.set_name(name);
  v1::NamedDataset* dataset = spec.add_datasets();
  dataset->set_name("lab");
  *dataset->mutable_info() = DescribeDatasetBytes();
  dataset->mutable_info()->set_sha256(dataset_sha256);
  spec.mutable_split()->set_holdout(0.5);
  const int64_t students = jobs % 10 == 0 ? 10 : jobs;
  for (int64_t i = 0; i < students; ++i) {
    v1::MlpSpec* student = spec.add_students()->mutable_mlp();
    student->set_width(static_cast<int32_t>(8 + i));
    student->set_depth(1);
  }
  spec.add_methods()->mutable_method()->mutable_scratch();
  spec.mutable_train()->set_epochs(3);
  const int64_t rates = jobs % 10'000 == 0 ? 100 : 1;
  if (rates > 1) {
    v1::TrainAxis* axis = spec.add_train_axes();
    axis->set_field("peak_lr");
    for (int64_t i = 0; i < rates; ++i)
      axis->add_values()->set_peak_lr(0.001 * static_cast<double>(i + 1));
  }
  for (int64_t i = 0; i < jobs / students / rates; ++i) spec.add_seeds(first_seed + i);
  return spec;
}

}  // namespace

Client::Client(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  const auto channel =
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  sweeps_ = v1::SweepService::NewStub(channel);
  artifacts_ = v1::ArtifactService::NewStub(channel);
}

absl::StatusOr<std::string> Client::Upload(const std::string& bytes) {
  grpc::ClientContext context;
  SetLimit(context);
  v1::UploadResponse response;
  auto writer = artifacts_->Upload(&context, &response);
  v1::UploadRequest request;
  request.mutable_artifact()->set_sha256(ArtifactHash(Sha256Of(bytes)).hex());
  request.mutable_artifact()->set_size_bytes(static_cast<int64_t>(bytes.size()));
  request.set_data(bytes);
  writer->Write(request);
  writer->WritesDone();
  RETORT_RETURN_IF_ERROR(FromGrpc(writer->Finish()));
  return request.artifact().sha256();
}

absl::Status Client::UploadDataset() {
  RETORT_ASSIGN_OR_RETURN(dataset_sha256_, Upload(DatasetBytes()));
  return absl::OkStatus();
}

absl::Status Client::Submit(const std::string& name, int64_t jobs, int64_t first_seed) {
  if (dataset_sha256_.empty()) RETORT_RETURN_IF_ERROR(UploadDataset());
  grpc::ClientContext context;
  SetLimit(context);
  v1::CreateSweepRequest request;
  v1::CreateSweepResponse response;
  request.set_request_id(NewUuid());
  *request.mutable_spec() = SpecOf(name, jobs, first_seed, dataset_sha256_);
  RETORT_RETURN_IF_ERROR(FromGrpc(sweeps_->CreateSweep(&context, request, &response)));
  if (response.jobs() == jobs && response.known_jobs() == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("sweep ", name, " has ", response.jobs(), " jobs, ",
                                          response.known_jobs(), " known; asked for ", jobs));
}

absl::StatusOr<v1::Sweep> Client::Sweep(const std::string& name) {
  grpc::ClientContext context;
  SetLimit(context);
  v1::GetSweepRequest request;
  v1::Sweep response;
  request.set_name("sweeps/" + name);
  RETORT_RETURN_IF_ERROR(FromGrpc(sweeps_->GetSweep(&context, request, &response)));
  return response;
}

absl::StatusOr<v1::ListJobsResponse> Client::Jobs(const std::string& name,
                                                  const std::vector<v1::JobState>& states) {
  grpc::ClientContext context;
  SetLimit(context);
  v1::ListJobsRequest request;
  v1::ListJobsResponse response;
  request.set_sweep("sweeps/" + name);
  for (const v1::JobState state : states) request.add_states(state);
  RETORT_RETURN_IF_ERROR(FromGrpc(sweeps_->ListJobs(&context, request, &response)));
  return response;
}

absl::StatusOr<int64_t> Client::Results(const std::string& name) {
  v1::ListJobsRequest request;
  request.set_sweep("sweeps/" + name);
  request.set_full(true);
  request.set_page_size(200);
  int64_t results = 0;
  do {
    grpc::ClientContext context;
    SetLimit(context);
    v1::ListJobsResponse page;
    RETORT_RETURN_IF_ERROR(FromGrpc(sweeps_->ListJobs(&context, request, &page)));
    for (const v1::Job& job : page.jobs()) results += job.has_result() ? 1 : 0;
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return results;
}

absl::StatusOr<int64_t> Client::Points(const std::string& job, const std::string& series,
                                       int max_points) {
  grpc::ClientContext context;
  SetLimit(context);
  v1::ReadMetricsRequest request;
  request.set_job(job);
  if (!series.empty()) request.add_series(series);
  request.set_max_points(max_points);
  v1::ReadMetricsResponse response;
  RETORT_RETURN_IF_ERROR(FromGrpc(sweeps_->ReadMetrics(&context, request, &response)));
  return response.points_size();
}

absl::StatusOr<std::vector<double>> Client::Numbers(const std::string& sql) {
  grpc::ClientContext context;
  SetLimit(context);
  v1::QueryRequest request;
  request.set_sql(sql);
  auto reader = sweeps_->Query(&context, request);
  std::vector<double> numbers;
  for (v1::QueryResponse response; reader->Read(&response);) {
    if (!numbers.empty() || response.rows().empty()) continue;
    for (const v1::QueryValue& value : response.rows(0).values()) {
      numbers.push_back(value.value_case() == v1::QueryValue::kInteger
                            ? static_cast<double>(value.integer())
                            : value.number());
    }
  }
  RETORT_RETURN_IF_ERROR(FromGrpc(reader->Finish()));
  if (numbers.empty()) return absl::NotFoundError("no row: " + sql);
  return numbers;
}

absl::Status Client::CheckAllSucceeded(const std::string& name, int64_t jobs) {
  RETORT_ASSIGN_OR_RETURN(const v1::Sweep sweep, Sweep(name));
  const v1::JobCounts& counts = sweep.counts();
  if (sweep.state() != v1::SWEEP_STATE_DONE || counts.succeeded() != jobs) {
    return absl::InternalError(absl::StrCat("sweep ", name, " should have ", jobs,
                                            " succeeded jobs: ", counts.ShortDebugString()));
  }
  const auto jobs_double = static_cast<double>(jobs);
  RETORT_ASSIGN_OR_RETURN(
      const std::vector<double> results,
      Numbers(absl::StrCat("SELECT count(*) FROM results WHERE sweep = '", name, "'")));
  RETORT_ASSIGN_OR_RETURN(
      const std::vector<double> first,
      Numbers(
          absl::StrCat("SELECT count(*) FROM jobs WHERE attempt = 1 AND sweep = '", name, "'")));
  if (results[0] == jobs_double && first[0] == jobs_double) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("sweep ", name, " should have ", jobs, " results: ",
                                          results[0], ", and first attempts: ", first[0]));
}

}  // namespace retort::bench
