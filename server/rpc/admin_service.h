// AdminService over an Upkeep.
#ifndef RETORT_SERVER_RPC_ADMIN_SERVICE_H_
#define RETORT_SERVER_RPC_ADMIN_SERVICE_H_

#include "retort/v1/admin_service.grpc.pb.h"
#include "server/coordinator.h"
#include "server/rpc/gate.h"
#include "server/rpc/limits.h"
#include "server/rpc/thread_pool.h"
#include "server/upkeep/upkeep.h"

namespace retort {

// What the service needs. All outlive it.
struct AdminParts {
  Coordinator& coordinator;  // remembers answers
  Upkeep& upkeep;
  ThreadPool& pool;  // of its own: a task takes minutes
  Gate& tasks;       // that run or wait
  const RpcLimits& limits;
};

// Threads: any.
class AdminService final : public v1::AdminService::CallbackService {
 public:
  explicit AdminService(const AdminParts& parts) : parts_(parts) {}

  grpc::ServerWriteReactor<v1::CheckResponse>* Check(grpc::CallbackServerContext* context,
                                                     const v1::CheckRequest* request) override;
  grpc::ServerWriteReactor<v1::BackupResponse>* Backup(grpc::CallbackServerContext* context,
                                                       const v1::BackupRequest* request) override;
  grpc::ServerUnaryReactor* CollectGarbage(grpc::CallbackServerContext* context,
                                           const v1::CollectGarbageRequest* request,
                                           v1::CollectGarbageResponse* response) override;

 private:
  const AdminParts parts_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_ADMIN_SERVICE_H_
