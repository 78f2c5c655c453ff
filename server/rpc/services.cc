#include "server/rpc/services.h"

namespace retort {

Services::Services(Coordinator& coordinator, const store::Reader& reader, ArtifactStore& artifacts,
                   LogStore& logs, Upkeep& upkeep, int64_t max_jobs, const RpcLimits& limits)
    : limits_(limits),
      workers_({.coordinator = coordinator,
                .reader = reader,
                .artifacts = artifacts,
                .logs = logs,
                .pool = worker_pool_,
                .files = files_,
                .syncs = syncs_,
                .metric_streams = metric_streams_,
                .log_streams = log_streams_}),
      artifacts_({.artifacts = artifacts,
                  .lane = files_,
                  .uploads = uploads_,
                  .downloads = downloads_,
                  .limits = limits_,
                  .lost =
                      [&coordinator](const ArtifactHash& hash) {
                        coordinator.Post(core::ArtifactLost{hash}, nullptr);
                      }}),
      sweeps_({.coordinator = coordinator,
               .reader = reader,
               .artifacts = artifacts,
               .logs = logs,
               .reads = reads_,
               .queries = queries_,
               .mutations = mutations_,
               .watches = watches_,
               .tails = tails_,
               .limits = limits_,
               .max_jobs = max_jobs}),
      admin_({.coordinator = coordinator,
              .upkeep = upkeep,
              .pool = task_pool_,
              .tasks = tasks_,
              .limits = limits_}) {}

}  // namespace retort
