// All services of the coordinator, with the threads they work on and the bounds of what they take
// on.
#ifndef RETORT_SERVER_RPC_SERVICES_H_
#define RETORT_SERVER_RPC_SERVICES_H_

#include <grpcpp/impl/service_type.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "common/clock.h"
#include "server/access/access_folder.h"
#include "server/artifacts/artifact_store.h"
#include "server/artifacts/log_store.h"
#include "server/coordinator.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/artifact_service.h"
#include "server/rpc/gate.h"
#include "server/rpc/guarded.h"
#include "server/rpc/lane.h"
#include "server/rpc/limits.h"
#include "server/rpc/sweep_service.h"
#include "server/rpc/thread_pool.h"
#include "server/rpc/worker_service.h"
#include "server/store/store.h"
#include "server/upkeep/upkeep.h"

namespace retort {

// Outlives the server that serves it; all that is given outlives it.
class Services {
 public:
  // With `access` every call is asked for a token; without, none is.
  Services(Coordinator& coordinator, const store::Reader& reader, ArtifactStore& artifacts,
           LogStore& logs, Upkeep& upkeep, const Clock& clock, int64_t max_jobs,
           AccessFolder* access = nullptr, const RpcLimits& limits = {});

  std::vector<grpc::Service*> all();

 private:
  const RpcLimits limits_;
  Gate syncs_{"syncs", limits_.syncs};
  Gate metric_streams_{"streams of metrics", limits_.metric_streams};
  Gate log_streams_{"streams of logs", limits_.log_streams};
  Gate uploads_{"uploads", limits_.uploads};
  Gate downloads_{"downloads", limits_.downloads};
  Gate mutations_{"changes", limits_.mutations};
  Gate watches_{"watches", limits_.watches};
  Gate tails_{"log tails", limits_.tails};
  Gate tasks_{"tasks of upkeep", limits_.tasks};
  // Apart, so that slow disks and slow readers of queries keep no worker waiting. That of workers
  // is bounded by the gates above.
  ThreadPool worker_pool_{2};
  Lane files_{"transfers", limits_.files};
  Lane reads_{"reads", limits_.reads};
  Lane queries_{"queries", limits_.queries};
  ThreadPool task_pool_{2};
  ThreadPool look_pool_{1};
  WorkerService workers_;
  ArtifactService artifacts_;
  SweepService sweeps_;
  AdminService admin_;
  std::optional<Guard> guard_;
  std::optional<GuardedServices> guarded_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_SERVICES_H_
