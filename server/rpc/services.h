// All services of the coordinator, with the threads they work on.
#ifndef RETORT_SERVER_RPC_SERVICES_H_
#define RETORT_SERVER_RPC_SERVICES_H_

#include <grpcpp/impl/service_type.h>

#include <cstdint>
#include <vector>

#include "server/artifacts/artifact_store.h"
#include "server/artifacts/log_store.h"
#include "server/coordinator.h"
#include "server/rpc/artifact_service.h"
#include "server/rpc/sweep_service.h"
#include "server/rpc/thread_pool.h"
#include "server/rpc/worker_service.h"
#include "server/store/store.h"

namespace retort {

// Outlives the server that serves it; all that is given outlives it.
class Services {
 public:
  Services(Coordinator& coordinator, const store::Reader& reader, ArtifactStore& artifacts,
           LogStore& logs, int64_t max_jobs);

  std::vector<grpc::Service*> all() { return {&workers_, &artifacts_, &sweeps_}; }

 private:
  // Apart, so that slow disks and slow readers of queries do not keep workers waiting.
  ThreadPool worker_pool_{2};
  ThreadPool file_pool_{4};
  ThreadPool read_pool_{4};
  ThreadPool query_pool_{2};
  WorkerService workers_;
  ArtifactService artifacts_;
  SweepService sweeps_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_SERVICES_H_
