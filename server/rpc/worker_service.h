// WorkerService over a Coordinator.
#ifndef RETORT_SERVER_RPC_WORKER_SERVICE_H_
#define RETORT_SERVER_RPC_WORKER_SERVICE_H_

#include <grpcpp/support/message_allocator.h>

#include "retort/v1/worker_service.grpc.pb.h"
#include "server/artifacts/artifact_store.h"
#include "server/artifacts/log_store.h"
#include "server/coordinator.h"
#include "server/rpc/gate.h"
#include "server/rpc/lane.h"
#include "server/rpc/thread_pool.h"
#include "server/store/store.h"

namespace retort {

// What the calls of workers need. All outlive the service.
struct WorkerParts {
  Coordinator& coordinator;
  const store::Reader& reader;
  const ArtifactStore& artifacts;
  LogStore& logs;
  ThreadPool& pool;  // of syncs alone
  Lane& files;       // where logs are written
  Gate& syncs;
  Gate& metric_streams;
  Gate& log_streams;
};

// Threads: any. A Sync that is held back holds no thread.
class WorkerService final : public v1::WorkerService::CallbackService {
 public:
  explicit WorkerService(const WorkerParts& parts);

  grpc::ServerUnaryReactor* Sync(grpc::CallbackServerContext* context,
                                 const v1::SyncRequest* request,
                                 v1::SyncResponse* response) override;
  grpc::ServerBidiReactor<v1::MetricBatch, v1::MetricAck>* StreamMetrics(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<v1::LogChunk, v1::LogAck>* StreamLogs(
      grpc::CallbackServerContext* context) override;

 private:
  // Gives the messages of each Sync an arena: a Sync has hundreds of small ones.
  class Arenas final : public grpc::MessageAllocator<v1::SyncRequest, v1::SyncResponse> {
   public:
    grpc::MessageHolder<v1::SyncRequest, v1::SyncResponse>* AllocateMessages() override;
  };

  const WorkerParts parts_;
  Arenas arenas_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_WORKER_SERVICE_H_
