// SweepService over a Coordinator (changes) and a Reader (reads).
#ifndef RETORT_SERVER_RPC_SWEEP_SERVICE_H_
#define RETORT_SERVER_RPC_SWEEP_SERVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "retort/v1/sweep_service.grpc.pb.h"
#include "server/artifacts/artifact_store.h"
#include "server/artifacts/log_store.h"
#include "server/coordinator.h"
#include "server/rpc/gate.h"
#include "server/rpc/lane.h"
#include "server/rpc/limits.h"
#include "server/store/store.h"

namespace retort {

// What the calls of clients need. All outlive the service.
struct ClientParts {
  Coordinator& coordinator;
  const store::Reader& reader;
  const ArtifactStore& artifacts;
  const LogStore& logs;
  Lane& reads;
  Lane& queries;  // of its own: a query may wait long for who reads its rows
  Gate& mutations;
  Gate& watches;
  Gate& tails;
  const RpcLimits& limits;
  int64_t max_jobs;  // of a sweep
};

// Threads: any.
class SweepService final : public v1::SweepService::CallbackService {
 public:
  using Context = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;

  explicit SweepService(const ClientParts& parts) : parts_(parts) {}

  Unary* CreateSweep(Context* context, const v1::CreateSweepRequest* request,
                     v1::CreateSweepResponse* response) override;
  Unary* GetSweep(Context* context, const v1::GetSweepRequest* request,
                  v1::Sweep* response) override;
  Unary* ListSweeps(Context* context, const v1::ListSweepsRequest* request,
                    v1::ListSweepsResponse* response) override;
  Unary* PauseSweep(Context* context, const v1::ChangeSweepRequest* request,
                    v1::Sweep* response) override;
  Unary* ResumeSweep(Context* context, const v1::ChangeSweepRequest* request,
                     v1::Sweep* response) override;
  Unary* CancelSweep(Context* context, const v1::ChangeSweepRequest* request,
                     v1::Sweep* response) override;
  grpc::ServerWriteReactor<v1::Sweep>* WatchSweep(Context* context,
                                                  const v1::GetSweepRequest* request) override;
  Unary* ListJobs(Context* context, const v1::ListJobsRequest* request,
                  v1::ListJobsResponse* response) override;
  Unary* GetJob(Context* context, const v1::GetJobRequest* request, v1::Job* response) override;
  Unary* ExplainJob(Context* context, const v1::ExplainJobRequest* request,
                    v1::Explanation* response) override;
  Unary* RetryJobs(Context* context, const v1::ChangeJobsRequest* request,
                   v1::ChangeJobsResponse* response) override;
  Unary* CancelJobs(Context* context, const v1::ChangeJobsRequest* request,
                    v1::ChangeJobsResponse* response) override;
  Unary* ReadMetrics(Context* context, const v1::ReadMetricsRequest* request,
                     v1::ReadMetricsResponse* response) override;
  grpc::ServerWriteReactor<v1::TailLogsResponse>* TailLogs(
      Context* context, const v1::TailLogsRequest* request) override;
  Unary* ListWorkers(Context* context, const v1::ListWorkersRequest* request,
                     v1::ListWorkersResponse* response) override;
  Unary* DrainWorker(Context* context, const v1::ChangeWorkerRequest* request,
                     v1::Worker* response) override;
  Unary* ReleaseWorker(Context* context, const v1::ChangeWorkerRequest* request,
                       v1::Worker* response) override;
  grpc::ServerWriteReactor<v1::QueryResponse>* Query(Context* context,
                                                     const v1::QueryRequest* request) override;

 private:
  // A mutation on its way: its caller's right to ask for one, and where it is answered.
  struct Change {
    Unary* reactor;
    std::string caller;
    std::shared_ptr<Gate::Ticket> ticket;
  };
  // Lets a mutation in. Nothing if it was refused, and its call finished.
  std::optional<Change> Admit(Context* context, const google::protobuf::Message& request,
                              size_t most_bytes, Unary* reactor);
  // Posts what was made of a request and, once it is durable, finishes with what `then` makes of
  // the answer on the lane. Changes nothing if nobody waits for it when its turn has come.
  template <typename Input>
  Unary* PostChange(Context* context, const google::protobuf::Message& request,
                    const absl::StatusOr<Input>& input,
                    std::function<absl::Status(const Answer&)> then);

  Unary* Read(Context* context, const google::protobuf::Message& request,
              std::function<absl::Status()> work);
  Unary* ChangeSweep(Context* context, const v1::ChangeSweepRequest& request,
                     core::ChangeSweep::What what, v1::Sweep* response);
  Unary* ChangeJobs(Context* context, const v1::ChangeJobsRequest& request,
                    core::ChangeJobs::What what, v1::ChangeJobsResponse* response);
  Unary* ChangeWorker(Context* context, const v1::ChangeWorkerRequest& request,
                      core::ChangeWorker::What what, v1::Worker* response);

  absl::Status ReadSweep(const std::string& name, v1::Sweep* sweep) const;
  void Validate(const v1::CreateSweepRequest& request, v1::CreateSweepResponse* response,
                const Change& change);
  void Create(const v1::CreateSweepRequest& request, v1::CreateSweepResponse* response,
              const Change& change);
  // Of a request that is not known.
  void CreateNew(const v1::CreateSweepRequest& request, v1::CreateSweepResponse* response,
                 const Change& change);
  void AnswerCreated(const core::SweepReply& reply, v1::CreateSweepResponse* response,
                     const Change& change);

  const ClientParts parts_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_SWEEP_SERVICE_H_
