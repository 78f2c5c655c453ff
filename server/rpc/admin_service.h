// AdminService over an Upkeep.
#ifndef RETORT_SERVER_RPC_ADMIN_SERVICE_H_
#define RETORT_SERVER_RPC_ADMIN_SERVICE_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "retort/v1/admin_service.grpc.pb.h"
#include "server/access/access_folder.h"
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
  ThreadPool& pool;   // of its own: a task takes minutes
  ThreadPool& looks;  // for short ones, which need not wait for those
  Gate& tasks;        // that run or wait
  const RpcLimits& limits;
  const Clock& clock;
  AccessFolder* access;  // null: no tokens are asked for
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

  grpc::ServerUnaryReactor* CreateToken(grpc::CallbackServerContext* context,
                                        const v1::CreateTokenRequest* request,
                                        v1::CreateTokenResponse* response) override;
  grpc::ServerUnaryReactor* ListTokens(grpc::CallbackServerContext* context,
                                       const v1::ListTokensRequest* request,
                                       v1::ListTokensResponse* response) override;
  grpc::ServerUnaryReactor* RevokeToken(grpc::CallbackServerContext* context,
                                        const v1::RevokeTokenRequest* request,
                                        v1::Token* response) override;

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest* request,
                                          v1::ServerInfo* response) override;
  grpc::ServerUnaryReactor* Diagnose(grpc::CallbackServerContext* context,
                                     const v1::DiagnoseRequest* request,
                                     v1::DiagnoseResponse* response) override;

 private:
  // Runs `work` (-> Status) over the tokens on the pool, once the call is let in.
  grpc::ServerUnaryReactor* OverTokens(
      grpc::CallbackServerContext* context, const google::protobuf::Message& request,
      std::function<absl::Status(AccessFolder& access, absl::Time now)> work);

  const AdminParts parts_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_ADMIN_SERVICE_H_
