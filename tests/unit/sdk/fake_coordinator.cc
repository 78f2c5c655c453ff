#include "tests/unit/sdk/fake_coordinator.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <thread>

#include "common/hash.h"
#include "common/ids.h"
#include "common/spec/labels.h"

namespace retort {
namespace {

using grpc::Status;
using grpc::StatusCode;

std::string Short(const std::string& name) { return name.substr(name.rfind('/') + 1); }

Status Gone() { return Status(StatusCode::UNAVAILABLE, "away"); }

Status NoSuch(const std::string& name) {
  return Status(StatusCode::NOT_FOUND, name + ": there is no such resource");
}

}  // namespace

FakeCoordinator::FakeCoordinator() : address_("127.0.0.1:0") { Restart(); }
FakeCoordinator::~FakeCoordinator() { Kill(); }

void FakeCoordinator::Kill() {
  if (!server_) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

void FakeCoordinator::Restart() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address_, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(static_cast<v1::SweepService::Service*>(this));
  builder.RegisterService(static_cast<v1::ArtifactService::Service*>(this));
  builder.RegisterService(static_cast<v1::AdminService::Service*>(this));
  server_ = builder.BuildAndStart();
  address_ = "127.0.0.1:" + std::to_string(port);
}

bool FakeCoordinator::Away() {
  if (unavailable == 0) return false;
  --unavailable;
  return true;
}

Status FakeCoordinator::CreateSweep(Context*, const v1::CreateSweepRequest* request,
                                    v1::CreateSweepResponse* response) {
  const std::lock_guard lock(mutex);
  request_ids.insert(request->request_id());
  if (Away()) return Gone();
  for (const auto& dataset : request->spec().datasets()) {
    if (!request->validate_only() && artifacts.count(dataset.info().sha256()) == 0) {
      return Status(StatusCode::FAILED_PRECONDITION, dataset.name() + ": not uploaded");
    }
  }
  created.push_back(*request);
  response->set_jobs(7);
  response->set_known_jobs(2);
  if (request->validate_only()) {
    response->set_expected_s(90);
    for (int i = 0; i < 7; ++i) {
      v1::Job& job = *response->add_plan();
      job.set_name("jobs/" + std::string(63, 'a') + std::to_string(i));
      job.set_model("resnet1d-4/4");
      job.set_method("scratch");
      job.set_seed(i);
      if (i < 2) job.set_state(v1::JOB_STATE_SUCCEEDED);
    }
    return Status::OK;
  }
  v1::Sweep& sweep = sweeps[request->spec().name()];
  sweep.set_name("sweeps/" + request->spec().name());
  sweep.set_state(v1::SWEEP_STATE_ACTIVE);
  *sweep.mutable_spec() = request->spec();
  *response->mutable_sweep() = sweep;
  return Status::OK;
}

Status FakeCoordinator::GetSweep(Context*, const v1::GetSweepRequest* request, v1::Sweep* sweep) {
  const std::lock_guard lock(mutex);
  if (Away()) return Gone();
  const auto found = sweeps.find(Short(request->name()));
  if (found == sweeps.end()) return NoSuch(request->name());
  *sweep = found->second;
  return Status::OK;
}

Status FakeCoordinator::ListSweeps(Context*, const v1::ListSweepsRequest*,
                                   v1::ListSweepsResponse* response) {
  const std::lock_guard lock(mutex);
  if (Away()) return Gone();
  for (const auto& [name, sweep] : sweeps) *response->add_sweeps() = sweep;
  return Status::OK;
}

Status FakeCoordinator::CancelSweep(Context*, const v1::ChangeSweepRequest* request,
                                    v1::Sweep* sweep) {
  const std::lock_guard lock(mutex);
  request_ids.insert(request->request_id());
  if (Away()) return Gone();
  const auto found = sweeps.find(Short(request->name()));
  if (found == sweeps.end()) return NoSuch(request->name());
  found->second.set_state(v1::SWEEP_STATE_CANCELLED);
  *sweep = found->second;
  return Status::OK;
}

Status FakeCoordinator::WatchSweep(Context* context, const v1::GetSweepRequest* request,
                                   grpc::ServerWriter<v1::Sweep>* writer) {
  std::string last;
  while (!context->IsCancelled()) {
    v1::Sweep sweep;
    const Status found = GetSweep(context, request, &sweep);
    if (!found.ok()) return found;
    if (sweep.SerializeAsString() != last) writer->Write(sweep);
    last = sweep.SerializeAsString();
    if (sweep.state() == v1::SWEEP_STATE_DONE) return Status::OK;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return Status::CANCELLED;
}

Status FakeCoordinator::ListJobs(Context*, const v1::ListJobsRequest* request,
                                 v1::ListJobsResponse* response) {
  const std::lock_guard lock(mutex);
  ++list_job_calls;
  if (Away()) return Gone();
  if (!request->sweep().empty() && sweeps.count(Short(request->sweep())) == 0) {
    return NoSuch(request->sweep());
  }
  // Pages of three, however many were asked for: a coordinator may give fewer.
  const size_t begin = request->page_token().empty() ? 0 : std::stoul(request->page_token());
  for (size_t i = begin; i < jobs.size() && i < begin + 3; ++i) {
    bool wanted = request->states().empty();
    for (const int state : request->states()) wanted = wanted || jobs[i].state() == state;
    if (wanted) *response->add_jobs() = jobs[i];
  }
  if (begin + 3 < jobs.size()) response->set_next_page_token(std::to_string(begin + 3));
  return Status::OK;
}

Status FakeCoordinator::GetJob(Context*, const v1::GetJobRequest* request, v1::Job* job) {
  const std::lock_guard lock(mutex);
  for (const v1::Job& candidate : jobs) {
    if (candidate.name().rfind(request->name(), 0) != 0) continue;
    *job = candidate;
    return Status::OK;
  }
  return NoSuch(request->name());
}

Status FakeCoordinator::ExplainJob(Context*, const v1::ExplainJobRequest* request,
                                   v1::Explanation* response) {
  const std::lock_guard lock(mutex);
  if (explanation.job().empty()) return NoSuch(request->name());
  *response = explanation;
  return Status::OK;
}

Status FakeCoordinator::Check(Context*, const v1::CheckRequest*,
                              grpc::ServerWriter<v1::CheckResponse>* writer) {
  const std::lock_guard lock(mutex);
  v1::CheckResponse part;
  part.mutable_progress()->set_step("reading artifacts");
  writer->Write(part);
  *part.mutable_report() = check_report;
  writer->Write(part);
  return Status::OK;
}

Status FakeCoordinator::Backup(Context*, const v1::BackupRequest* request,
                               grpc::ServerWriter<v1::BackupResponse>* writer) {
  const std::lock_guard lock(mutex);
  if (Away()) return Gone();
  backups.push_back(*request);
  v1::BackupResponse part;
  part.mutable_progress()->set_step("copying the database");
  writer->Write(part);
  part.mutable_report()->set_folder(request->folder());
  part.mutable_report()->set_jobs(7);
  writer->Write(part);
  return Status::OK;
}

Status FakeCoordinator::CollectGarbage(Context*, const v1::CollectGarbageRequest* request,
                                       v1::CollectGarbageResponse* response) {
  response->set_taken(request->dry_run() ? 5 : 6);
  return Status::OK;
}

Status FakeCoordinator::RetryJobs(Context*, const v1::ChangeJobsRequest* request,
                                  v1::ChangeJobsResponse* response) {
  const std::lock_guard lock(mutex);
  retried.push_back(*request);
  response->set_changed(request->names_size() + request->states_size());
  return Status::OK;
}

Status FakeCoordinator::ReadMetrics(Context*, const v1::ReadMetricsRequest*,
                                    v1::ReadMetricsResponse* response) {
  const std::lock_guard lock(mutex);
  if (on_read_metrics) on_read_metrics();
  if (no_metrics) return Status(StatusCode::DATA_LOSS, "the points are damaged");
  for (const auto& [series, values] : points) {
    for (size_t step = 0; step < values.size(); ++step) {
      v1::MetricPoint& point = *response->add_points();
      point.set_series(series);
      point.set_step(static_cast<int64_t>(step));
      point.set_value(values[step]);
    }
  }
  return Status::OK;
}

Status FakeCoordinator::TailLogs(Context*, const v1::TailLogsRequest* request,
                                 grpc::ServerWriter<v1::TailLogsResponse>* writer) {
  const std::lock_guard lock(mutex);
  v1::TailLogsResponse part;
  part.set_attempt(1);
  part.set_offset(request->offset());
  part.set_data(log.substr(static_cast<size_t>(request->offset())));
  writer->Write(part);
  return Status::OK;
}

Status FakeCoordinator::ListWorkers(Context*, const v1::ListWorkersRequest*,
                                    v1::ListWorkersResponse* response) {
  const std::lock_guard lock(mutex);
  for (const v1::Worker& worker : workers) *response->add_workers() = worker;
  return Status::OK;
}

Status FakeCoordinator::Query(Context*, const v1::QueryRequest* request,
                              grpc::ServerWriter<v1::QueryResponse>* writer) {
  if (request->sql().rfind("SELECT", 0) != 0) {
    return Status(StatusCode::INVALID_ARGUMENT, "sql: only SELECT is taken");
  }
  v1::QueryResponse part;
  part.add_columns("n");
  part.add_columns("text");
  auto& row = *part.add_rows();
  row.add_values()->set_integer(9007199254740993);  // 2^53 + 1, which no double is
  row.add_values()->set_text("a,\"b\"\x1b[31m");
  auto& second = *part.add_rows();
  second.add_values();
  second.add_values()->set_number(0.5);
  writer->Write(part);
  return Status::OK;
}

Status FakeCoordinator::Missing(Context*, const v1::MissingRequest* request,
                                v1::MissingResponse* response) {
  const std::lock_guard lock(mutex);
  if (Away()) return Gone();
  for (const std::string& sha256 : request->sha256()) {
    if (artifacts.count(sha256) == 0) response->add_sha256(sha256);
  }
  return Status::OK;
}

Status FakeCoordinator::UploadStatus(Context*, const v1::UploadStatusRequest*,
                                     v1::UploadStatusResponse*) {
  return Status::OK;
}

Status FakeCoordinator::Upload(Context*, grpc::ServerReader<v1::UploadRequest>* reader,
                               v1::UploadResponse* response) {
  std::string bytes;
  v1::ArtifactRef artifact;
  for (v1::UploadRequest part; reader->Read(&part); ++upload_parts) {
    if (part.has_artifact()) artifact = part.artifact();
    bytes += part.data();
  }
  if (ArtifactHash(Sha256Of(bytes)).hex() != artifact.sha256()) {
    return Status(StatusCode::INVALID_ARGUMENT, "the bytes have another hash");
  }
  const std::lock_guard lock(mutex);
  artifacts[artifact.sha256()] = bytes;
  *response->mutable_artifact() = artifact;
  return Status::OK;
}

Status FakeCoordinator::Download(Context*, const v1::DownloadRequest* request,
                                 grpc::ServerWriter<v1::DownloadResponse>* writer) {
  const std::lock_guard lock(mutex);
  const auto found = artifacts.find(request->sha256());
  if (found == artifacts.end()) return NoSuch(request->sha256());
  v1::DownloadResponse part;
  part.set_data(found->second.substr(static_cast<size_t>(request->offset())));
  writer->Write(part);
  return Status::OK;
}

v1::MethodSpec Scratch(double sigma) {
  v1::MethodSpec method;
  method.mutable_scratch()->set_sigma(sigma);
  return method;
}

v1::MethodSpec Soft() {
  v1::MethodSpec method;
  method.mutable_soft();
  return method;
}

v1::Job SucceededJob(const std::string& model, const v1::MethodSpec& method,
                     const std::string& teacher, int64_t seed, int fold, double mae) {
  v1::Job job;
  const std::string key = model + MethodLabel(method) + teacher + std::to_string(seed) + "/" +
                          std::to_string(fold) + "/" + std::to_string(mae);
  job.set_name("jobs/" + JobId(Sha256Of(key)).hex());
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.set_kind(v1::JOB_KIND_STUDENT);
  job.set_model(model);
  job.set_method(MethodLabel(method));
  job.set_teacher(teacher);
  job.set_seed(seed);
  job.set_fold(fold);
  job.set_attempt(1);
  *job.mutable_spec()->mutable_method() = method;
  auto& result = *job.mutable_result();
  auto& evaluation = *result.add_evaluations();
  for (int i = 0; i < 4; ++i) {
    auto& subject = *evaluation.add_subjects();
    subject.set_subject("s" + std::to_string(4 * fold + i));
    subject.mutable_metrics()->set_windows(10);
    subject.mutable_metrics()->set_mae_bpm(mae + 0.1 * i);
    subject.mutable_metrics()->set_mae_argmax_bpm(mae + 1);
    subject.mutable_metrics()->set_floor_mean_bpm(20);
    subject.mutable_metrics()->set_floor_fft_bpm(12);
  }
  auto& overall = *evaluation.mutable_overall();
  overall.set_windows(40);
  overall.set_mae_bpm(mae + 0.15);
  overall.set_mae_argmax_bpm(mae + 1);
  overall.set_within_5_bpm(0.75);
  overall.set_pearson_r(0.9);
  overall.set_floor_mean_bpm(20);
  overall.set_floor_fft_bpm(12);
  result.mutable_validation()->set_mae_bpm(mae);
  const int base = std::stoi(model.substr(model.find('-') + 1));
  result.mutable_cost()->set_params(int64_t{1000} * base);
  result.mutable_cost()->set_params_body(int64_t{800} * base);
  result.mutable_cost()->set_macs(int64_t{9000} * base);
  result.mutable_cost()->set_latency_ms(0.1 * base);
  return job;
}

}  // namespace retort
