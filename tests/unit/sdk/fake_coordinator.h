// A coordinator that is a few maps, in this process: what a client sees of one, under the test's
// control.
#ifndef RETORT_TESTS_UNIT_SDK_FAKE_COORDINATOR_H_
#define RETORT_TESTS_UNIT_SDK_FAKE_COORDINATOR_H_

#include <grpcpp/server.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "retort/v1/admin_service.grpc.pb.h"
#include "retort/v1/artifact_service.grpc.pb.h"
#include "retort/v1/sweep_service.grpc.pb.h"

namespace retort {

class FakeCoordinator : public v1::SweepService::Service,
                        public v1::ArtifactService::Service,
                        public v1::AdminService::Service {
 public:
  FakeCoordinator();  // on a free port of the loopback
  ~FakeCoordinator() override;
  const std::string& address() const { return address_; }
  // Until Restart, clients find nobody at the address.
  void Kill();
  void Restart();

  // What it holds; lock `mutex` while calls may come in.
  std::mutex mutex;
  std::map<std::string, v1::Sweep> sweeps;  // by short name
  std::vector<v1::Job> jobs;
  std::vector<v1::Worker> workers;
  std::map<std::string, std::string> artifacts;  // by hash
  std::string log;                               // of every job
  int unavailable = 0;                           // so many unary calls are answered UNAVAILABLE
  std::set<std::string> request_ids;
  std::vector<v1::CreateSweepRequest> created;
  std::vector<v1::ChangeJobsRequest> retried;
  v1::Explanation explanation;                        // of every job
  std::map<std::string, std::vector<double>> points;  // of every job, by series
  bool no_metrics = false;                            // ReadMetrics fails
  std::function<void()> on_read_metrics;              // called by ReadMetrics, unless empty
  v1::CheckReport check_report;
  std::vector<v1::BackupRequest> backups;
  int list_job_calls = 0;
  int upload_parts = 0;

  using Context = grpc::ServerContext;
  grpc::Status CreateSweep(Context*, const v1::CreateSweepRequest*,
                           v1::CreateSweepResponse*) override;
  grpc::Status GetSweep(Context*, const v1::GetSweepRequest*, v1::Sweep*) override;
  grpc::Status ListSweeps(Context*, const v1::ListSweepsRequest*, v1::ListSweepsResponse*) override;
  grpc::Status CancelSweep(Context*, const v1::ChangeSweepRequest*, v1::Sweep*) override;
  grpc::Status WatchSweep(Context*, const v1::GetSweepRequest*,
                          grpc::ServerWriter<v1::Sweep>*) override;
  grpc::Status ListJobs(Context*, const v1::ListJobsRequest*, v1::ListJobsResponse*) override;
  grpc::Status GetJob(Context*, const v1::GetJobRequest*, v1::Job*) override;
  grpc::Status ExplainJob(Context*, const v1::ExplainJobRequest*, v1::Explanation*) override;
  grpc::Status RetryJobs(Context*, const v1::ChangeJobsRequest*, v1::ChangeJobsResponse*) override;
  grpc::Status ReadMetrics(Context*, const v1::ReadMetricsRequest*,
                           v1::ReadMetricsResponse*) override;
  grpc::Status TailLogs(Context*, const v1::TailLogsRequest*,
                        grpc::ServerWriter<v1::TailLogsResponse>*) override;
  grpc::Status ListWorkers(Context*, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse*) override;
  grpc::Status Query(Context*, const v1::QueryRequest*,
                     grpc::ServerWriter<v1::QueryResponse>*) override;
  grpc::Status Missing(Context*, const v1::MissingRequest*, v1::MissingResponse*) override;
  grpc::Status UploadStatus(Context*, const v1::UploadStatusRequest*,
                            v1::UploadStatusResponse*) override;
  grpc::Status Upload(Context*, grpc::ServerReader<v1::UploadRequest>*,
                      v1::UploadResponse*) override;
  grpc::Status Download(Context*, const v1::DownloadRequest*,
                        grpc::ServerWriter<v1::DownloadResponse>*) override;

  grpc::Status Check(Context*, const v1::CheckRequest*,
                     grpc::ServerWriter<v1::CheckResponse>*) override;
  grpc::Status Backup(Context*, const v1::BackupRequest*,
                      grpc::ServerWriter<v1::BackupResponse>*) override;
  grpc::Status CollectGarbage(Context*, const v1::CollectGarbageRequest*,
                              v1::CollectGarbageResponse*) override;

 private:
  bool Away();  // takes one from `unavailable`

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

// A student's job of a sweep with a result: its MAE is `mae` plus a little per subject.
v1::Job SucceededJob(const std::string& model, const v1::MethodSpec& method,
                     const std::string& teacher, int64_t seed, int fold, double mae);
v1::MethodSpec Scratch(double sigma = 0);
v1::MethodSpec Soft();

}  // namespace retort

#endif  // RETORT_TESTS_UNIT_SDK_FAKE_COORDINATOR_H_
