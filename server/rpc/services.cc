#include "server/rpc/services.h"

namespace retort {

Services::Services(Coordinator& coordinator, const store::Reader& reader, ArtifactStore& artifacts,
                   LogStore& logs, Upkeep& upkeep, const Clock& clock, int64_t max_jobs,
                   AccessFolder* access, const RpcLimits& limits)
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
              .looks = look_pool_,
              .tasks = tasks_,
              .limits = limits_,
              .clock = clock,
              .access = access}) {
  if (access == nullptr) return;
  guard_.emplace(access->tokens(), [&clock] { return clock.Read().wall; });
  guarded_.emplace(*guard_, sweeps_, workers_, artifacts_, admin_);
}

std::vector<grpc::Service*> Services::all() {
  if (guarded_.has_value()) return guarded_->all();
  return {&workers_, &artifacts_, &sweeps_, &admin_};
}

}  // namespace retort
